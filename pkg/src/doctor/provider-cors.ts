/** The lines about the provider's endpoints that the worker requests: the browser must let it read the responses. */
import type { Deployment } from './deployment.js'
import { codeIn, random } from './provider-client.js'
import { completed, jsonOf, listOf, type Reply, crossOrigin, seenHeader, seenOf } from './requests.js'

const ORIGIN = 'Access-Control-Allow-Origin'
const HEADERS = 'Access-Control-Allow-Headers'

/** Checks that the app's origin may read a response. */
export const allowsOrigin = ({ report, origin }: Deployment, id: string, reply: Reply): void => {
  const value = reply.header(ORIGIN)
  const { pathname, origin: of } = new URL(reply.url)
  if (of === origin) report.unused(id, `${pathname} is on the app's origin`)
  else {
    report.check(
      id,
      `${origin} may read ${of}${pathname}`,
      value === '*' || value === origin ? undefined : `the browser refuses the response of ${of}${pathname}`,
      seenHeader(reply, ORIGIN),
      `${ORIGIN}: ${origin} (at the provider: add the app's origin to the client's allowed origins)`,
    )
  }
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
    hasKeys ? undefined : 'the provider publishes no keys at jwks_uri',
    seenOf(reply),
    `let ${url} respond with 200 and { "keys": [ … ] }`,
  )
  if (hasKeys) allowsOrigin(deployment, 'provider.cors-keys', reply)
}

const DPOP: Record<string, string> = { 'Access-Control-Request-Headers': 'dpop' }

/** Checks an endpoint to which the worker posts forms: without a request that the provider could count as an attempt. */
export const checkTokenEndpoint = async (
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
  if (isBound && reply.failure !== undefined) {
    report.unseen(id, `the ${name} endpoint does not respond to a preflight: ${reply.failure}`)
    return
  }
  const value = reply.header(ORIGIN)
  const allowed = listOf(reply, HEADERS)
  const fix = `${ORIGIN}: ${origin} (at the provider: add the app's origin to the client's allowed origins)`
  if (value !== undefined && value !== '*' && value !== origin) {
    const why = `the browser refuses the responses of the ${name} endpoint`
    report.fault(id, why, seenHeader(reply, ORIGIN), fix)
  } else if (isBound && value !== undefined && !allowed.includes('dpop') && !allowed.includes('*')) {
    report.fault(
      id,
      'the token endpoint does not allow the header DPoP',
      seenHeader(reply, HEADERS),
      completed(reply, HEADERS, ['DPoP']),
    )
  } else if (value !== undefined) report.ok(id, `preflights of the ${name} endpoint allow ${origin}`)
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

/** Revokes a token that does not exist, to see if the provider lets this client revoke (RFC 7009 2.2). */
export const checkRevocation = async ({
  report,
  requests,
  config,
  metadata,
  origin,
  options,
}: Deployment) => {
  const url = metadata!.revocation_endpoint
  if (typeof url !== 'string' || !options.probesToken) return
  const form = { token: random(), token_type_hint: 'refresh_token', client_id: config!.clientId }
  const reply = await requests.send(url, { method: 'POST', headers: crossOrigin(origin), form })
  const id = 'provider.logout'
  const error = codeIn(jsonOf(reply))
  if (reply.status === 200) report.ok(id, 'logouts can revoke the refresh token')
  else if (reply.status === 401 || error === 'invalid_client' || error === 'unauthorized_client') {
    report.fault(
      id,
      'the provider does not let this client revoke tokens, so a refresh token stays valid after a logout',
      `${seenOf(reply)}${error && `: ${error}`}`,
      `let the provider accept revocations of the public client ${config!.clientId} (RFC 7009), or end the session at the provider too: logout({ provider: true })`,
    )
  } else report.unseen(id, `the response, ${error || seenOf(reply)}, does not show if logouts can revoke`)
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
  if (reply.failure !== undefined) {
    report.unseen('provider.cors-token-errors', `the token endpoint does not respond: ${reply.failure}`)
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
  const value = reply.header(ORIGIN)
  report.check(
    'provider.cors-token-errors',
    `${origin} may read the errors of the token endpoint`,
    value === '*' || value === origin ? undefined : 'the browser refuses the errors of the token endpoint',
    `${seenOf(reply)}, ${seenHeader(reply, ORIGIN)}`,
    `${ORIGIN}: ${origin} (once in each response, errors included)`,
  )
  const error = codeIn(jsonOf(reply))
  if (error === 'invalid_client' || error === 'unauthorized_client') {
    const fix = `register the client ${config!.clientId} as public: token_endpoint_auth_method "none"`
    report.fault(
      'provider.public-client',
      'the provider does not know this client, or wants a secret',
      error,
      fix,
    )
  } else if (error === 'invalid_grant') report.ok('provider.public-client', 'the client needs no secret')
  else
    report.unseen(
      'provider.public-client',
      `the response, ${error || seenOf(reply)}, does not show if the client needs a secret`,
    )
}
