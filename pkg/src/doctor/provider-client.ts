/** The line about client and redirect URI, from a login without interaction. */
import { type Deployment, option } from './deployment.js'
import { firstWords, jsonOf, type Reply, crossOrigin, seenHeader, seenOf, textOf } from './requests.js'

/** Returns a value that nobody can guess. */
export const random = (): string => crypto.randomUUID().replaceAll('-', '')

/** Errors with which a provider says that it knows client and redirect URI, and that nobody is signed in. */
const NOBODY = /^(login_required|interaction_required|consent_required|account_selection_required)$/

/** Asks for a login without interaction. Its error at the redirect URI proves client and redirect URI. */
export const checkClient = async (deployment: Deployment): Promise<void> => {
  const { report, requests, config, metadata, origin } = deployment
  const endpoint = metadata!.authorization_endpoint
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return
  const id = 'provider.client'
  const mustPush = metadata!.require_pushed_authorization_requests === true
  if (mustPush && config!.par === false) {
    report.unseen(id, 'the provider requires pushed requests, and the configuration has par: false')
    return
  }
  const redirectUri = new URL(config!.redirectUri, origin).href
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(random()))
  const code = btoa(String.fromCharCode(...new Uint8Array(challenge))).replace(/=+$/, '')
  const parameters = Object.entries({
    ...config!.authorizationParams,
    client_id: config!.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: config!.scope ?? '',
    state: random(),
    nonce: random(),
    code_challenge: code.replaceAll('+', '-').replaceAll('/', '_'),
    code_challenge_method: 'S256',
    prompt: 'none',
    response_mode: config!.responseMode === 'fragment' ? 'fragment' : '',
  }).flatMap(([name, value]) => (value ? [[name, String(value)] as const] : []))
  const pushed = await push(deployment, id, Object.fromEntries(parameters), redirectUri)
  if (pushed === 'refused') return
  const url = new URL(endpoint)
  for (const [name, value] of pushed ?? parameters) url.searchParams.set(name, value)
  reportClient(deployment, id, await requests.send(url.href, { headers: NAVIGATION }), redirectUri)
}

/**
 * Pushes the request as the core does (RFC 9126). Resolves with the parameters that stand for it, with `undefined` if the
 * login goes on without a push, and with `'refused'` if it does not. Then the report has the reason.
 */
const push = async (
  deployment: Deployment,
  id: string,
  form: Record<string, string>,
  redirectUri: string,
): Promise<[string, string][] | 'refused' | undefined> => {
  const { report, requests, config, metadata, origin } = deployment
  const endpoint = metadata!.pushed_authorization_request_endpoint
  if (typeof endpoint !== 'string' || config!.par === false) return undefined
  const mustPush = metadata!.require_pushed_authorization_requests === true || config!.par === true
  const reply = await requests.send(endpoint, { method: 'POST', headers: crossOrigin(origin), form })
  // Without a usable response, the core says that the provider is not available.
  if (reply.status === 0 || reply.status === 429 || reply.status >= 500) {
    report.unseen(id, `a pushed request got no usable response (${seenOf(reply)})`)
    return 'refused'
  }
  const name = 'Access-Control-Allow-Origin'
  const allowed = reply.header(name)
  const isReadable = new URL(endpoint).origin === origin || allowed === '*' || allowed === origin
  if (!isReadable && !mustPush) {
    report.unused(
      'provider.cors-par',
      `${origin} may not read the responses to pushed requests, so its requests are not pushed`,
    )
    return undefined
  }
  report.check(
    'provider.cors-par',
    `${origin} may read the responses to pushed requests`,
    isReadable ? undefined : 'the browser refuses the responses to pushed requests, so each login fails',
    `${seenOf(reply)}, ${seenHeader(reply, name)}`,
    `${name}: ${origin} (at the provider: add the app's origin to the client's allowed origins)`,
  )
  if (!isReadable) return 'refused'
  const body = jsonOf(reply)
  const uri = body?.['request_uri']
  if (reply.status === 201 && typeof uri === 'string') {
    return [
      ['client_id', config!.clientId],
      ['request_uri', uri],
    ]
  }
  const error = codeIn(body)
  const isOfClient =
    /^(invalid_client|unauthorized_client)$/.test(error) || [401, 403, 404, 405].includes(reply.status)
  if (isOfClient && !mustPush) return undefined
  const description = firstWords(String(body?.['error_description'] ?? ''))
  const isOfRedirect = /redirect/i.test(`${error} ${description}`)
  report.fault(
    id,
    'the provider refuses the pushed authorization request',
    error ? `${reply.status} ${error}${description && ` (${description})`}` : seenOf(reply),
    isOfClient
      ? `register the client ${config!.clientId} as public: token_endpoint_auth_method "none", with pushed requests`
      : isOfRedirect
        ? `register the redirect URI ${redirectUri}, exactly so, for the client ${config!.clientId} at the provider`
        : fixFor(deployment, error, description),
  )
  return 'refused'
}

/** Returns the error code in a response (RFC 6749 5.2), or an empty string for anything else. */
export const codeIn = (body: Record<string, unknown> | undefined): string => {
  const error = body?.['error']
  return typeof error === 'string' && /^[!#-[\]-~ ]{1,64}$/.test(error) ? error : ''
}

/** Returns what to do about an error of the authorization endpoint. */
const fixFor = (deployment: Deployment, error: string, description: string): string => {
  if (error === 'invalid_scope')
    return `${option(deployment, 'scope', 'openid')} and the scopes that the provider allows for this client`
  if (/\bpushed\b/i.test(description)) {
    return deployment.config?.par === false
      ? 'remove `par` from the configuration: the provider requires pushed requests of this client'
      : "let the provider accept pushed requests of this client and the app's origin, which it requires"
  }
  return 'allow the client the authorization code flow with PKCE, and the parameters of authorizationParams'
}

/** The headers of a navigation. */
export const NAVIGATION = {
  Accept: 'text/html',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Site': 'cross-site',
}

/** Adds the line about an authorization response to a request without interaction. */
export const reportClient = (deployment: Deployment, id: string, reply: Reply, redirectUri: string) => {
  const { report, config, metadata } = deployment
  const { redirect } = reply
  if (redirect === undefined || !isAt(redirect, redirectUri)) {
    const text = textOf(reply)
    const isUnknown = /invalid_client\b/i.test(text)
    const at = text.search(isUnknown ? /invalid_client\b/i : REFUSED)
    if (reply.status >= 400 && at >= 0) {
      const client = config ? ` ${config.clientId}` : ''
      report.fault(
        id,
        `the provider does not know the ${isUnknown ? 'client' : 'redirect URI'}`,
        `${reply.status}: ${CODE.exec(text.slice(at))?.[0] ?? sentenceAt(text, at)}`,
        isUnknown
          ? `register the client${client} at the provider, or correct \`${config ? 'clientId' : 'client.id'}\``
          : `register the redirect URI ${redirectUri}, exactly so, for the client${client} at the provider`,
      )
      return
    }
    if (reply.failure !== undefined) {
      report.unseen(id, `the authorization endpoint does not respond: ${reply.failure}`)
      return
    }
    const shown =
      reply.status === 200
        ? 'the provider shows a page in spite of prompt=none, which proves nothing'
        : 'an error page proves nothing'
    report.unseen(
      id,
      `${shown} (${seenOf(reply)}): compare the client and the redirect URI ${redirectUri} with the registration`,
    )
    return
  }
  const { searchParams, hash } = new URL(redirect)
  const values = hash ? new URLSearchParams(hash.slice(1)) : searchParams
  const error = values.get('error') ?? ''
  const description = values.get('error_description')
  report.check(
    id,
    `the provider knows the client and the redirect URI ${redirectUri}`,
    NOBODY.test(error) ? undefined : 'the provider refuses the authorization request',
    `error=${error}${description ? ` (${description})` : ''}`,
    fixFor(deployment, error, description ?? ''),
  )
  const issuer = config?.issuer
  if (metadata?.authorization_response_iss_parameter_supported !== true || metadata.issuer !== issuer) return
  const iss = values.get('iss')
  if (iss === null) {
    report.unseen(
      'provider.iss-value',
      'this error response has no iss, although the metadata has authorization_response_iss_parameter_supported (RFC 9207 2): a silent login, and a login that the user denies, end with callback_invalid. Only a login shows whether successful responses have iss. Without it, each login fails',
    )
    return
  }
  report.check(
    'provider.iss-value',
    'the authorization response names the configured issuer',
    iss === issuer
      ? undefined
      : 'the authorization response does not name the configured issuer, so each login fails',
    `iss=${iss}`,
    // The metadata has the configured issuer, so no value of the option would be right.
    `let the provider use one issuer: its metadata has ${issuer}`,
  )
}

/** Words with which an error page refuses the redirect URI. */
const REFUSED =
  /redirect(_uri)?_mismatch|(redirect|callback).ur[il].{0,160}(mismatch|not (match|valid|registered|allowed|associated)|must be a|is invalid)|(invalid|unregistered)[_ :].{0,12}redirect.ur[il]/i

/** A code that says by itself what an error page refuses. */
const CODE = /^(invalid_client|invalid_redirect_ur[il]|redirect_ur[il]_mismatch)\b/i

/** Returns the sentence around a place in the text of a page. */
const sentenceAt = (text: string, at: number): string => {
  // Headings end without a full stop, so only the last words before this place are kept.
  const before = text
    .slice(0, at)
    .split(/[.!?] /)
    .at(-1)!
    .split(' ')
    .slice(-10)
  return firstWords(before.join(' ') + text.slice(at).split(/(?<=[.!?]) /)[0])
}

const isAt = (address: string, redirectUri: string) => {
  const [url, expected] = [new URL(address), new URL(redirectUri)]
  return (
    url.protocol === expected.protocol && url.host === expected.host && url.pathname === expected.pathname
  )
}
