import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { sendJson } from './responses.mjs'
import { readBody } from './body.mjs'
import { DpopVerifier } from './dpop.mjs'
import { listen } from './listen.mjs'
import { ROUTES } from './routes.mjs'
import { startSockets } from './sockets.mjs'

/**
 * One request that arrived at the API, even if the API rejected it.
 *
 * @typedef {object} ApiRequest
 * @property {number} at Milliseconds since the Unix epoch.
 * @property {string} method
 * @property {string} path With the query.
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string | null} authorization The `Authorization` header.
 * @property {import('jose').JWTPayload | null} claims The claims of the access token, if the token was valid.
 * @property {number} status The response's status, or 0 before the response.
 * @property {number} bytes The length of the request's body.
 * @property {boolean} aborted True if the client disconnected before the response was complete.
 * @property {() => void} break Cuts the connection.
 * @property {Promise<void>} closed Resolves when the exchange has completed or was aborted.
 */

/**
 * Starts a resource server on loopback. Everything below `/v1/` requires an access token of `issuer` for `audience`,
 * whose signature is verified (RFC 9068). The routes are in routes.mjs.
 *
 * @param {object} options
 * @param {string} options.issuer
 * @param {string} [options.provider] The provider's URL for fetching its keys, if this URL differs from `issuer`.
 * @param {string} [options.publicOrigin] The server's public origin, if it is behind a proxy.
 * @param {string} options.audience
 * @param {string[]} options.allowedOrigins Origins whose pages may call the API (CORS).
 * @param {number} [options.port]
 * @param {boolean} [options.orNext]
 * @param {boolean | 'optional'} [options.dpop] Tokens must be bound to a key, and each request needs a proof (RFC 9449).
 *   With `'optional'` this applies only to tokens that are bound.
 */
export async function startApi({
  issuer,
  provider = issuer,
  publicOrigin,
  audience,
  allowedOrigins,
  port = 0,
  orNext = false,
  dpop = false,
}) {
  const proofs = new DpopVerifier()
  /** @type {ApiRequest[]} All requests except preflights, oldest first. */
  const requests = []
  /** @type {ApiRequest[]} CORS preflights. */
  const preflights = []
  const verify = createVerifier({ issuer, provider, audience })
  const state = { orders: [...FIRST_ORDERS], rejected: new Set() }

  const handlers = new Map()
  const mounted = new Map()
  const sockets = startSockets({ verify })

  const server = await listen({
    port,
    orNext,
    upgrade: sockets.upgrade,
    async handler(request, response) {
      allowOrigin(request, response, allowedOrigins)
      const entry = note(request, response)
      if (request.method === 'OPTIONS') {
        preflights.push(entry)
        return answerPreflight(request, response)
      }
      requests.push(entry)
      await answer(request, response, entry)
    },
  })

  async function answer(request, response, entry) {
    const url = new URL(request.url, server.origin)
    const [, place, name] = url.pathname.split('/', 3)
    if (place === 'open' && handlers.has(name)) {
      return handlers.get(name)({ request, response, url, body: await readBody(request), entry })
    }
    if (!url.pathname.startsWith('/v1/')) return sendJson(response, 404, { error: 'not_found' })
    const [, named, token] = /^(\w+) (.+)$/.exec(entry.authorization ?? '') ?? []
    const isBound = dpop === 'optional' ? named === 'DPoP' : dpop
    const scheme = isBound ? 'DPoP' : 'Bearer'
    const { claims, problem } = await verify(named === scheme ? token : undefined)
    entry.claims = claims
    if (dpop && proofs.nonce) response.setHeader('DPoP-Nonce', proofs.nonce)
    if (problem) return refuse(response, scheme, problem)
    if (dpop && !isBound && claims.cnf) return refuse(response, 'DPoP', { error: 'invalid_token' })
    const error =
      isBound &&
      (await proofs.check({
        proof: request.headers.dpop,
        method: request.method,
        url: (publicOrigin ?? server.origin) + request.url,
        accessToken: token,
        jkt: claims.cnf?.jkt,
      }))
    if (error) return refuse(response, scheme, { error })
    const part = mounted.get(url.pathname.split('/', 3)[2])
    if (part) return part(request, response, entry)
    const body = await readBody(request).catch(() => null)
    // The client disconnected while it was sending the body.
    if (!body) return
    entry.bytes = body.length
    const rest = url.pathname.slice('/v1/'.length).split('/')
    const segment = rest.shift()
    const route = segment === 'on' ? handlers.get(rest[0]) : ROUTES[segment]
    if (!route) return sendJson(response, 404, { error: 'not_found' })
    await route({ request, response, url, rest, body, claims, entry, state, origin: server.origin })
  }

  const origin = publicOrigin ?? server.origin
  return {
    origin,
    /** The server's own origin, even if the server is behind a proxy. */
    address: server.origin,
    /** The URL for the vault's `apis`. All requests below this URL need a token. */
    url: `${origin}/v1/`,
    port: server.port,
    requests,
    preflights,
    /** The `DpopVerifier` with the required nonce and the received proofs. */
    dpop: proofs,
    /** Forgets the requests so far. */
    clear() {
      requests.length = 0
      preflights.length = 0
    },
    /** The sockets below `/v1/live` that were opened or rejected: see sockets.mjs. */
    sockets: sockets.opened,
    /**
     * Adds a handler for `/v1/on/<name>`. Clients that cannot send a token, such as a page's own `EventSource`, reach
     * the same handler at `/open/<name>`.
     *
     * @param {string} name
     * @param {(exchange: object) => unknown} handler Gets the same object as the routes in routes.mjs.
     */
    on: (name, handler) => handlers.set(name, handler),
    /** Lets a server that reads bodies itself respond to all requests below `/v1/<name>` with a valid token. */
    mount: (name, handler) => mounted.set(name, handler),
    async close() {
      sockets.close()
      await server.close()
    },
  }
}

const FIRST_ORDERS = [
  { id: 1041, item: 'Brass hinges, pair', quantity: 2 },
  { id: 1042, item: 'Lamp oil, 1 l', quantity: 6 },
  { id: 1043, item: 'Signal rope, 20 m', quantity: 1 },
]

/** Response headers that a page must be able to read besides the safelisted ones. */
const EXPOSED = ['WWW-Authenticate', 'ETag', 'X-Request-Id', 'X-Rows', 'DPoP-Nonce']

function allowOrigin(request, response, allowedOrigins) {
  const { origin } = request.headers
  response.setHeader('Vary', 'Origin')
  if (!allowedOrigins.includes(origin)) return
  response.setHeader('Access-Control-Allow-Origin', origin)
  response.setHeader('Access-Control-Allow-Credentials', 'true')
  response.setHeader('Access-Control-Expose-Headers', EXPOSED.join(', '))
}

function answerPreflight(request, response) {
  // Some tests need a failing preflight.
  if (request.url.endsWith('?preflight=no')) return response.writeHead(403).end()
  response.writeHead(204, {
    'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
    'Access-Control-Allow-Headers': request.headers['access-control-request-headers'] ?? '',
    'Access-Control-Max-Age': '600',
  })
  response.end()
}

function note(request, response) {
  const entry = {
    at: Date.now(),
    method: request.method,
    path: request.url,
    headers: request.headers,
    authorization: request.headers.authorization ?? null,
    claims: null,
    status: 0,
    bytes: 0,
    aborted: false,
    break: () => response.destroy(),
  }
  entry.closed = new Promise((resolve) => {
    response.on('close', () => {
      entry.status = response.headersSent ? response.statusCode : 0
      entry.aborted = !response.writableFinished
      resolve()
    })
  })
  return entry
}

/**
 * Returns a function that verifies a token. The function resolves with `claims`, the claims of a valid token or `null`,
 * and with `problem`, which is `null` for a valid token. Otherwise `problem` has the error and description of RFC 6750
 * section 3.1, or no members if the request has no token.
 */
function createVerifier({ issuer, provider, audience }) {
  let keys
  const accepted = new Map()
  return async (token) => {
    if (!token) return { claims: null, problem: {} }
    keys ??= createRemoteJWKSet(await discoverKeys(provider), { cooldownDuration: 0 })
    const known = accepted.get(token)
    // A verified signature stays valid, so only the expiry is checked again. Without this cache, benchmarks of the
    // client would also measure the API's work.
    if (known && known.exp * 1000 > Date.now()) return { claims: known, problem: null }
    try {
      const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })
      accepted.set(token, payload)
      return { claims: payload, problem: null }
    } catch (error) {
      const expired = error instanceof errors.JWTExpired
      const description = expired ? 'the access token expired' : 'the access token is not valid for this API'
      return { claims: null, problem: { error: 'invalid_token', error_description: description } }
    }
  }
}

async function discoverKeys(provider) {
  const response = await fetch(`${provider}/.well-known/openid-configuration`)
  // Node cannot resolve each host name that the provider's URLs may have, so the host of `provider` is used.
  const { pathname } = new URL((await response.json()).jwks_uri)
  return new URL(pathname, provider)
}

function refuse(response, scheme, problem) {
  const parameters = Object.entries(problem).map(([name, value]) => `, ${name}="${value}"`)
  response.setHeader('WWW-Authenticate', `${scheme} realm="orders"${parameters.join('')}`)
  sendJson(response, 401, problem)
}
