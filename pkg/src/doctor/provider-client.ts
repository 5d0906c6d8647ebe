/** The line about client and redirect URI, from a login without interaction. */
import { allowedOrigin, isReadable, ORIGIN } from './cors.js'
import { type Deployment, option } from './deployment.js'
import { check, fault, ok, unseen, unused, type Verdict } from './report.js'
import {
  firstWords,
  jsonOf,
  type Reply,
  crossOrigin,
  random,
  seenHeader,
  seenOf,
  textOf,
} from './requests.js'

/** Errors, and no error, by which a provider refuses nothing of the configuration. */
const NO_REFUSAL = /^(|access_denied|server_error|temporarily_unavailable)$/

/** Errors with which a provider says that it knows client and redirect URI, and that the user is not signed in. */
const NOBODY = /^(login_required|interaction_required|consent_required|account_selection_required)$/

/**
 * Asks for a login without interaction. Its error at the redirect URI proves client and redirect URI. Resolves with the
 * response.
 */
export const checkClient = async (deployment: Deployment): Promise<Reply | undefined> => {
  const { report, config, metadata, origin } = deployment
  const endpoint = metadata!.authorization_endpoint
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return undefined
  const id = 'provider.client'
  const mustPush = metadata!.require_pushed_authorization_requests === true
  if (mustPush && config!.par === false) {
    report.unseen(id, 'the provider requires pushed requests, and the configuration has par: false')
    return undefined
  }
  const redirectUri = new URL(config!.redirectUri, origin).href
  // Without OpenID Connect, the vault sends neither `prompt` nor a nonce.
  const [verdict, reply] = await withoutPrompt(
    (prompt) => ask(deployment, new URL(endpoint), redirectUri, prompt),
    config!.identity ? undefined : 'none',
  )
  report.add(id, verdict)
  if (reply && isAt(reply.redirect, redirectUri))
    report.add('provider.iss-value', issuerOf(deployment, reply))
  return reply
}

/**
 * Asks with a prompt, and once more without it if that is refused: no login of a user has this prompt, and some providers
 * refuse it.
 */
export const withoutPrompt = async <Evidence>(
  ask: (prompt?: string) => Promise<[Verdict, Evidence]>,
  prompt: string | undefined,
): Promise<[Verdict, Evidence]> => {
  const first = await ask(prompt)
  return prompt !== undefined && first[0].result === 'fault' ? ask() : first
}

/** Sends an authorization request as the vault would, and judges the response. */
const ask = async (
  deployment: Deployment,
  url: URL,
  redirectUri: string,
  prompt: string | undefined,
): Promise<[Verdict, Reply | undefined]> => {
  const { config, requests } = deployment
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(random()))
  const code = btoa(String.fromCharCode(...new Uint8Array(challenge))).replace(/=+$/, '')
  const parameters = Object.entries({
    ...config!.authorizationParams,
    client_id: config!.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: config!.scope ?? '',
    state: random(),
    nonce: config!.identity ? '' : random(),
    code_challenge: code.replaceAll('+', '-').replaceAll('/', '_'),
    code_challenge_method: 'S256',
    prompt,
    resource: config!.resource,
    response_mode: config!.responseMode === 'fragment' ? 'fragment' : '',
  }).flatMap(([name, value]) => (value ? [[name, String(value)] as const] : []))
  const pushed = await push(deployment, Object.fromEntries(parameters), redirectUri)
  if (pushed && 'result' in pushed) return [pushed, undefined]
  for (const [name, value] of pushed ?? parameters) url.searchParams.set(name, value)
  const reply = await requests.send(url.href, { headers: NAVIGATION })
  return [judge(deployment, reply, redirectUri), reply]
}

/**
 * Pushes the request as the core does (RFC 9126). Resolves with the parameters that stand for it, with `undefined` if the
 * login goes on without a push, and with a verdict if it does not.
 */
const push = async (
  deployment: Deployment,
  form: Record<string, string>,
  redirectUri: string,
): Promise<[string, string][] | Verdict | undefined> => {
  const { report, requests, config, metadata, origin } = deployment
  const endpoint = metadata!.pushed_authorization_request_endpoint
  if (typeof endpoint !== 'string' || config!.par === false) return undefined
  const mustPush = metadata!.require_pushed_authorization_requests === true || config!.par === true
  const reply = await requests.send(endpoint, { method: 'POST', headers: crossOrigin(origin), form })
  if (reply.isDown && mustPush) {
    const why = 'nothing responds to pushed requests, so no login can begin'
    return fault(why, `${seenOf(reply)} for ${endpoint}`, respond(endpoint))
  }
  // Without a usable response, the core says that the provider is not available.
  if ((reply.status === 0 && mustPush) || reply.status === 429 || reply.status >= 500)
    return unseen(`a pushed request got no usable response (${seenOf(reply)})`)
  const id = 'provider.cors-par'
  const mayRead = isReadable(reply, origin)
  if ((reply.status === 0 || !mayRead) && !mustPush) {
    report.unused(id, `${origin} gets no responses to pushed requests, so its requests are not pushed`)
    return undefined
  }
  report.check(
    id,
    `${origin} may read the responses to pushed requests`,
    !mayRead && 'the browser refuses the responses to pushed requests, so each login fails',
    `${seenOf(reply)}, ${seenHeader(reply, ORIGIN)}`,
    allowedOrigin(origin),
  )
  if (!mayRead) return unseen('no login can begin, so client and redirect URI were not seen')
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
  return fault(
    'the provider refuses the pushed authorization request',
    error ? `${reply.status} ${error}${description && ` (${description})`}` : seenOf(reply),
    isOfClient
      ? `register the client ${config!.clientId} as public: token_endpoint_auth_method "none", with pushed requests`
      : isOfRedirect
        ? `register the redirect URI ${redirectUri}, exactly so, for the client ${config!.clientId} at the provider`
        : fixFor(deployment, error, description),
  )
}

/** Returns the error code in a response (RFC 6749 5.2), or an empty string for anything else. */
export const codeIn = (body: Record<string, unknown> | undefined): string => {
  const error = body?.['error']
  return typeof error === 'string' && /^[!#-[\]-~ ]{1,64}$/.test(error) ? error : ''
}

/** Returns what to do about an error of the authorization endpoint. */
const fixFor = (deployment: Deployment, error: string, description: string): string => {
  const { resource, identity } = deployment.config ?? {}
  if (error === 'invalid_scope')
    return identity
      ? `in \`scope\`, only the scopes that the provider allows for this client`
      : `${option(deployment, 'scope', 'openid')} and the scopes that the provider allows for this client`
  if (error === 'invalid_target' && resource !== undefined)
    return `write \`resource\` exactly as the provider has registered it: it is ${resource}`
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

/** Returns the fix for an address at which nothing responds. */
export const respond = (address: string): string =>
  `let a server respond at ${new URL(address).origin}, or correct the provider's address in \`metadata\` or \`pinned\``

/** Judges an authorization response to a request without interaction. */
export const judge = (deployment: Deployment, reply: Reply, redirectUri: string): Verdict => {
  const { redirect } = reply
  if (redirect === undefined || !isAt(redirect, redirectUri)) return judgePage(deployment, reply, redirectUri)
  const values = valuesOf(redirect)
  const error = values.get('error') ?? ''
  const description = values.get('error_description') ?? ''
  // A code, which some providers issue without a question, is not repeated here.
  if (NOBODY.test(error) || (!error && values.get('code')))
    return ok(`the provider knows the client and the redirect URI ${redirectUri}`)
  if (NO_REFUSAL.test(error))
    return unseen(
      `the provider responds with ${error ? error : 'neither a code nor an error'} at the redirect URI: only a login shows more`,
    )
  return fault(
    'the provider refuses the authorization request',
    `error=${error}${description && ` (${description})`}`,
    fixFor(deployment, error, description),
  )
}

/** Judges a page of the provider. */
const judgePage = ({ config }: Deployment, reply: Reply, redirectUri: string): Verdict => {
  const text = textOf(reply)
  const isUnknown = /invalid_client\b/i.test(text)
  const at = text.search(isUnknown ? /invalid_client\b/i : REFUSED)
  if (reply.status >= 400 && at >= 0) {
    const client = config ? ` ${config.clientId}` : ''
    return fault(
      `the provider does not know the ${isUnknown ? 'client' : 'redirect URI'}`,
      `${reply.status}: ${CODE.exec(text.slice(at))?.[0] ?? sentenceAt(text, at)}`,
      isUnknown
        ? `register the client${client} at the provider, or correct \`${config ? 'clientId' : 'client.id'}\``
        : `register the redirect URI ${redirectUri}, exactly so, for the client${client} at the provider`,
    )
  }
  if (reply.isDown) {
    const seen = `${seenOf(reply)} for ${reply.url.split('?')[0]}`
    const why = 'nothing responds at the authorization endpoint, so no login can begin'
    return fault(why, seen, respond(reply.url))
  }
  if (reply.failure !== undefined)
    return unseen(`the authorization endpoint does not respond: ${reply.failure}`)
  const shown =
    reply.status < 400 ? 'the provider shows a page, which proves nothing' : 'an error page proves nothing'
  return unseen(
    `${shown} (${seenOf(reply).split('?')[0]}): compare the client and the redirect URI ${redirectUri} with the registration`,
  )
}

/** Returns the parameters of an authorization response. */
export const valuesOf = (redirect: string): URLSearchParams => {
  const { searchParams, hash } = new URL(redirect)
  return hash ? new URLSearchParams(hash.slice(1)) : searchParams
}

/** Judges whether an authorization response names the issuer (RFC 9207). */
const issuerOf = ({ config, metadata }: Deployment, { redirect }: Reply): Verdict | undefined => {
  const issuer = config?.issuer
  if (metadata?.issuer !== issuer) return undefined
  const iss = valuesOf(redirect!).get('iss')
  if (iss === null) {
    const announced =
      metadata?.authorization_response_iss_parameter_supported === true &&
      'the metadata has authorization_response_iss_parameter_supported'
    const reason = config?.requireIss ? 'requireIss is set' : announced
    if (!reason) return unused('this error response has no iss (RFC 9207 2), so requireIss must not be set')
    return unseen(
      `this error response has no iss, although ${reason} (RFC 9207 2): a silent login, and a login that the user denies, end with callback_invalid. Only a login shows whether successful responses have iss. Without it, each login fails`,
    )
  }
  return check(
    'the authorization response names the configured issuer',
    iss !== issuer && 'the authorization response does not name the configured issuer, so each login fails',
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

/** Returns true for a redirect to the redirect URI. */
export const isAt = (address: string | undefined, redirectUri: string): boolean => {
  if (address === undefined) return false
  const [url, expected] = [new URL(address), new URL(redirectUri)]
  return (
    url.protocol === expected.protocol && url.host === expected.host && url.pathname === expected.pathname
  )
}
