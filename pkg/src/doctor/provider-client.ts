/** The line about client and redirect URI, from a login without interaction. */
import { type Deployment, option } from './deployment.js'
import { firstWords, type Reply, seenOf, textOf } from './requests.js'

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
  if (metadata!.require_pushed_authorization_requests === true) {
    report.unseen(id, 'the provider requires pushed requests, so only a login shows if it knows the client')
    return
  }
  const redirectUri = new URL(config!.redirectUri, origin).href
  const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(random()))
  const code = btoa(String.fromCharCode(...new Uint8Array(challenge))).replace(/=+$/, '')
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries({
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
  })) {
    if (value) url.searchParams.set(name, String(value))
  }
  reportClient(deployment, id, await requests.send(url.href, { headers: NAVIGATION }), redirectUri)
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
    report.unseen(
      id,
      `an error page proves nothing (${seenOf(reply)}): compare the client and the redirect URI ${redirectUri} with the registration`,
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
    error === 'invalid_scope'
      ? `${option(deployment, 'scope', 'openid')} and the scopes that the provider allows for this client`
      : 'allow the client the authorization code flow with PKCE, and the parameters of authorizationParams',
  )
  const issuer = config?.issuer
  if (metadata?.authorization_response_iss_parameter_supported !== true || metadata.issuer !== issuer) return
  const iss = values.get('iss')
  report.check(
    'provider.iss-value',
    'the authorization response names the configured issuer',
    iss === issuer
      ? undefined
      : 'the authorization response does not name the configured issuer, so each login fails',
    iss === null ? 'no iss in the response' : `iss=${iss}`,
    iss === null
      ? `let the provider send iss, or ${option(deployment, 'metadata', { authorization_response_iss_parameter_supported: false })}`
      : option(deployment, 'issuer', iss),
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
