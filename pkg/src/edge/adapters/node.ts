/**
 * A listener for Node's `http`, `https` or `http2` server that calls a fetch-style handler. The listener is also
 * middleware: docs/edge-deploy.md#beside-an-app.
 *
 * ```ts
 * import { createServer } from 'node:http'
 * import { toNodeListener } from 'strongroom/edge/node'
 * createServer(toNodeListener(handler, { origin: 'https://app.example.com' })).listen(8080)
 * ```
 *
 * @module
 */
import { HANDLER_HEADER } from '../../../glue/constants.js'
import { hasBody } from '../request-body.js'
import { withoutBytes } from '../upstream/malformed.js'
import { headersOf, hostOf, type NodeRequest, originOf, SERVES_PAGES, targetOf } from './node-request.js'

export type { NodeRequest }

/** The handler that a platform calls with each request. */
export interface FetchHandler {
  fetch(request: Request, env: any, context: NodeContext): Response | Promise<Response>
  /** Resolves with `undefined` for a URL that belongs to the app. Used where the listener is middleware. */
  handle?(request: Request, env: any, context: NodeContext): Promise<Response | undefined>
}

/** The context of a request, through which the handler reports work that outlives the response. */
export interface NodeContext {
  /** Tracks the promise, and reports its failure to `onError`. */
  waitUntil(promise: Promise<unknown>): void
  /** True after the call of `stop()`. `<base>/health/ready` then responds with 503. */
  readonly isDraining: boolean
}

export interface NodeListenerOptions {
  /**
   * The origin of this server for browsers, such as `https://app.example.com`. Set this option if a proxy terminates
   * TLS. Default: the scheme of the connection (`http` or `https`) and the request's `Host`. `Forwarded` and
   * `X-Forwarded-*` are ignored, since any client can send them.
   */
  origin?: string
  /** The `env` for the handler. Default `process.env`. */
  env?: unknown
  /**
   * Called with each exception that the handler throws. The client gets status 500 without a body, or a broken
   * connection if the response had begun. Default `console.error`.
   */
  onError?: (error: unknown) => void
}

/** The part of Node's `ServerResponse` and `Http2ServerResponse` that the listener uses. */
export interface NodeResponse {
  readonly headersSent: boolean
  readonly writableFinished: boolean
  readonly destroyed: boolean
  statusCode: number
  setHeader(name: string, value: string | string[]): unknown
  flushHeaders(): void
  write(piece: Uint8Array): boolean
  end(): unknown
  destroy(error?: Error): unknown
  on(event: 'close' | 'error' | 'drain', listener: () => void): unknown
  off(event: 'close' | 'drain', listener: () => void): unknown
}

/** A listener for a server's `request` events. */
export interface NodeListener {
  /** `next`, which frameworks pass to middleware, is called for URLs that belong to the app. */
  (request: NodeRequest, response: NodeResponse, next?: (error?: unknown) => void): void
  /** The context of all requests of this server, for `handler.for()` in the app. */
  readonly context: NodeContext
  /**
   * Resolves when all requests have responses, and all work that outlives its request is done, such as a refresh whose
   * client has disconnected.
   */
  settled(): Promise<void>
  /**
   * Stops the server. For `drain` seconds it still accepts connections, each for one request, and
   * `<base>/health/ready` responds with 503. Then the port closes: idle connections end at once, and others after their
   * response. Resolves when all requests have responses and all work that outlives its request is done, but `limit`
   * seconds after the port has closed at the latest. Connections that are then still open, such as event streams, are cut.
   */
  stop(server: NodeServer, options?: StopOptions): Promise<void>
}

/** Options of `stop()`, in seconds. */
export interface StopOptions {
  /** The time in which proxies and load balancers learn that they must use another instance. Default 0. */
  drain?: number
  /** The time for requests and other work after the port has closed. Default 10. */
  limit?: number
}

/** The part of Node's `Server` and `Http2Server` that `stop()` uses. */
export interface NodeServer {
  close(): unknown
  on?(event: 'connection', listener: () => void): unknown
  off?(event: 'connection', listener: () => void): unknown
  closeIdleConnections?(): void
  closeAllConnections?(): void
}

/** The part of Node's `Http2Session` that `stop()` uses. */
interface Session {
  close(): void
  destroy(): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * Creates a listener for a server's `request` events.
 *
 * Bodies are streamed in both directions, only as fast as the receiver reads them. When the client disconnects, the
 * request's signal is aborted and the response's body is canceled. A request without a usable host, except a probe that
 * names none, gets 400, and so does a request whose target is not a path. A method that `Request` does not support (CONNECT, TRACE) gets 501.
 *
 * @throws TypeError if `origin` is not an origin.
 */
export function toNodeListener(
  handler: FetchHandler | FetchHandler['fetch'],
  options: NodeListenerOptions = {},
): NodeListener {
  const { origin, onError = console.error } = options
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).origin !== origin)) {
    const given = JSON.stringify(origin)
    throw new TypeError(`origin must be an origin such as https://app.example.com, but is ${given}`)
  }
  const env = 'env' in options ? options.env : (globalThis as any).process?.env
  const handle = async (
    request: Request,
    next: unknown,
    hasNoHost: boolean,
    mount = '',
  ): Promise<Response | undefined> => {
    const more = { mount: { value: mount }, hasNoHost: { value: hasNoHost } }
    const given = mount || hasNoHost ? (Object.create(context, more) as NodeContext) : context
    if (typeof handler === 'function') return handler(request, env, given)
    if (next && handler.handle) return handler.handle(request, env, given)
    return handler.fetch(request, env, given)
  }
  const pending = new Set<Promise<unknown>>()
  const track = (promise: Promise<unknown>) => {
    const forget = () => void pending.delete(done)
    const done: Promise<void> = promise.then(forget, forget)
    pending.add(done)
  }
  let isDraining = false
  const context: NodeContext = {
    waitUntil: (promise) => {
      track(promise)
      promise.catch(onError)
    },
    get isDraining() {
      return isDraining
    },
  }

  let closeIdle: (() => void) | undefined
  const inFlight = new Set<NodeResponse>()
  const sessions = new Set<Session>()
  /** Lets the connection end after this response. */
  const endAfter = (outgoing: NodeResponse) => {
    if (!outgoing.headersSent && !sessionOf(outgoing)) outgoing.setHeader('connection', 'close')
  }
  const remember = (outgoing: NodeResponse) => {
    inFlight.add(outgoing)
    const flushed = new Promise<void>((resolve) => {
      outgoing.on('close', () => {
        inFlight.delete(outgoing)
        resolve()
        // The connection becomes idle after this event.
        if (closeIdle) setTimeout(closeIdle)
      })
    })
    track(flushed)
    const session = sessionOf(outgoing)
    if (session && !sessions.has(session)) {
      sessions.add(session)
      session.once('close', () => sessions.delete(session))
    }
    if (isDraining) endAfter(outgoing)
  }

  const listener: (...args: Parameters<NodeListener>) => void = (incoming, outgoing, next) => {
    remember(outgoing)
    const gone = new AbortController()
    // Without a listener, an error of a closed connection would end the process.
    outgoing.on('error', () => {})
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) gone.abort(new DOMException('The client disconnected', 'AbortError'))
    })
    const hasNoHost = !origin && !hostOf(incoming)
    const request = requestOf(incoming, origin, hasNoHost, gone.signal)
    if (request instanceof Response) {
      if (request.status === 500) onError(new Error(BODY_IS_GONE))
      incoming.resume()
      return track(send(request, outgoing, false))
    }
    const isHead = request.method === 'HEAD'
    const answer = async () => {
      const mount = SERVES_PAGES in options ? incoming.baseUrl : undefined
      const response = await handle(request, next, hasNoHost, mount)
      if (!response) return next!()
      // Discards a body that the handler does not get, so that the connection can carry its next request.
      if (!request.body) incoming.resume()
      await send(response, outgoing, isHead)
    }
    const responded = answer().catch((error) => {
      // Errors after a disconnect are not reported.
      if (gone.signal.aborted) return
      onError(error)
      if (outgoing.headersSent) return void outgoing.destroy()
      outgoing.statusCode = 500
      outgoing.end()
    })
    track(responded)
  }
  const settled = async () => {
    // Pending work may begin more work.
    while (pending.size) await Promise.all(pending)
  }
  const stop = async (server: NodeServer, { drain = 0, limit = 10 }: StopOptions = {}) => {
    isDraining = true
    // A proxy that keeps connections would otherwise send a request on one that is about to close.
    for (const outgoing of inFlight) endAfter(outgoing)
    if (drain) await later(drain * 1000)
    await closePort(server)
    for (const session of sessions) session.close()
    await later(UNREAD)
    closeIdle = () => server.closeIdleConnections?.()
    closeIdle()
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limit * 1000)
    })
    await Promise.race([settled(), late])
    clearTimeout(timer)
    server.closeAllConnections?.()
    for (const session of sessions) session.destroy()
  }
  return Object.assign(listener, { context, settled, stop })
}

const later = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

/** Milliseconds in which the request of a connection arrives that was accepted just before the port closed. */
const UNREAD = 250

/**
 * Closes the port after the connections that have arrived are accepted, because the system resets the others. Node's own
 * `close()` also ends the connections without a request, and so those whose request it has not read yet.
 */
const closePort = async (server: NodeServer): Promise<void> => {
  let isNew: boolean
  const note = () => {
    isNew = true
  }
  server.on?.('connection', note)
  // Node accepts one connection in each turn of its loop.
  do {
    isNew = false
    await new Promise<void>((resolve) => setImmediate(resolve))
  } while (isNew)
  server.off?.('connection', note)
  const { closeIdleConnections } = server
  if (!closeIdleConnections) return void server.close()
  server.closeIdleConnections = () => {}
  server.close()
  server.closeIdleConnections = closeIdleConnections
}

declare const setImmediate: (callback: () => void) => unknown
declare const clearImmediate: (pending: unknown) => void

/** Returns the HTTP/2 session of a response, if there is one. */
const sessionOf = (outgoing: NodeResponse): Session | undefined =>
  (outgoing as { stream?: { session?: Session } }).stream?.session

/** The end of the path of a probe, which needs no host. The handler knows the whole path. */
const PROBE = /^[^?#]*\/health\/(live|ready)\/?(\?|$)/

/** Returns the request, or the response to an invalid request. */
function requestOf(
  incoming: NodeRequest,
  origin: string | undefined,
  hasNoHost: boolean,
  signal: AbortSignal,
): Request | Response {
  const { method = 'GET', httpVersionMajor, stream } = incoming
  const target = targetOf(incoming)
  const probed = PROBE.test(`${target}`) ? 'http://localhost' : null
  const base = hasNoHost ? probed : (origin ?? originOf(incoming))
  // Refuses the absolute form for proxies, and `*`.
  if (!base || target === null) return new Response(null, { status: 400 })
  try {
    const headers = headersOf(incoming)
    const mayHaveBody = hasBody({
      method,
      header: (name) => headers.get(name),
      isHttp1: httpVersionMajor === 1,
      isEnded: stream?.endAfterHeaders === true,
    })
    const init: RequestInit & { duplex?: 'half' } = { method, headers, signal }
    if (mayHaveBody === false) {
      // Nothing is read.
    } else if (incoming.readableEnded) {
      const body = readBody(incoming, headers)
      if (body === undefined) return bodyIsGone()
      init.body = body
      headers.delete('transfer-encoding')
      headers.set('content-length', `${body.length}`)
    } else Object.assign(init, { body: bodyOf(incoming), duplex: 'half' })
    // Concatenates the strings, because `//evil.test/` is a path here. A URL parser would read `//evil.test/`, relative
    // to the base, as a host.
    return new Request(base + target, init)
  } catch {
    return new Response(null, { status: /^(CONNECT|TRACE|TRACK)$/i.test(method) ? 501 : 400 })
  }
}

/**
 * Returns the body that middleware has read: a string, bytes, or what it has made of JSON or of a form. `undefined`: it
 * cannot be sent on.
 */
const readBody = ({ body }: NodeRequest, headers: Headers): Uint8Array<ArrayBuffer> | undefined => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const type = headers.get('content-type') ?? ''
  if (typeof body === 'string') return bytes(body)
  if (body instanceof Uint8Array) return new Uint8Array(body)
  if (typeof body !== 'object' || body === null) return undefined
  if (/^application\/([\w.-]+\+)?json\b/i.test(type)) return bytes(JSON.stringify(body))
  const isFlat = Object.values(body).every((value) => typeof value === 'string')
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(type) && isFlat
  return isForm ? bytes(`${new URLSearchParams(body as Record<string, string>)}`) : undefined
}

const BODY_IS_GONE =
  'middleware of the server has read the body of this request, and it cannot be sent on: put the listener before body parsers'

/** Returns the response to a request whose body is not there any more. */
const bodyIsGone = (): Response => {
  const error = { code: 'config_invalid', message: BODY_IS_GONE }
  return Response.json({ error }, { status: 500, headers: { [HANDLER_HEADER]: error.code } })
}

/**
 * Returns the request's body, read only as it is consumed. Canceling the body keeps the connection for the response.
 */
function bodyOf(incoming: NodeRequest): ReadableStream<Uint8Array> {
  const pieces = incoming.iterator({ destroyOnReturn: false })
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done) return controller.close()
        controller.enqueue(value as Uint8Array)
      },
      async cancel() {
        await pieces.return?.()
        incoming.resume()
      },
    },
    { highWaterMark: 0 },
  )
}

async function send(response: Response, outgoing: NodeResponse, isHead: boolean): Promise<void> {
  if (outgoing.destroyed) return void response.body?.cancel().catch(() => {})
  outgoing.statusCode = response.status
  for (const [name, value] of response.headers) {
    if (name !== 'set-cookie') outgoing.setHeader(name, value)
  }
  const cookies = response.headers.getSetCookie()
  if (cookies.length) outgoing.setHeader('set-cookie', cookies)
  if (!response.body || isHead) {
    response.body?.cancel().catch(() => {})
    return void outgoing.end()
  }
  // The headers do not wait for the body, because an event source must open before its first event. A body that is there
  // already is sent together with them, in one write.
  const flush = () => {
    if (!outgoing.headersSent && !outgoing.destroyed) flushHeaders(outgoing, response.headers)
  }
  const flushing = setImmediate(flush)
  try {
    await pump(response.body, outgoing)
  } catch (error) {
    // What has been written leaves in this turn, and the connection then breaks off.
    flush()
    await new Promise<void>((resolve) => setImmediate(resolve))
    throw error
  } finally {
    clearImmediate(flushing)
  }
}

const flushHeaders = (outgoing: NodeResponse, headers: Headers) => {
  if (isAscii(headers)) outgoing.flushHeaders()
  // HTTP/1: `flushHeaders()` would encode the headers as UTF-8, and turn each byte above ASCII into two.
  else outgoing.write(new Uint8Array())
}

const isAscii = (headers: Headers) => {
  for (const [, value] of headers) if (/[^\0-\x7f]/.test(value)) return false
  return true
}

async function pump(body: ReadableStream<Uint8Array>, outgoing: NodeResponse): Promise<void> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  outgoing.on('close', cancel)
  if (outgoing.destroyed) cancel()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (outgoing.destroyed) return
      if (done) return void outgoing.end()
      if (!outgoing.write(value)) await drained(outgoing)
    }
  } catch (error) {
    throw withoutBytes(error)
  } finally {
    outgoing.off('close', cancel)
  }
}

const drained = (outgoing: NodeResponse) =>
  new Promise<void>((resolve) => {
    const go = () => {
      outgoing.off('drain', go)
      outgoing.off('close', go)
      resolve()
    }
    outgoing.on('drain', go)
    outgoing.on('close', go)
  })
