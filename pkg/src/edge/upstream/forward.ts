/**
 * Forwards a request to an upstream, and the upstream's response to the client. The core decides which headers are
 * forwarded.
 */
import { HANDLER_HEADER } from '../../../glue/constants.js'
import type { ReplyMembers } from '../../generated/members.js'
import { cacheControl, isEventStream } from '../caches.js'
import type { Instance } from '../instance.js'
import { afterTime } from '../lateness.js'
import type { RequestBody } from '../request-body.js'
import { CAN_PASS_CODED, codingOf } from './coding.js'
import { hasUndici, IS_BUN, IS_NODE, IS_WORKERD } from './platform.js'
import { describe, isClosedConnection, messageOf, nameOf } from './failure.js'
import { PIECE, Search, searched, watched } from './search.js'

/** A request for an upstream. */
export interface Forward {
  url: string
  authorization: string
  proof: string | null
  /** The session's other access tokens that may still be valid, one per line. */
  others: string
  reflection: 'refuse' | 'headers' | 'allow'
  /** The headers that are sent although the policy removes them, as a regular expression. */
  keep: string
  /** Additional headers that are removed, as a regular expression. */
  remove: string
  /** The longest time until the response's head, in milliseconds. */
  ms: number
  /** True if the host keeps the whole body, because the request may be sent again. */
  copy: boolean
  /** True if the request is the handshake of a WebSocket. */
  upgrade: boolean
  /** The ID of the request, which replaces the client's `X-Request-Id`. */
  id: string
  /** The index of the route. */
  route: number
}

/** Tells the operator why a response could not be passed on. */
export type Report = (forward: Forward, code: string, cause: string) => void

/** A response of the handler itself. */
export interface Responded {
  status: number
  headers: [string, string][]
  cookies: string[]
  type?: string
  body?: string
}

/** The header policy, which src/edge/proxy/headers.rs describes. */
export interface Policy {
  request: string
  response: string
  passed: Record<string, string>
  own: Record<string, string>
}

/** Headers with names in lower case. */
export type Fields = [name: string, value: string][]

/**
 * Returns names and values of `headers`. The values of several headers with one name are joined, except for
 * `Set-Cookie`.
 */
export const fieldsOf = (headers: Headers): Fields => {
  const fields: Fields = []
  // `forEach` is cheaper than the iterator, which creates an object per step.
  headers.forEach((value, name) => fields.push([name, value]))
  return fields
}

/**
 * The methods whose requests may be sent again (RFC 9110 9.2.2). An upstream may close a kept connection at the moment
 * in which the next request begins, and then has not seen it. A proof of DPoP is for one request.
 */
const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']

/**
 * The number of times that such a request is sent again. After a process was suspended, each of its kept connections may
 * be closed, and each attempt finds one of them.
 */
const RESENDS = 3

/** Sends a request, and sends it up to `resends` times again if its connection ends without a response. */
const send = async (url: string, init: RequestInit, resends: number): Promise<Response> => {
  try {
    return await fetch(url, init)
  } catch (error) {
    if (resends > 0 && isClosedConnection(error)) return send(url, init, resends - 1)
    throw error
  }
}

/** The name of a header (RFC 9110 5.1). */
const IS_NAME = /^[\w!#$%&'*+.^`|~-]+$/

/**
 * Returns headers without those whose names are not valid, and without the space before a colon (RFC 9112 5.1), which
 * Node's parser leaves in the name.
 */
const repaired = (fields: Fields): Headers => {
  const headers = new Headers()
  for (const [given, value] of fields) {
    const name = given.trimEnd()
    if (IS_NAME.test(name)) headers.append(name, value)
  }
  return headers
}

/** Returns the value of a header. A platform's `Headers` would copy the value at each lookup. */
export const valueOf = (fields: Fields, name: string): string | undefined =>
  fields.find(([known]) => known === name)?.[1]

/** The policy, prepared for lookups. */
export class Rules {
  readonly #request: RegExp
  readonly #response: RegExp
  readonly #passed: Fields
  readonly #own: Record<string, string>

  constructor({ request, response, passed, own }: Policy) {
    this.#request = new RegExp(request)
    this.#response = new RegExp(response)
    this.#passed = Object.entries(passed)
    this.#own = own
  }

  /** Returns the headers of a forwarded request. */
  sentOn(headers: Headers, fields: Fields, { keep, remove, id }: Forward): Headers {
    const [kept, removed] = [new RegExp(keep), new RegExp(remove)]
    const sent = without(
      headers,
      fields,
      (name) => (this.#request.test(name) && !kept.test(name)) || removed.test(name),
    )
    if (!removed.test('x-request-id')) sent.set('x-request-id', id)
    return sent
  }

  /** Returns the headers of a forwarded response, with `WWW-Authenticate` if the core keeps it. */
  passed(headers: Headers, fields: Fields, keepsChallenge: boolean): Headers {
    const passed = without(headers, fields, (name) => this.#response.test(name))
    const challenge = valueOf(fields, 'www-authenticate') && passed.get('www-authenticate')
    if (challenge) {
      // Sets the header even if it is kept: `get` joined the values of several headers, which are sent as one header.
      if (keepsChallenge) passed.set('www-authenticate', challenge)
      else passed.delete('www-authenticate')
    }
    for (const [name, value] of this.#passed) passed.set(name, value)
    const type = valueOf(fields, 'content-type')
    const given = valueOf(fields, 'cache-control')
    passed.set('cache-control', cacheControl(passed.get('cache-control')!, given, type))
    // nginx would collect the events until its buffer is full.
    if (isEventStream(type) && !passed.has('x-accel-buffering')) passed.set('x-accel-buffering', 'no')
    return passed
  }

  /** Returns the headers of a response of the handler itself. */
  own(fields: Fields): Headers {
    const headers = new Headers(this.#own)
    for (const [name, value] of fields) headers.set(name, value)
    return headers
  }
}

/**
 * Returns a copy of the headers without those whose name `isRemoved` accepts, and without those that the `Connection`
 * header names (RFC 9110 7.6.1). Deleting from a copy is five times as fast in workerd as creating headers from an
 * array.
 */
const without = (headers: Headers, fields: Fields, isRemoved: (name: string) => boolean): Headers => {
  const copy = new Headers(headers)
  const named = valueOf(fields, 'connection')
    ?.toLowerCase()
    .split(/[\s,]+/)
  for (const [name] of fields) if (isRemoved(name) || named?.includes(name)) copy.delete(name)
  return copy
}

export class Forwarded {
  readonly #request: Request
  readonly #fields: Fields
  readonly #forward: Forward
  readonly #rules: Rules
  readonly #instance: Instance
  readonly #body: RequestBody
  readonly #replaced: readonly string[]
  readonly #report: Report
  #response: Response | undefined
  /** The headers of the response. */
  #headers = new Headers()
  #received: Fields = []
  #coding: ReturnType<typeof codingOf> = 'none'
  /** Stops listening for the client's disconnect. Called when the upstream sends nothing more. */
  #leave: () => void = () => {}

  /**
   * @param fields The headers of the request.
   * @param replaced The names of headers that the platform adds itself.
   */
  constructor(
    request: Request,
    fields: Fields,
    forward: Forward,
    rules: Rules,
    instance: Instance,
    body: RequestBody,
    replaced: readonly string[],
    report: Report,
  ) {
    this.#report = report
    this.#body = body
    this.#replaced = replaced
    this.#request = request
    this.#fields = fields
    this.#forward = forward
    this.#rules = rules
    this.#instance = instance
  }

  /** Sends the request. Resolves with the response's head as JSON. */
  async head(): Promise<string> {
    const { url, authorization, proof, ms, upgrade } = this.#forward
    if (upgrade && !IS_WORKERD) return this.#cannot()
    const { method, signal, headers: given } = this.#request
    const headers = this.#rules.sentOn(given, this.#fields, this.#forward)
    for (const name of this.#replaced) headers.delete(name)
    headers.set('authorization', authorization)
    if (proof) headers.set('dpop', proof)
    if (upgrade) {
      // The forwarded header names only WebSocket. Other upgrades that the client offers concern only the client's
      // connection to this server.
      headers.set('upgrade', 'websocket')
      const protocols = valueOf(this.#fields, 'sec-websocket-protocol')
      if (protocols) headers.set('sec-websocket-protocol', protocols)
    }
    // Ends the request, also its body, if the client disconnects.
    const controller = new AbortController()
    const stop = () => controller.abort()
    const end = () => controller.abort(new DOMException('no response', 'TimeoutError'))
    if (signal.aborted) stop()
    if (!ENDS_WITH_CLIENT) {
      signal.addEventListener('abort', stop)
      this.#leave = () => signal.removeEventListener('abort', stop)
    }
    const init: RequestInit & { duplex?: 'half' } = {
      method,
      headers,
      redirect: 'manual',
      signal: controller.signal,
      ...withoutLimits(),
    }
    if (this.#passesCoded()) {
      // Without this header, Bun would request every encoding that it can decode.
      headers.set('accept-encoding', valueOf(this.#fields, 'accept-encoding') ?? 'identity')
      Object.assign(init, { decompress: false })
    }
    let cancel: (() => void) | undefined
    let response
    let isEmpty = false
    try {
      const hadBody = this.#body.mayExist
      const body = await this.#body.take(this.#forward.copy)
      isEmpty = hadBody && !body
      init.body = body
      if (body && !this.#forward.copy) {
        init.duplex = 'half'
        const length = valueOf(this.#fields, 'content-length')
        // Without this header, a platform may send the body in chunks, which some servers refuse for uploads.
        if (length && /^\d+$/.test(length)) headers.set('content-length', length)
        // Node's `fetch` keeps a copy of a streamed body as long as it might have to send the body again: after a redirect,
        // and, unless `window` is null, after a 401 (Fetch, "HTTP-network-or-cache fetch").
        if (IS_NODE) Object.assign(init, { redirect: 'error', window: null })
      }
      // The client may need longer for a long body, so the time of the upstream is then unknown.
      if (!body || isAtMostPiece(this.#fields)) cancel = afterTime(ms, end)
      const isRepeatable = !body && !proof && !upgrade && IDEMPOTENT.includes(method)
      response = await send(url, init, isRepeatable ? RESENDS : 0)
    } catch (error) {
      this.#leave()
      // The client has disconnected, so the upstream is not at fault.
      if (signal.aborted || this.#body.isBroken) response = new Response(null, { status: 499 })
      // The core refuses every redirect. The platform reveals neither its status nor its address.
      else if (isRedirect(error)) response = new Response(null, { status: 307 })
      else throw error
    } finally {
      cancel?.()
    }
    if (!response.body) this.#leave()
    const fields = this.#receive(response)
    return JSON.stringify({
      status: response.status,
      challenge: valueOf(fields, 'www-authenticate'),
      nonce: valueOf(fields, 'dpop-nonce'),
      location: valueOf(fields, 'location'),
      type: valueOf(fields, 'content-type'),
      undecoded: response.body && this.#isUndecoded() ? valueOf(fields, 'content-encoding') : undefined,
      empty: isEmpty || undefined,
    } satisfies Record<keyof ReplyMembers['HEAD'], unknown>)
  }

  /** Takes the response to pass on. Returns its headers. */
  #receive(response: Response): Fields {
    this.#response = response
    const fields = fieldsOf(response.headers)
    this.#headers = fields.every(([name]) => IS_NAME.test(name)) ? response.headers : repaired(fields)
    this.#received = this.#headers === response.headers ? fields : fieldsOf(this.#headers)
    const coding = codingOf(valueOf(this.#received, 'content-encoding'))
    // The platform does not decode a body because of a header whose name was repaired.
    this.#coding = coding === 'decoded' && !valueOf(fields, 'content-encoding') ? 'kept' : coding
    return this.#received
  }

  /** Describes a failure for the log. The description contains none of the session's tokens. */
  describe(error: unknown): string {
    const { authorization, others } = this.#forward
    const { name, message } = messageOf(error)
    // The search leaves out short tokens.
    const tokens = [authorization.split(' ')[1], ...others.split('\n')]
    try {
      const search = Search.for(this.#instance, authorization, others)
      const hasToken = search?.isIn(message) || tokens.some((token) => token && message.includes(token))
      search?.end()
      if (!hasToken) return describe(error)
    } catch {
      // The core has trapped.
    }
    return nameOf(error) || name
  }

  /** Reports a failure after the head, unless the client has caused it. */
  readonly #reportFailure = (error: unknown, code = 'upstream_unavailable'): void => {
    if (this.#request.signal.aborted) return
    if ((Object(error) as { code?: unknown }).code === 'token_reflected') this.#reflected()
    else this.#report(this.#forward, code, this.describe(error))
  }

  #reflected(): void {
    this.#report(this.#forward, 'token_reflected', '')
  }

  /** Returns true if the body may be encoded as it arrives, so that it cannot be searched. */
  #isUndecoded(): boolean {
    return this.#coding === 'kept' || this.#coding === 'unclear'
  }

  /**
   * Returns true if a compressed body is forwarded without decoding. This requires that the body is not searched, and
   * that the platform can leave a body compressed.
   */
  #passesCoded(): boolean {
    return this.#forward.reflection !== 'refuse' && CAN_PASS_CODED
  }

  /** Returns true if the body is forwarded in the encoding in which the upstream has sent it. */
  #keepsCoding(): boolean {
    return this.#coding === 'kept' || (this.#coding !== 'none' && this.#passesCoded())
  }

  /** Returns the `Content-Length` of the forwarded body, or undefined for a body that the platform has decoded. */
  #length({ body }: Response): string | undefined {
    const isDecoded = this.#coding !== 'none' && !this.#keepsCoding()
    const isTold = !isDecoded && (body || this.#request.method === 'HEAD')
    return (isTold && valueOf(this.#received, 'content-length')) || undefined
  }

  /**
   * Creates an error response in place of the upstream's response, and returns the head of the error response. Only
   * Cloudflare's `fetch` can open a WebSocket to an upstream.
   */
  #cannot(): string {
    const error = { code: 'unsupported', message: 'this platform cannot forward a WebSocket' }
    this.#receive(Response.json({ error }, { status: 501 }))
    return JSON.stringify({ status: 501 })
  }

  /** Cancels a response that is not forwarded. */
  drop(): void {
    this.#leave()
    this.#response?.body?.cancel().catch(() => {})
    this.#response = undefined
  }

  /**
   * Resolves with the upstream's response and the handler's cookies, or with an error response that has these cookies.
   */
  async response(cookies: string[], keepsChallenge: boolean): Promise<Response> {
    try {
      return await this.#passed(cookies, keepsChallenge)
    } catch (error) {
      this.#reportFailure(error, 'handler_crashed')
      // Set the cookies even after an error, because they may be the only copy of the session.
      this.drop()
      return failed(this.#rules, cookies, 500, 'handler_crashed', 'the handler stopped on an internal fault')
    }
  }

  async #passed(cookies: string[], keepsChallenge: boolean): Promise<Response> {
    const response = this.#response!
    const fields = this.#received
    const headers = this.#rules.passed(this.#headers, fields, keepsChallenge)
    for (const cookie of cookies) headers.append('set-cookie', cookie)
    const length = this.#length(response)
    if (length) headers.set('content-length', length)
    if (this.#keepsCoding()) headers.set('content-encoding', valueOf(fields, 'content-encoding')!)
    const { status } = response
    const statusText = usableReason(response.statusText)
    const { webSocket } = response as { webSocket?: { accept(): void; close(): void } | null }
    const { reflection, authorization, others } = this.#forward
    // Builds the response from the status and headers above.
    const withBody = (body: BodyInit | null) =>
      new Response(
        body,
        (webSocket ? { status, headers, webSocket } : { status, statusText, headers }) as ResponseInit,
      )
    /** Returns the body that is passed on without a search. Cloudflare would decode one that passes through script. */
    const body = () =>
      response.body && !(IS_WORKERD && this.#keepsCoding())
        ? watched(response.body, this.#reportFailure, length)
        : response.body
    if (reflection === 'allow') return withBody(body())
    let whole: Uint8Array<ArrayBuffer> | undefined
    try {
      if (reflection === 'refuse' && response.body && this.#coding === 'none' && isShort(fields)) {
        whole = new Uint8Array(await response.arrayBuffer())
        this.#leave()
      }
    } catch (error) {
      this.#reportFailure(error)
      return failed(this.#rules, cookies, 502, 'upstream_unavailable', 'the API broke off its response')
    }
    // No `await` follows in this function, so no other request can replace the instance.
    const search = Search.for(this.#instance, authorization, others)
    if (!search) return withBody(whole ?? body())
    const isReflected = search.isIn([response.statusText, ...fields.flat()].join('\n'))
    if (isReflected || (whole && search.isInBody(whole))) {
      if (!whole) this.drop()
      // Only an accepted socket can be closed.
      webSocket?.accept()
      webSocket?.close()
      search.end()
      this.#reflected()
      return failed(
        this.#rules,
        cookies,
        502,
        'token_reflected',
        'the response contains an access token of its session',
      )
    }
    if (whole || !response.body || reflection === 'headers') {
      search.end()
      return withBody(whole ?? body())
    }
    return withBody(searched(response.body, search, this.#reportFailure, length))
  }
}

/**
 * Returns the reason phrase, or an empty string for a reason that `new Response()` does not accept. Node's `fetch`
 * decodes a reason as UTF-8, and other characters than those of Latin-1 would not fit into a response.
 */
const usableReason = (reason: string): string => (/^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : '')

/** The symbol by which Node's `fetch` finds the dispatcher of the process. */
const DISPATCHER: symbol = Symbol.for(`undici.globalDispatcher.${hasUndici(8, 0) ? 2 : 1}`)

/** The part of a dispatcher of Node's `fetch` that is used here. */
interface Dispatcher {
  readonly isMockActive?: boolean
  dispatch(options: object, handler: object): boolean
}

const dispatcher = () => (globalThis as { [key: symbol]: Dispatcher | undefined })[DISPATCHER]

/** Passes requests without time limits on to the dispatcher of the process, which the operator may have set for a proxy. */
const UNLIMITED: Dispatcher = {
  get isMockActive() {
    return dispatcher()!.isMockActive === true
  },
  dispatch: (options, handler) =>
    dispatcher()!.dispatch({ ...options, bodyTimeout: 0, headersTimeout: 0 }, handler),
}

/**
 * Returns the options without which the `fetch` of Node and Bun would end a body that is silent for five minutes. The
 * route's own limit decides about the head.
 */
const withoutLimits = (): object => {
  if (IS_BUN) return { timeout: false }
  return IS_NODE && dispatcher() ? { dispatcher: UNLIMITED } : {}
}

/** Returns true if Node's `fetch` failed because of a redirect, and not because of the network. */
const isRedirect = (error: unknown): boolean =>
  (error as { cause?: { message?: unknown } } | null)?.cause?.message === 'unexpected redirect'

/** Returns true if `Content-Length` is at most the size of one piece of a search. */
const isAtMostPiece = (fields: Fields): boolean => {
  const length = valueOf(fields, 'content-length') ?? ''
  return /^\d+$/.test(length) && Number(length) <= PIECE
}

/**
 * Returns true if the body is known to fit into one piece. A short body is searched as a whole, which costs less than a
 * stream. A short body that contains the token is refused before any byte is forwarded. A body with a transfer encoding
 * (RFC 9112 6.3) may be longer than its `Content-Length` says.
 */
const isShort = (fields: Fields): boolean => !valueOf(fields, 'transfer-encoding') && isAtMostPiece(fields)

/**
 * True if the platform ends the requests of a handler whose client has disconnected. Cloudflare does, and listening for
 * the disconnect costs 50 µs there.
 */
const ENDS_WITH_CLIENT: boolean = IS_WORKERD

/** Returns the error for an upstream's response that cannot be forwarded. */
const failed = (rules: Rules, cookies: string[], status: number, code: string, message: string): Response =>
  respond(rules, {
    status,
    headers: [[HANDLER_HEADER, code]],
    cookies,
    type: 'application/json',
    body: JSON.stringify({ error: { code, message } }),
  })

/** Builds a response of the handler itself, which caches must not store. */
export const respond = (
  rules: Rules,
  { status, headers: fields, cookies, type, body }: Responded,
): Response => {
  const headers = rules.own(fields)
  if (type) headers.set('content-type', type)
  for (const cookie of cookies) headers.append('set-cookie', cookie)
  return new Response(body ?? null, { status, headers })
}
