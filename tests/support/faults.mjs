/**
 * Faults that a test orders for the next requests. The server itself stays unchanged: faults are applied in front of
 * it, in the provider's process or in a proxy of its own (proxy.mjs). A `jwks` or `discovery` fault may also hit the
 * API, which requests both with the first token it gets, and keys again when it does not know a token's key.
 *
 * @typedef {object} Fault
 * @property {number} [times] Number of requests that it applies to. Default 1.
 * @property {number} [delay] Milliseconds before anything happens.
 * @property {Promise<unknown>} [hold] The request waits for this.
 * @property {'before' | 'after'} [when] Applies the fault before or after the provider has acted on the request, such
 *   as by rotating the refresh token. Default `before`.
 * @property {boolean} [drop] Cut the connection instead of responding.
 * @property {Record<string, string>} [add] Headers for the server's own response. Only in a proxy.
 * @property {boolean} [hideErrors] The server's own error responses lose their CORS headers. Only in a proxy.
 * @property {number} [cutAfter] Cut the connection after this many bytes of the body. Only in a proxy.
 * @property {{ status?: number, headers?: Record<string, string>, body?: string | object | (() =>
 *   import('node:stream').Readable), cors?: boolean }} [answer] Respond with this instead. A string is sent as HTML
 *   unless `headers` says otherwise, an object as JSON. A function that returns a stream works only in the provider's own
 *   faults. With `cors: false` a page may not read the response, like a response of a server in between.
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

  /** @returns {Fault | undefined} The fault for a request to this endpoint. Counts it as used. */
  take(endpoint) {
    const entry = this.#queue.find((queued) => queued.endpoint === '*' || queued.endpoint === endpoint)
    if (entry && --entry.left <= 0) this.#queue.splice(this.#queue.indexOf(entry), 1)
    if (entry) for (const resolve of this.#watchers.splice(0)) resolve()
    return entry?.fault
  }
}

/** Waits for the time that the fault specifies. */
export async function waitFor(fault) {
  if (fault.delay) await new Promise((resolve) => setTimeout(resolve, fault.delay))
  if (fault.hold) await fault.hold
}

/** Makes the Koa context respond as the fault says, or not at all. */
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
