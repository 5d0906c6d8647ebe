/**
 * Faults that a test orders for the next requests. The server itself is unchanged: faults are applied in front of the
 * server, either in the provider's process or in a proxy (proxy.mjs). A `jwks` or `discovery` fault may also affect the
 * API, which requests both documents when it gets its first token, and the keys again for a token with an unknown key.
 *
 * @typedef {object} Fault
 * @property {number} [times] Number of requests to which the fault applies. Default 1.
 * @property {number} [delay] Milliseconds that the request waits first.
 * @property {Promise<unknown>} [hold] A promise for which the request waits.
 * @property {'before' | 'after'} [when] Applies the fault before or after the provider has acted on the request, such
 *   as by rotating the refresh token. Default `before`.
 * @property {boolean} [drop] Cut the connection instead of responding.
 * @property {Record<string, string>} [add] Headers that are added to the server's own response. Works only in a proxy.
 * @property {(json: any) => any} [edit] Changes the JSON of the server's own response. Works only in a proxy that keeps
 *   bodies.
 * @property {boolean} [hideErrors] Removes the CORS headers from the server's own error responses. Works only in a
 *   proxy.
 * @property {number} [cutAfter] Cut the connection after this many bytes of the body. Works only in a proxy.
 * @property {{ status?: number, headers?: Record<string, string>, body?: string | object | (() =>
 *   import('node:stream').Readable), cors?: boolean }} [answer] A response in place of the server's. A string is sent
 *   as HTML unless `headers` has another type, and an object is sent as JSON. A function that returns a stream works
 *   only in the provider's process, and not in a proxy. With `cors: false` a page cannot read the response, as if a
 *   proxy in between had sent it.
 */
export class Faults {
  /** @type {{ endpoint: string, fault: Fault, left: number }[]} */
  #queue = []
  #watchers = []

  /**
   * @param {'token' | 'revocation' | 'discovery' | 'jwks' | 'authorization' | '*' | string} endpoint
   * @param {Fault} fault
   */
  add(endpoint, fault) {
    this.#queue.push({ endpoint, fault, left: fault.times ?? 1 })
  }

  clear() {
    this.#queue = []
  }

  /** Resolves when the next fault is applied. */
  taken() {
    return new Promise((resolve) => this.#watchers.push(resolve))
  }

  /** @returns {Fault | undefined} The fault for a request to this endpoint. Counts the fault as used. */
  take(endpoint) {
    const entry = this.#queue.find((queued) => queued.endpoint === '*' || queued.endpoint === endpoint)
    if (entry && --entry.left <= 0) this.#queue.splice(this.#queue.indexOf(entry), 1)
    if (entry) for (const resolve of this.#watchers.splice(0)) resolve()
    return entry?.fault
  }
}

/** Waits for the fault's `delay` and `hold`. */
export async function waitFor(fault) {
  if (fault.delay) await new Promise((resolve) => setTimeout(resolve, fault.delay))
  if (fault.hold) await fault.hold
}

/** Makes the Koa context send the fault's response, or cut the connection. */
export function applyFault(ctx, fault) {
  if (fault.drop) {
    ctx.respond = false
    ctx.req.socket.destroy()
    return
  }
  const { status, headers, body } = answerOf(fault, ctx.get('Origin'))
  ctx.status = status
  ctx.body = body
  ctx.set(headers)
}

/** Returns the response that a fault sends instead of the server's, for a page of this origin. */
export function answerOf({ answer: { status = 200, headers = {}, body = '', cors = true } }, origin) {
  const type = typeof body === 'string' ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8'
  // A browser lets a worker read only those responses that CORS allows.
  const readable = {
    'Access-Control-Allow-Origin': origin || '*',
    'Access-Control-Expose-Headers': Object.keys(headers).join(', '),
  }
  return {
    status,
    headers: { 'Content-Type': type, ...(cors && readable), ...headers },
    body: typeof body === 'string' ? body : typeof body === 'function' ? body() : JSON.stringify(body),
  }
}
