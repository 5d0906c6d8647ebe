/**
 * A small stand-in for the conformance suite: the same API and an issuer with a few modules, on loopback, over https with
 * a self-signed certificate. It tests the driver, not strongroom.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { createServer } from 'node:https'
import { generate } from 'selfsigned'

const PLANS = {
  'oidcc-client-config-certification-test-plan': [
    'discovery-openid-config',
    'idtoken-sig-none',
    'signing-key-rotation',
  ],
  'oidcc-client-test-plan': ['', 'invalid-iss', 'userinfo-bearer-body'],
  'oidcc-client-refreshtoken-test-plan': ['refresh-token'],
  'oidcc-client-rp-initiated-logout-rp-basic': ['rp-init-logout'],
  'oidcc-client-back-channel-logout-rp-basic': [
    'rp-backchannel-rpinitlogout',
    'rp-backchannel-rpinitlogout-wrong-iss',
  ],
}
const PREFIX = 'oidcc-client-test'

/** Milliseconds after which a client that sends no UserInfo request counts as one that has refused the ID token. */
const SILENCE = 300

const random = () => randomBytes(16).toString('base64url')
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Returns a new key of the issuer, which signs ID tokens and logout tokens. */
function createKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = random()
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' },
    signed(claims, typ) {
      const input = `${part({ alg: 'ES256', kid, typ })}.${part(claims)}`
      const signature = sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${input}.${signature.toString('base64url')}`
    },
  }
}

/**
 * Starts the stand-in.
 *
 * @param {{ honest?: boolean; blind?: boolean }} [options] With `honest`, the modules with a wrong `iss` send the right
 *   one, so each client does what these modules call a failure. With `blind`, the stand-in does not notice.
 */
export async function startStandIn({ honest = false, blind = false } = {}) {
  const plans = new Map()
  const modules = new Map()
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
  })
  const server = createServer({ key, cert }, async (request, response) => {
    const url = new URL(request.url, origin)
    let body = ''
    for await (const chunk of request) body += chunk
    const { status = 200, headers, json } = await answer({ request, url, body })
    // The vault's requests come from another origin.
    const cors = {
      'access-control-allow-origin': request.headers.origin ?? '*',
      'access-control-allow-headers': 'authorization, content-type',
    }
    response.writeHead(status, { 'content-type': 'application/json', ...cors, ...headers })
    response.end(json && JSON.stringify(json))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `https://localhost:${server.address().port}`

  function answer({ request, url, body }) {
    if (request.method === 'OPTIONS') return { status: 204 }
    const [, area, ...path] = url.pathname.split('/')
    if (area === 'test')
      return ofIssuer({ request, url, body, alias: path[1], endpoint: path.slice(2).join('/') })
    return ofApi({ method: request.method, url, body, name: path[0], id: path[1] })
  }

  function ofApi({ method, url, body, name, id }) {
    const query = url.searchParams
    if (name === 'server') return { json: { version: '0.0.0' } }
    if (method === 'POST' && name === 'plan') {
      const plan = { id: random(), configuration: JSON.parse(body) }
      plans.set(plan.id, plan)
      const names = PLANS[query.get('planName')] ?? []
      return {
        status: 201,
        json: {
          id: plan.id,
          modules: names.map((one) => ({ testModule: one ? `${PREFIX}-${one}` : PREFIX })),
        },
      }
    }
    if (method === 'POST' && name === 'runner') {
      const { configuration } = plans.get(query.get('plan'))
      const name = query.get('test').slice(PREFIX.length + 1)
      const key = createKey()
      const module = { id: random(), name, configuration, key, discoveries: 0, status: 'WAITING', log: [] }
      modules.set(module.id, module)
      return { status: 201, json: { id: module.id } }
    }
    const module = modules.get(id)
    if (!module) return { status: 404 }
    if (method === 'DELETE') module.status = 'INTERRUPTED'
    return { json: name === 'log' ? module.log : { status: module.status, result: module.result } }
  }

  /** Ends a module once. */
  function end(module, result, message) {
    if (module.status !== 'WAITING') return
    Object.assign(module, { status: 'FINISHED', result })
    if (result === 'FAILED') module.log.push({ result: 'FAILURE', src: 'StandIn', msg: message })
  }

  async function ofIssuer({ request, url, body, alias, endpoint }) {
    const module = [...modules.values()].findLast(
      ({ configuration, status }) => configuration.alias === alias && status === 'WAITING',
    )
    if (!module) return { status: 404 }
    const issuer = `${origin}/test/a/${alias}/`
    const { name, configuration } = module
    const { client } = configuration
    switch (endpoint) {
      case '.well-known/openid-configuration':
        if (name === 'discovery-openid-config') queueMicrotask(() => end(module, 'PASSED'))
        module.discoveries++
        return { json: metadata(issuer) }
      case 'jwks':
        return { json: { keys: [module.key.jwk] } }
      case 'authorize':
        if (name === 'signing-key-rotation' && module.request) {
          module.rotated = true
          module.key = createKey()
        }
        module.request = Object.fromEntries(url.searchParams)
        return back(client.redirect_uri, { code: random(), state: module.request.state, iss: issuer })
      case 'token':
        return token({ module, issuer, parameters: new URLSearchParams(body) })
      case 'userinfo':
        return userInfo({
          module,
          isBearer: request.headers.authorization === `Bearer ${module.accessToken}`,
        })
      case 'end_session_endpoint': {
        const asked = url.searchParams.get('post_logout_redirect_uri')
        const hint = url.searchParams.get('id_token_hint')
        const fits = asked === client.post_logout_redirect_uri && hint === module.idToken
        if (!fits) end(module, 'FAILED', `another address or ID token: ${asked}`)
        else if (name.startsWith('rp-backchannel-')) await notify(module, issuer)
        else end(module, 'PASSED')
        return back(client.post_logout_redirect_uri, {})
      }
      default:
        return { status: 404 }
    }
  }

  /** Sends a logout token, and ends the module by the status of the response. */
  async function notify(module, issuer) {
    const { client } = module.configuration
    const isWrong = module.name.endsWith('wrong-iss')
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: isWrong && !honest ? `${issuer}other` : issuer,
      aud: client.client_id,
      iat: now,
      exp: now + 60,
      jti: random(),
      sub: 'alice',
      sid: 'one',
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    }
    const body = new URLSearchParams({ logout_token: module.key.signed(claims, 'logout+jwt') })
    const { status } = await fetch(client.backchannel_logout_uri, { method: 'POST', body })
    const expected = isWrong ? 400 : 200
    if (status === expected || blind) end(module, 'PASSED')
    else end(module, 'FAILED', `the logout token got ${status}`)
  }

  function token({ module, issuer, parameters }) {
    const { name, request, configuration } = module
    const isRefresh = parameters.get('grant_type') === 'refresh_token'
    if (isRefresh && parameters.get('refresh_token') !== module.refreshToken) {
      end(module, 'FAILED', 'another refresh token')
      return { status: 400, json: { error: 'invalid_grant' } }
    }
    const verifier = parameters.get('code_verifier') ?? ''
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    if (!isRefresh && challenge !== request.code_challenge)
      return { status: 400, json: { error: 'invalid_grant' } }
    module.refreshed = isRefresh
    module.accessToken = random()
    module.refreshToken = random()
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: name === 'invalid-iss' && !honest ? `${issuer}other` : issuer,
      sub: 'alice',
      sid: 'one',
      aud: configuration.client.client_id,
      iat: now,
      exp: now + 600,
      ...(!isRefresh && { nonce: request.nonce }),
    }
    if (name === 'invalid-iss') setTimeout(() => end(module, 'PASSED'), SILENCE)
    if (name === 'idtoken-sig-none') setTimeout(() => end(module, 'SKIPPED'), SILENCE)
    module.idToken =
      name === 'idtoken-sig-none' ? `${part({ alg: 'none' })}.${part(claims)}.` : module.key.signed(claims)
    module.log.push({ src: 'StandIn', id_token: { verifiable_jws: module.idToken } })
    return {
      json: {
        access_token: module.accessToken,
        refresh_token: module.refreshToken,
        token_type: 'Bearer',
        expires_in: 600,
        id_token: module.idToken,
      },
    }
  }

  function userInfo({ module, isBearer }) {
    const { name } = module
    if (!isBearer) return { status: 401 }
    if (name === 'invalid-iss' && !blind) end(module, 'FAILED', 'the client went on')
    if (module.rotated && module.discoveries > 1) end(module, 'FAILED', 'another client')
    if (name === '' || module.rotated || (name === 'refresh-token' && module.refreshed))
      queueMicrotask(() => end(module, 'PASSED'))
    return { json: { sub: 'alice', name: 'Alice' } }
  }

  return {
    origin,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const metadata = (issuer) => ({
  issuer,
  authorization_endpoint: `${issuer}authorize`,
  token_endpoint: `${issuer}token`,
  userinfo_endpoint: `${issuer}userinfo`,
  end_session_endpoint: `${issuer}end_session_endpoint`,
  jwks_uri: `${issuer}jwks`,
  response_types_supported: ['code'],
  id_token_signing_alg_values_supported: ['ES256'],
  code_challenge_methods_supported: ['S256'],
})

/** Returns a redirect with these parameters. */
function back(address, parameters) {
  const url = new URL(address)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return { status: 303, headers: { location: url.href } }
}
