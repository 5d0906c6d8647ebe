/** The lines about the provider. */
import type { ProviderMetadata, VaultConfig } from '../worker/config.js'
import type { Deployment } from './deployment.js'
import { type Reply, seenOf } from './requests.js'

/** The members of a discovery document, as it arrived. */
type Document = Record<string, unknown>

/** The locations of a discovery document (OpenID Connect Discovery 4, RFC 8414 3.1). */
export const locations = (issuer: string): string[] => {
  const base = issuer.replace(/\/$/, '')
  const { origin } = new URL(base)
  const path = base.slice(origin.length)
  const oauth = '/.well-known/oauth-authorization-server'
  return [...new Set([`${base}/.well-known/openid-configuration`, origin + oauth + path, base + oauth])]
}

/** Requests the provider's metadata. */
export const findMetadata = async (deployment: Deployment): Promise<void> => {
  const { config, requests, origin } = deployment
  let first: Reply | undefined
  for (const url of locations(config!.issuer)) {
    const reply = await requests.send(url, { headers: { Origin: origin } })
    first ??= reply
    const document = reply.status === 200 ? object(reply.body) : undefined
    if (document) {
      deployment.discovery = { reply, document }
      deployment.metadata = usable(deployment, { ...document, ...config!.metadata })
      return
    }
  }
  deployment.discovery = { reply: first! }
  if (config!.metadata) deployment.metadata = usable(deployment, { ...config!.metadata })
}

/** Returns metadata that the core would accept, with members that do not matter for a judgment of others. */
const acceptable = ({ issuer }: VaultConfig): Document => ({
  ...Object.fromEntries(REQUIRED.map((name) => [name, `${issuer.replace(/\/$/, '')}/${name}`])),
  issuer,
})

/** Leaves out the addresses that the core would not request. The core judges each of them as it does a token endpoint. */
const usable = (deployment: Deployment, document: Document): Partial<ProviderMetadata> => {
  const { judge, config, origin, worker = '/' } = deployment
  const isUsable = ([name, value]: [string, unknown]) =>
    !/_(endpoint|uri)$/.test(name) ||
    judge({ ...config, metadata: { ...acceptable(config!), token_endpoint: value } }, origin + worker) === undefined
  return Object.fromEntries(Object.entries(document).filter(isUsable))
}

const object = (text: string): Document | undefined => {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The members without which the core does not judge metadata. */
const REQUIRED = ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri']

/** Lines that the core's own rules decide: for each, the members, and the line that fixes the configuration. */
const JUDGED: [id: string, members: string[], text: string, fix: (document: Document) => string][] = [
  ['issuer', ['issuer'], 'the issuer is exactly the configured one', ({ issuer }) => `issuer: '${issuer}'`],
  [
    'endpoints',
    ['authorization_endpoint', 'token_endpoint', 'jwks_uri'],
    'the endpoints are https URLs',
    () => 'metadata: { … } in the configuration, with the right addresses',
  ],
  [
    's256',
    ['code_challenge_methods_supported'],
    'PKCE with S256',
    () => 'turn PKCE with S256 on at the provider: code_challenge_methods_supported must contain "S256"',
  ],
  [
    'algorithms',
    ['id_token_signing_alg_values_supported'],
    'the algorithms of ID tokens are supported',
    () => 'let the provider sign ID tokens with ES256 or RS256',
  ],
  [
    'revocation',
    ['revocation_endpoint'],
    'logouts revoke the refresh token',
    () => "metadata: { revocation_endpoint: 'https://…' } in the configuration",
  ],
  [
    'par',
    ['pushed_authorization_request_endpoint', 'require_pushed_authorization_requests'],
    'authorization requests are pushed (RFC 9126)',
    () => 'par: false in the configuration, unless the provider requires pushed requests',
  ],
  [
    'iss',
    ['authorization_response_iss_parameter_supported'],
    'authorization responses name the issuer (RFC 9207)',
    () => 'let the provider announce authorization_response_iss_parameter_supported as a boolean',
  ],
]

/** Checks the provider. */
export const checkProvider = async (deployment: Deployment): Promise<void> => {
  const { report, config, discovery, metadata, options } = deployment
  if (!config) return
  if (!discovery?.document && !isComplete(config)) {
    const [url] = locations(config.issuer)
    report.fault(
      'provider.metadata',
      'the provider has no discovery document',
      `${seenOf(discovery!.reply)} for ${url}`,
      "correct `issuer`, or add metadata: { authorization_endpoint: 'https://…', token_endpoint: 'https://…', jwks_uri: 'https://…' }",
    )
    return
  }
  if (discovery?.document) {
    report.ok('provider.metadata', `${discovery.reply.url} has the provider's metadata`)
    allowsOrigin(deployment, 'provider.cors-metadata', discovery.reply)
  } else report.unused('provider.metadata', 'the configuration has the metadata')
  judgeMembers(deployment, { ...(discovery?.document ?? {}), ...config.metadata })
  if (!metadata) return
  checkProofs(deployment)
  await checkKeys(deployment)
  await checkTokenEndpoint(deployment, 'token', metadata.token_endpoint)
  await checkTokenEndpoint(deployment, 'revocation', metadata.revocation_endpoint)
  if (!options.probesToken) {
    report.unused('provider.cors-token-errors', 'errors of the token endpoint are seen with --probe-token')
  }
  await checkClient(deployment)
  if (/\boffline_access\b/.test(config.scope ?? '')) {
    report.unseen(
      'provider.refresh-tokens',
      'only a login shows if this public client gets refresh tokens: the console then says refresh_token_missing',
    )
  } else report.unused('provider.refresh-tokens', 'the scope has no offline_access')
}

const isComplete = ({ metadata, identity }: VaultConfig) =>
  metadata !== undefined &&
  'authorization_endpoint' in metadata &&
  'token_endpoint' in metadata &&
  (identity !== undefined || ('issuer' in metadata && 'jwks_uri' in metadata))

/** Lets the core judge each member by itself, between members that it accepts. */
const judgeMembers = (deployment: Deployment, document: Document) => {
  const { report, judge, config, origin, worker = '/' } = deployment
  const good = acceptable(config!)
  for (const [id, members, text, fix] of JUDGED) {
    const line = `provider.${id}`
    const isRequired = members.some((name) => REQUIRED.includes(name))
    const present = members.filter((name) => document[name] != null && document[name] !== '')
    if (config!.identity && (id === 'algorithms' || (!document['issuer'] && id === 'issuer'))) {
      report.unused(line, 'there are no ID tokens')
      continue
    }
    if (!present.length && !isRequired) {
      absent(deployment, id, line, text)
      continue
    }
    // The core counts a member that is null as missing.
    const own = Object.fromEntries(members.map((name) => [name, document[name] ?? null]))
    const fault = judge({ ...config, metadata: { ...good, ...own } }, origin + worker)
    report.check(line, text, fault && `the core refuses the metadata`, fault ?? '', fix(document))
  }
}

/** Adds the line about members that the metadata lacks. */
const absent = ({ report, config }: Deployment, id: string, line: string, text: string) => {
  if (id === 's256' || id === 'algorithms') {
    report.unseen(
      line,
      `the metadata does not say which ${id === 's256' ? 'PKCE methods' : 'algorithms'} the provider supports`,
    )
  } else if (id === 'par' && config!.par === true) {
    const seen = 'no pushed_authorization_request_endpoint in the metadata'
    report.fault(line, 'the provider takes no pushed requests, so each login fails', seen, "par: 'auto'")
  } else report.unused(line, `not announced: ${text}`)
}

/** Checks proofs of possession, and the pinned algorithm of ID tokens. */
const checkProofs = ({ report, config, discovery }: Deployment) => {
  const document = discovery?.document ?? {}
  const { idTokenSignedResponseAlg: pinned } = config!
  const algorithms = document['id_token_signing_alg_values_supported']
  if (pinned !== undefined && Array.isArray(algorithms)) {
    report.check(
      'provider.pinned-algorithm',
      `the provider signs ID tokens with ${pinned}`,
      algorithms.includes(pinned) ? undefined : `the provider does not sign ID tokens with ${pinned}`,
      `id_token_signing_alg_values_supported: ${algorithms.join(', ')}`,
      `idTokenSignedResponseAlg: '${algorithms[0]}'`,
    )
  }
  const id = 'provider.dpop'
  if (!config!.dpop) {
    report.unused(id, 'DPoP is off')
    return
  }
  const proofs = document['dpop_signing_alg_values_supported']
  if (!Array.isArray(proofs)) {
    report.unseen(
      id,
      'the metadata has no dpop_signing_alg_values_supported, so the provider may ignore proofs',
    )
    return
  }
  report.check(
    id,
    'the provider binds tokens to a key (ES256)',
    proofs.includes('ES256') ? undefined : 'the provider does not accept proofs with ES256',
    `dpop_signing_alg_values_supported: ${proofs.join(', ')}`,
    'dpop: false in the configuration, or turn ES256 on at the provider',
  )
}

/** Checks that the app's origin may read a response. */
const allowsOrigin = ({ report, origin, worker }: Deployment, id: string, reply: Reply) => {
  const value = reply.header('access-control-allow-origin')
  const { pathname, origin: of } = new URL(reply.url)
  if (worker !== undefined && of === origin) report.unused(id, `${pathname} is on the app's origin`)
  else {
    report.check(
      id,
      `${origin} may read ${of}${pathname}`,
      value === '*' || value === origin ? undefined : `the browser refuses the response of ${of}${pathname}`,
      value === undefined ? 'no Access-Control-Allow-Origin' : `Access-Control-Allow-Origin: ${value}`,
      `Access-Control-Allow-Origin: ${origin} (at the provider: add the app's origin to the client's allowed origins)`,
    )
  }
}

const checkKeys = async (deployment: Deployment) => {
  const { report, requests, config, metadata, origin } = deployment
  const url = metadata!.jwks_uri
  if (config!.identity || typeof url !== 'string') {
    report.unused('provider.keys', 'there are no ID tokens')
    return
  }
  const reply = await requests.send(url, { headers: { Origin: origin } })
  const keys = reply.status === 200 ? object(reply.body)?.['keys'] : undefined
  const hasKeys = Array.isArray(keys) && keys.length > 0
  report.check(
    'provider.keys',
    'the provider publishes keys',
    hasKeys ? undefined : 'the provider publishes no keys at jwks_uri',
    seenOf(reply),
    `let ${url} respond with 200 and { "keys": [ … ] }`,
  )
  if (hasKeys) allowsOrigin(deployment, 'provider.cors-keys', reply)
}

const DPOP: Record<string, string> = { 'Access-Control-Request-Headers': 'dpop' }

/** Checks an endpoint to which the worker posts forms: without a request that the provider could count as an attempt. */
const checkTokenEndpoint = async (
  deployment: Deployment,
  name: 'token' | 'revocation',
  url: string | undefined,
) => {
  const { report, requests, config, origin, options } = deployment
  const id = `provider.cors-${name}`
  if (typeof url !== 'string' || new URL(url).origin === origin) {
    report.unused(
      id,
      url === undefined ? `there is no ${name}_endpoint` : `the ${name} endpoint is on the app's origin`,
    )
    return
  }
  const isBound = config!.dpop === true && name === 'token'
  const headers = { Origin: origin, 'Access-Control-Request-Method': 'POST', ...(isBound && DPOP) }
  const reply = await requests.send(url, { method: 'OPTIONS', headers })
  const value = reply.header('access-control-allow-origin')
  const allowed = reply.header('access-control-allow-headers') ?? ''
  const fix = `Access-Control-Allow-Origin: ${origin} (at the provider: add the app's origin to the client's allowed origins)`
  if (value !== undefined && value !== '*' && value !== origin) {
    const why = `the browser refuses the responses of the ${name} endpoint`
    report.fault(id, why, `Access-Control-Allow-Origin: ${value}`, fix)
  } else if (isBound && value !== undefined && !/(^|[ ,])(dpop|\*)([ ,]|$)/i.test(allowed)) {
    const seen = `Access-Control-Allow-Headers: ${allowed || '(missing)'}`
    report.fault(
      id,
      'the token endpoint does not allow the header DPoP',
      seen,
      'Access-Control-Allow-Headers: DPoP',
    )
  } else if (value !== undefined) report.ok(id, `${origin} may read the responses of the ${name} endpoint`)
  else if (isBound) {
    report.fault(
      id,
      'the token endpoint allows no requests with DPoP',
      `${seenOf(reply)} for a preflight`,
      fix,
    )
  } else if (!options.probesToken) {
    report.unseen(
      id,
      `the ${name} endpoint does not respond to a preflight, which these requests do not need: --probe-token shows more`,
    )
  }
  if (options.probesToken && name === 'token') await probe(deployment, url)
}

/** Sends a token request that fails, because errors often lack the headers. */
const probe = async ({ report, requests, config, origin }: Deployment, url: string) => {
  const form = {
    grant_type: 'authorization_code',
    client_id: config!.clientId,
    code: 'strongroom-doctor',
    code_verifier: random() + random(),
    redirect_uri: new URL(config!.redirectUri, origin).href,
  }
  const headers = { Origin: origin, 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Site': 'cross-site' }
  const reply = await requests.send(url, { method: 'POST', headers, form })
  const value = reply.header('access-control-allow-origin')
  report.check(
    'provider.cors-token-errors',
    `${origin} may read the errors of the token endpoint`,
    value === '*' || value === origin ? undefined : 'the browser refuses the errors of the token endpoint',
    `${seenOf(reply)}, ${value === undefined ? 'no Access-Control-Allow-Origin' : `Access-Control-Allow-Origin: ${value}`}`,
    `Access-Control-Allow-Origin: ${origin}, also with errors`,
  )
  const error = object(reply.body)?.['error']
  if (error === 'invalid_client' || error === 'unauthorized_client') {
    const fix = 'register the client as public, without a secret: token_endpoint_auth_method "none"'
    report.fault(
      'provider.public-client',
      'the provider refuses this client without a secret',
      String(error),
      fix,
    )
  } else if (error === 'invalid_grant') report.ok('provider.public-client', 'the client needs no secret')
  else report.unseen('provider.public-client', `the provider responded with ${error ?? seenOf(reply)}`)
}

const random = () => crypto.randomUUID().replaceAll('-', '')

/** Errors with which a provider says that it knows client and redirect URI, and that nobody is signed in. */
const NOBODY = /^(login_required|interaction_required|consent_required|account_selection_required)$/

/** Asks for a login without interaction. Its error at the redirect URI proves client and redirect URI. */
const checkClient = async (deployment: Deployment) => {
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
export const reportClient = (
  { report, config, metadata }: Deployment,
  id: string,
  reply: Reply,
  redirectUri: string,
) => {
  const { redirect } = reply
  if (redirect === undefined || !isAt(redirect, redirectUri)) {
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
      ? "scope: 'openid' and the scopes that the provider allows for this client"
      : 'allow the client the authorization code flow with PKCE, and the parameters of authorizationParams',
  )
  const issuer = config?.issuer ?? metadata?.issuer
  if (metadata?.authorization_response_iss_parameter_supported !== true || issuer === undefined) return
  const iss = values.get('iss')
  report.check(
    'provider.iss-value',
    'the authorization response names the configured issuer',
    iss === issuer
      ? undefined
      : 'the authorization response does not name the configured issuer, so each login fails',
    iss === null ? 'no iss in the response' : `iss=${iss}`,
    iss === null
      ? 'let the provider send iss, or metadata: { authorization_response_iss_parameter_supported: false }'
      : `issuer: '${iss}'`,
  )
}

const isAt = (address: string, redirectUri: string) => {
  const [url, expected] = [new URL(address), new URL(redirectUri)]
  return (
    url.protocol === expected.protocol && url.host === expected.host && url.pathname === expected.pathname
  )
}
