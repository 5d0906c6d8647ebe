import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { sendJson, sha256 } from './responses.mjs'

const MAX_BYTES = 1024 * 1024 * 1024
const BLOCK = Buffer.alloc(64 * 1024, 'strongroom ')

/**
 * Routes of the API below `/v1/`, by the path's first segment. The API has verified the access token before it calls a
 * route. Each route gets an object with the request and its whole body, the response, the token's claims, the rest of
 * the path (`rest`), and other members.
 */
export const ROUTES = {
  /** `GET /v1/me` responds with the user of the access token. */
  me({ response, claims }) {
    const { sub, scope, client_id } = claims
    sendJson(response, 200, { sub, scope, client_id })
  },

  /** `GET /v1/orders` lists the orders, and `POST /v1/orders` adds an order: `{ "item": …, "quantity": … }`. */
  orders({ request, response, body, state }) {
    if (request.method !== 'POST') {
      return sendJson(response, 200, state.orders, { 'X-Rows': state.orders.length })
    }
    const order = parseOrder(body)
    if (!order)
      return sendJson(response, 422, { error: 'an order is { "item": string, "quantity": number }' })
    const placed = { id: state.orders.at(-1).id + 1, ...order }
    state.orders.push(placed)
    sendJson(response, 201, placed, { Location: `/v1/orders/${placed.id}` })
  },

  /** `POST` or `PUT /v1/upload`: describes the body. If the body is a form, describes each field. */
  async upload({ request, response, body }) {
    const type = request.headers['content-type'] ?? null
    const report = { method: request.method, type, size: body.length, sha256: sha256(body) }
    sendJson(response, 200, { ...report, fields: await formFields(type, body) })
  },

  /** `GET /v1/stream?n=10&interval=200` responds with one line of text every `interval` milliseconds. */
  async stream({ response, url }) {
    const count = number(url, 'n', 10)
    const interval = number(url, 'interval', 200)
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' })
    for (let line = 1; line <= count && !response.destroyed; line++) {
      response.write(`line ${line} of ${count} at ${new Date().toISOString()}\n`)
      if (line < count) await sleep(interval)
    }
    response.end()
  },

  /** `GET /v1/slow?ms=3000` responds after this time. */
  async slow({ response, url }) {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const ms = number(url, 'ms', 3000)
    await sleep(ms, null, { signal: gone.signal }).catch(() => {})
    if (!response.destroyed) sendJson(response, 200, { waited: ms })
  },

  /** `GET /v1/bytes?size=16777216` responds with that many bytes, at full speed. */
  async bytes({ response, url }) {
    const size = Math.min(number(url, 'size', 1024), MAX_BYTES)
    response.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': size,
      'Cache-Control': 'no-store',
    })
    await pipeline(Readable.from(blocks(size)), response).catch(() => {})
  },

  /** `/v1/status/204`, `/v1/status/304`, …: respond with only that status. */
  status({ response, rest: [status] }) {
    const code = Number(status)
    if (!(code >= 200 && code <= 599)) return sendJson(response, 400, { error: 'no such status' })
    const empty = code === 204 || code === 205 || code === 304
    response.writeHead(code, empty ? { ETag: '"demo"' } : { 'Content-Type': 'text/plain', ETag: '"demo"' })
    response.end(empty ? undefined : `status ${code}\n`)
  },

  /** `/v1/redirect?status=302&to=…`: redirects to `to`. The default is the same server under another host name. */
  redirect({ response, url, origin }) {
    const elsewhere = `${origin.replace('127.0.0.1', 'localhost')}/v1/me`
    const to = url.searchParams.get('to') ?? elsewhere
    response.writeHead(number(url, 'status', 302), { Location: to })
    response.end()
  },

  /**
   * `/v1/echo`: describes the request without the values of its headers, which a test finds in the API's `requests`.
   */
  echo({ request, response, url, body }) {
    sendJson(response, 200, {
      method: request.method,
      path: url.pathname + url.search,
      headers: Object.keys(request.headers).sort(),
      length: body.length,
      sha256: sha256(body),
    })
  },

  /**
   * `/v1/reject-once/some-key` responds with 401 `invalid_token` to the first request for each key, and to later
   * requests as `/v1/echo` does.
   */
  'reject-once'(exchange) {
    const { response, rest, state } = exchange
    const key = rest.join('/')
    if (state.rejected.has(key)) return ROUTES.echo(exchange)
    state.rejected.add(key)
    response.setHeader('WWW-Authenticate', 'Bearer realm="orders", error="invalid_token"')
    sendJson(response, 401, { error: 'invalid_token' })
  },

  /** `/v1/reject` always responds with 401 `invalid_token`. */
  reject({ response }) {
    response.setHeader('WWW-Authenticate', 'Bearer realm="orders", error="invalid_token"')
    sendJson(response, 401, { error: 'invalid_token' })
  },

  /** `/v1/forbidden` always responds with 403 `insufficient_scope`. */
  forbidden({ response }) {
    response.setHeader('WWW-Authenticate', 'Bearer realm="orders", error="insufficient_scope", scope="admin"')
    sendJson(response, 403, { error: 'insufficient_scope' })
  },

  /** `/v1/broken` cuts the connection in the middle of the body. */
  broken({ response }) {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 1000 })
    response.write('the first half', () => response.destroy())
  },
}

function* blocks(size) {
  for (let left = size; left > 0; left -= BLOCK.length)
    yield left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK
}

function number(url, name, otherwise) {
  const value = Number(url.searchParams.get(name) ?? otherwise)
  return Number.isFinite(value) ? value : otherwise
}

function parseOrder(body) {
  try {
    const { item, quantity } = JSON.parse(body.toString())
    return typeof item === 'string' && Number.isInteger(quantity) ? { item, quantity } : null
  } catch {
    return null
  }
}

/**
 * Resolves with the names and sizes of a form's fields in order, including duplicates, or with `null` for other bodies.
 */
async function formFields(type, body) {
  if (!/^(multipart\/form-data|application\/x-www-form-urlencoded)\b/.test(type ?? '')) return null
  const form = await new Response(body, { headers: { 'Content-Type': type } }).formData()
  return [...form].map(([name, value]) =>
    typeof value === 'string'
      ? { name, value }
      : { name, file: value.name, type: value.type, size: value.size },
  )
}
