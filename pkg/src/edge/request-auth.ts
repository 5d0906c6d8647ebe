import type { Session } from '../generated/session.js'
import { BACKGROUND, HANDLER_HEADER, USER } from '../../glue/constants.js'
import { StrongroomError } from '../page/errors/error.js'
import type { EndReason } from '../generated/end-reasons.js'

/** The session as pages get it from `GET <base>/session`. Its claims are those that the app declares: docs/frameworks.md#types. */
export type EdgeSession = Omit<Session, 'kept' | 'needs'> & {
  /** The public ID of the session, as in the log and for `spare` of `EndOptions`. It does not sign anybody in. */
  publicId: string
}

/** The part of a page's request that {@link RequestAuth} uses: a `Request`, or what a framework has of it. */
export interface OuterRequest {
  readonly method: string
  /** The absolute URL. */
  readonly url: string
  readonly headers: Headers
  /** Aborted when the client has left. Without it, the client counts as there. */
  readonly signal?: Pick<AbortSignal, 'aborted'>
}

/** The options of {@link RequestAuth.call}: those of `fetch`, and `background`. */
export interface CallInit extends RequestInit {
  /** True if the user did not cause the call, such as a poll. The call then does not extend the idle timeout. */
  background?: boolean
}

/**
 * The user's session in the server code of one request: in a loader, an action or a server component. Create one object
 * for each request with `handler.for(request)`; the adapters do this.
 */
export interface RequestAuth {
  /**
   * Calls an API with the user's access token, which the handler refreshes first if necessary. The call goes through the
   * routes of the handler as a request of a page does, but stays in this process.
   *
   * For a page that was requested with GET or HEAD, only GET and HEAD are allowed, because any site can open a page. For
   * other requests, all methods of the route are allowed if `Origin` or `Sec-Fetch-Site` says that a page of this app sent
   * the request. Otherwise the response is 403 `cross_site_request`.
   *
   * @param path The path of a route, with its query, such as `/api/orders?open=1`.
   * @param init The options of `fetch`. `Cookie`, `Host`, `Origin`, `Upgrade`, `X-Strongroom` and headers of the browser itself
   *   (`Sec-…`, `Secure-Session-…`) are refused. No header of the page's request is added.
   * @returns The API's response, or an error of the handler with the header `X-Strongroom`, such as 401 `login_required`.
   *   The response has no `Set-Cookie`: use {@link headers}.
   * @throws `StrongroomError` `url_not_allowed` if the path belongs to no route, `header_not_allowed` for a header that is
   *   refused, `unsupported` if this is the first use of the session after {@link headers}, and `TypeError` as `fetch` does.
   */
  call(path: string, init?: CallInit): Promise<Response>
  /**
   * Returns the session, or `null` without a session. Reading the session does not extend the idle timeout.
   *
   * @throws Error if the session cannot be read now. The session continues, and the caller may try again.
   * @throws `StrongroomError` `unsupported` if this is the first use of the session after {@link headers}.
   */
  session(): Promise<EdgeSession | null>
  /**
   * Returns the reason for which the session of this request has ended, or `null` if the request has a session, or never had
   * one. The browser's next request has no session and no reason, because the response deletes the session's cookie.
   *
   * @throws The errors of {@link session}, also `unsupported`.
   */
  endReason(): Promise<EndReason | null>
  /**
   * Returns the headers that the page's own response must have: the cookies of the latest session, and
   * `Cache-Control: private, no-store`. Call this once, after all calls have responded, and append the headers, because
   * there may be several `Set-Cookie`. If none of the other methods was used, the headers are empty, and all of them then
   * throw `unsupported`: shared caches could store the response.
   *
   * The adapters for middleware add these headers themselves.
   */
  headers(): Promise<Headers>
}

/** The response of `GET <base>/session`. */
interface SessionResponse {
  session: Omit<EdgeSession, 'publicId'> | null
  publicId?: string
  reason?: EndReason
}

/** The `Cache-Control` of a response that depends on the session. */
export const PRIVATE = 'private, no-store'

/** The page's request as the core needs it. */
export interface Outer {
  readonly request: OuterRequest
  /** The value of `performance.now()` at which {@link RequestAuth} was created. */
  readonly arrived: number
}

/** Sends a request to the handler. Resolves with `undefined` if no route covers the request. */
export type Send = (inner: Request, outer: Outer) => Promise<Response | undefined>

/** Creates the object for a request. `base` is the path of the handler's endpoints. */
export const requestAuth = (send: Send, base: string, outer: OuterRequest): RequestAuth => {
  const arrived = performance.now()
  let isUsed = false
  let isWithoutHeaders = false
  let isActive = false

  /** Sends a request with the browser's own cookie, even if an earlier call has refreshed the session: see `headers`. */
  const ask = async (
    url: URL,
    init: CallInit,
    headers: Headers,
    isBackground: boolean,
  ): Promise<Response | undefined> => {
    if (isWithoutHeaders) throw tooLate()
    isUsed = true
    for (const [name, value] of Object.entries(sessionHeaders(outer.headers))) headers.set(name, value)
    headers.set(HANDLER_HEADER, isBackground ? BACKGROUND : USER)
    const streams = init.body instanceof ReadableStream ? { duplex: 'half' } : {}
    const length = lengthOf(init.body)
    // A request of unknown length could not be sent again.
    if (length !== undefined) headers.set('content-length', `${length}`)
    const inner = new Request(url, { ...init, ...streams, headers })
    // The core compares these headers of the page's request.
    if (inner.method !== 'GET' && inner.method !== 'HEAD') {
      for (const name of ['origin', 'sec-fetch-site']) {
        const value = outer.headers.get(name)
        if (value) inner.headers.set(name, value)
      }
    }
    return send(inner, { request: outer, arrived })
  }
  const readSession = async (isBackground: boolean): Promise<Response> =>
    (await ask(new URL(`${base}/session`, outer.url), {}, new Headers(), isBackground))!
  const view = async (): Promise<SessionResponse> => {
    const response = await readSession(true)
    if (!response.ok) throw new Error(`the session cannot be read: ${response.status}`)
    return response.json()
  }

  return {
    async call(path, init = {}) {
      const url = routeUrl(path, base, outer.url)
      const headers = new Headers(init.headers)
      for (const name of headers.keys()) if (OWN_HEADERS.test(name)) throw headerRefused(name)
      const isBackground = init.background === true || isPrefetch(outer.headers)
      isActive ||= !isBackground
      const response = await ask(url, init, headers, isBackground)
      init.signal?.throwIfAborted()
      if (!response) throw noRoute(url.pathname)
      response.headers.delete('set-cookie')
      return response
    },
    async session() {
      const { session, publicId } = await view()
      return session && { ...session, publicId: publicId! }
    },
    async endReason() {
      return (await view()).reason ?? null
    },
    async headers() {
      const headers = new Headers()
      isWithoutHeaders = !isUsed
      if (!isUsed) return headers
      headers.set('cache-control', PRIVATE)
      // The cookies of the calls' responses are not used, because those of parallel calls may be of different generations,
      // in any order. This response has the cookies of the latest session.
      const response = await readSession(!isActive)
      for (const cookie of response.headers.getSetCookie()) headers.append('set-cookie', cookie)
      return headers
    },
  }
}

/** Returns the length in bytes of a body that is neither a stream nor of several parts. */
const lengthOf = (body: BodyInit | null | undefined): number | undefined => {
  if (typeof body === 'string') return new TextEncoder().encode(body).byteLength
  if (body instanceof URLSearchParams) return `${body}`.length
  if (body instanceof Blob) return body.size
  return (body as ArrayBuffer | null | undefined)?.byteLength
}

/**
 * Returns the headers of a page's request that decide about its session, and those with the ID of the request for
 * the log.
 */
const sessionHeaders = (given: Headers): Record<string, string> => {
  const headers: Record<string, string> = {}
  // With the second header, the browser says that it could not renew its bound cookie.
  for (const name of ['cookie', 'secure-session-skipped', 'x-request-id', 'traceparent']) {
    const value = given.get(name)
    if (value) headers[name] = value
  }
  return headers
}

/** The headers that a call must not set, in lower case: the handler sets them, or a browser does. */
const OWN_HEADERS = /^(?:cookie|host|origin|upgrade|x-strongroom|(?:sec|secure-session)-.*)$/

/**
 * Returns true if the browser prefetches the page. WebKit and earlier versions of other browsers send `Purpose` instead of
 * `Sec-Purpose`.
 */
const isPrefetch = (headers: Headers): boolean =>
  ['sec-purpose', 'purpose'].some((name) => /^\s*prefetch/i.test(headers.get(name) ?? ''))

/** Returns the URL of a path, unless the path leads to another origin or to the handler's own endpoints. */
const routeUrl = (path: string, base: string, page: string): URL => {
  const isPath = typeof path === 'string' && /^\/(?![/\\])/.test(path)
  if (!isPath)
    throw refused(`call() needs a path that begins with one slash, such as '/api/orders': ${shown(path)}`)
  const url = new URL(path, page)
  const isEndpoint = url.pathname === base || url.pathname.startsWith(`${base}/`)
  if (url.origin !== new URL(page).origin) throw refused(`call() needs a path of this app: ${shown(path)}`)
  if (isEndpoint)
    throw refused(`call() is for routes, and this is an endpoint of the handler: ${shown(path)}`)
  return url
}

/** Returns the error of the first use of the session after the head of the page's response. */
export const tooLate = () =>
  new StrongroomError(
    'unsupported',
    "the response's head was sent before the session was first used, so shared caches may store the response: " +
      'call `call()` or `session()` before the page streams',
  )

const refused = (message: string) => new StrongroomError('url_not_allowed', message)

const noRoute = (path: string) =>
  refused(`no entry of \`routes\` covers the path ${shown(path)}: add a route, or change the path`)

const headerRefused = (name: string) =>
  new StrongroomError('header_not_allowed', `call() must not set the header ${shown(name)}: leave it out`)

const shown = (value: unknown): string => JSON.stringify(String(value).slice(0, 100))
