/**
 * Trouble on demand: what a test wants to happen to the next requests. The server itself stays as it is; this
 * stands in front of it, within the provider's process or in a proxy of its own (proxy.mjs). A `jwks` or `discovery` fault may befall the API too, which
 * asks for both with the first token that it gets, and for keys again when it does not know a token's.
 *
 * @typedef {object} Fault
 * @property {number} [times] How many requests it befalls. Default 1.
 * @property {number} [delay] Milliseconds before anything happens.
 * @property {Promise<unknown>} [hold] The request waits for this.
 * @property {'before' | 'after'} [when] Whether the provider has carried the request out by then, say has
 *   rotated the refresh token. Default `before`.
 * @property {boolean} [drop] Cut the connection instead of answering.
 * @property {Record<string, string>} [add] Headers for the server's own answer. Only a proxy can do that.
 * @property {boolean} [hideErrors] The server's own error responses lose their CORS headers. Only a proxy can do that.
 * @property {number} [cutAfter] Cut it after so many bytes of the body. Only a proxy can do that.
 * @property {{ status?: number, headers?: Record<string, string>, body?: string | object | (() => import('node:stream').Readable), cors?: boolean }} [answer]
 *   Answer this instead. A string is sent as HTML unless `headers` say otherwise, an object as JSON, as is what comes
 *   of a stream that a function makes, which only the provider's own faults can. With `cors: false` a page may not read it, as with what is answered by somebody else than the server.
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

  /** Resolves when the next fault befalls a request. */
  taken() {
    return new Promise((resolve) => this.#watchers.push(resolve))
  }

  /** @returns {Fault | undefined} The fault that befalls a request at this endpoint; counts it. */
  take(endpoint) {
    const entry = this.#queue.find((queued) => queued.endpoint === '*' || queued.endpoint === endpoint)
    if (entry && --entry.left <= 0) this.#queue.splice(this.#queue.indexOf(entry), 1)
    if (entry) for (const resolve of this.#watchers.splice(0)) resolve()
    return entry?.fault
  }
}

/** Waits as the fault says. */
export async function waitFor(fault) {
  if (fault.delay) await new Promise((resolve) => setTimeout(resolve, fault.delay))
  if (fault.hold) await fault.hold
}

/** Makes the Koa context answer as the fault says, or not at all. */
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

/** The answer that a fault puts in the place of the server's, for a page of this origin. */
export function answerOf({ answer: { status = 200, headers = {}, body = '', cors = true } }, origin) {
  const type = typeof body === 'string' ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8'
  // A browser shows a worker only those answers that its origin may read.
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
