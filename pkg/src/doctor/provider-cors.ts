/** The lines about the provider's endpoints that the worker requests: the browser must let it read the responses. */
import { allowedOrigin, HEADERS, isReadable, ORIGIN } from './cors.js'
import { type Deployment, option } from './deployment.js'
import { codeIn, respond } from './provider-client.js'
import { check, fault, ok, unseen, unused, type Verdict } from './report.js'
import { completed, crossOrigin, jsonOf, listOf, random, type Reply, seenHeader, seenOf } from './requests.js'

/** Judges whether the app's origin may read a response. */
export const allowsOrigin = ({ origin }: Deployment, reply: Reply): Verdict => {
  const { pathname, origin: of } = new URL(reply.url)
  if (of === origin) return unused(`${pathname} is on the app's origin`)
  return check(
    `${origin} may read ${of}${pathname}`,
    !isReadable(reply, origin) && `the browser refuses the response of ${of}${pathname}`,
    seenHeader(reply, ORIGIN),
    allowedOrigin(origin),
  )
}

/** Checks the provider's keys. */
export const checkKeys = async (deployment: Deployment) => {
  const { report, requests, config, metadata, origin } = deployment
  const url = metadata!.jwks_uri
  if (config!.identity || typeof url !== 'string') {
    report.unused('provider.keys', 'there are no ID tokens')
    return
  }
  const reply = await requests.send(url, { headers: { Origin: origin } })
  const keys = reply.status === 200 ? jsonOf(reply)?.['keys'] : undefined
  const hasKeys = Array.isArray(keys) && keys.length > 0
  report.check(
    'provider.keys',
    'the provider publishes keys',
    !hasKeys && 'the provider publishes no keys at jwks_uri',
    seenOf(reply),
    `let ${url} respond with 200 and { "keys": [ … ] }`,
  )
  if (hasKeys) report.add('provider.cors-keys', allowsOrigin(deployment, reply))
}

/** An endpoint that the worker requests, and what follows if nothing responds there. */
const CONSEQUENCES = {
  token: 'so each login fails',
  profile: 'so a login in a browser without a session fails (profile_failed)',
  revocation: 'so a refresh token stays valid after a logout',
}

/** Checks an endpoint that the worker requests: without a request that the provider could count as an attempt. */
export const checkEndpoint = async (
  deployment: Deployment,
  name: keyof typeof CONSEQUENCES,
  url: string | undefined,
) => {
  const { report, requests, config, origin, options } = deployment
  const id = `provider.cors-${name}`
  if (url === undefined) return report.unused(id, `there is no ${name} endpoint`)
  const isOwn = new URL(url).origin === origin
  const needed = [
    ...(name === 'profile' ? ['Authorization'] : []),
    ...(config!.dpop && name !== 'revocation' ? ['DPoP'] : []),
  ]
  const headers = {
    Origin: origin,
    'Access-Control-Request-Method': name === 'profile' ? 'GET' : 'POST',
    ...(needed.length && { 'Access-Control-Request-Headers': needed.join(',').toLowerCase() }),
  }
  const preflight = isOwn ? undefined : await requests.send(url, { method: 'OPTIONS', headers })
  // A firewall may drop OPTIONS, which not every request needs.
  const reply = preflight?.failure === undefined && preflight ? preflight : await requests.send(url)
  if (reply.isDown) {
    const why = `nothing responds at the ${name} endpoint, ${CONSEQUENCES[name]}`
    return report.fault(id, why, `${seenOf(reply)} for ${url}`, respond(url))
  }
  if (isOwn) report.unused(id, `the ${name} endpoint is on the app's origin`)
  else report.add(id, judgePreflight(deployment, name, preflight!, needed))
  if (options.probesToken && name === 'token') await probe(deployment, url)
}

/** Judges a preflight, which only requests with certain headers need. */
const judgePreflight = (
  { origin, options }: Deployment,
  name: string,
  reply: Reply,
  needed: string[],
): Verdict | undefined => {
  const of = `the ${name} endpoint`
  if (needed.length && reply.failure !== undefined)
    return unseen(`${of} does not respond to a preflight: ${reply.failure}`)
  const isSilent = reply.header(ORIGIN) === undefined
  if (!isSilent && !isReadable(reply, origin))
    return fault(
      `the browser refuses the responses of ${of}`,
      seenHeader(reply, ORIGIN),
      allowedOrigin(origin),
    )
  if (needed.length && (isSilent || reply.status < 200 || reply.status > 299))
    return fault(
      `${of} allows no requests with ${needed.join(' and ')}`,
      `${seenOf(reply)} for a preflight`,
      isSilent ? allowedOrigin(origin) : 'a status from 200 to 299 for preflights, without authentication',
    )
  const headers = listOf(reply, HEADERS)
  // `*` does not stand for Authorization (Fetch 3.3.5).
  const missing = needed.filter(
    (one) => !headers.includes(one.toLowerCase()) && !(one === 'DPoP' && headers.includes('*')),
  )
  if (missing.length)
    return fault(
      `${of} does not allow the header ${missing.join(' or ')}`,
      seenHeader(reply, HEADERS),
      completed(reply, HEADERS, missing),
    )
  if (!isSilent) return ok(`preflights of ${of} allow ${origin}`)
  return options.probesToken
    ? undefined
    : unseen(
        `${of} does not respond to a preflight, which these requests do not need: --probe-token shows more`,
      )
}

/** Checks the address that is asked for the user at each login, if there is one. */
export const checkProfile = async (deployment: Deployment): Promise<void> => {
  const { report, config, metadata, discovery } = deployment
  const { identity, userInfo, issuer } = config!
  if (typeof identity === 'object' && 'url' in identity)
    return checkEndpoint(deployment, 'profile', identity.url)
  const id = 'provider.cors-profile'
  if (!userInfo) return report.unused(id, 'no profile is requested')
  const url = metadata!.userinfo_endpoint
  const isNamed = config!.metadata && 'userinfo_endpoint' in config!.metadata
  if (typeof url === 'string' && (isNamed || new URL(url).origin === new URL(issuer).origin))
    return checkEndpoint(deployment, 'profile', url)
  return report.fault(
    id,
    url === undefined
      ? `there is no UserInfo endpoint, ${CONSEQUENCES.profile}`
      : `the UserInfo endpoint is on another origin than the issuer, ${CONSEQUENCES.profile}`,
    `userinfo_endpoint: ${JSON.stringify(discovery?.document?.['userinfo_endpoint'])}`,
    url === undefined
      ? option(deployment, 'userInfo', false)
      : option(deployment, 'metadata', { ...config!.metadata, userinfo_endpoint: url }),
  )
}

/** Revokes a token that does not exist, to see if the provider lets this client revoke (RFC 7009 2.2). */
export const revocation = async (deployment: Deployment): Promise<Verdict | undefined> => {
  const { requests, config, metadata, origin, options } = deployment
  const url = metadata!.revocation_endpoint
  if (typeof url !== 'string' || !options.probesToken) return undefined
  const form = { token: random(), token_type_hint: 'refresh_token', client_id: config!.clientId }
  const reply = await requests.send(url, { method: 'POST', headers: crossOrigin(origin), form })
  const error = codeIn(jsonOf(reply))
  if (reply.status === 200) return ok('logouts can revoke the refresh token')
  if (reply.status === 401 || error === 'invalid_client' || error === 'unauthorized_client')
    return fault(
      'the provider does not let this client revoke tokens, so a refresh token stays valid after a logout',
      `${seenOf(reply)}${error && `: ${error}`}`,
      `let the provider accept revocations of the public client ${config!.clientId} (RFC 7009), or end the session at the provider too: logout({ provider: true })`,
    )
  return unseen(`the response, ${error || seenOf(reply)}, does not show if logouts can revoke`)
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
  const reply = await requests.send(url, { method: 'POST', headers: crossOrigin(origin), form })
  const id = 'provider.cors-token-errors'
  if (reply.failure !== undefined) {
    report.unseen(id, `the token endpoint does not respond: ${reply.failure}`)
    return
  }
  if (reply.redirect !== undefined) {
    report.fault(
      'provider.token',
      'the token endpoint redirects, and the core follows no redirect of a request with a code or token',
      seenOf(reply),
      `let the metadata name ${reply.redirect}`,
    )
    return
  }
  report.check(
    id,
    `${origin} may read the errors of the token endpoint`,
    !isReadable(reply, origin) && 'the browser refuses the errors of the token endpoint',
    `${seenOf(reply)}, ${seenHeader(reply, ORIGIN)}`,
    `${ORIGIN}: ${origin} (once in each response, errors included)`,
  )
  report.add('provider.public-client', publicClient(reply, config!.clientId))
}

/** Judges whether the client needs a secret, from the response to an invalid code. */
const publicClient = (reply: Reply, clientId: string): Verdict => {
  const error = codeIn(jsonOf(reply))
  if (error === 'invalid_grant') return ok('the client needs no secret')
  if (error === 'invalid_client' || error === 'unauthorized_client')
    return fault(
      'the provider does not know this client, or wants a secret',
      error,
      `register the client ${clientId} as public: token_endpoint_auth_method "none"`,
    )
  return unseen(`the response, ${error || seenOf(reply)}, does not show if the client needs a secret`)
}
