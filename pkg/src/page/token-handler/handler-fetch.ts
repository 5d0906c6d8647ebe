/**
 * `fetch` over a token handler: sends each request with the session's cookie. A request for another origin goes to the
 * route that covers its URL.
 */
import { BACKGROUND, HANDLER_HEADER, USER } from '../../../glue/constants.js'
import type { Demand, LoginOptions, Progress, Session, VaultRequestInit } from '../api.js'
import type { StrongroomError } from '../errors/error.js'
import { load } from '../load.js'
import { ownOf } from '../../protocol/own.js'
import { anySignal } from '../../protocol/signals.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { errorIn, type HandlerConfig, type HandlerError } from './handler-requests.js'
import type { HandlerSession } from './handler-session.js'

/** Advice for codes whose usual advice is about a worker file. */
const ADVICE: Record<string, string> = {
  url_not_allowed:
    "If the message names a fault of the URL, change the URL; otherwise add a route for it to the handler's configuration, or a url to the one that is there.",
  method_not_allowed: "Add the method to the route's methods in the handler's configuration.",
  insufficient_scope: "Add it to scope in the handler's configuration.",
}

/**
 * Rejects with an error. If `ADVICE` has the error's code, the message ends with advice for the handler's
 * configuration.
 */
export const rejectWith = (refuse: typeof Refuse, code: string, message: string): Promise<never> =>
  refuse(code, message).catch((error: StrongroomError) => {
    if (ADVICE[code]) error.message = `${message}. ${ADVICE[code]}`
    throw error
  })

/** Returns the URL to which a request for `address` is sent; `undefined` if no route covers `address`. */
export const routeUrl = (config: HandlerConfig, address: string): string | undefined => {
  const { href, origin } = new URL(address)
  if (origin === location.origin) return href
  const covering = config.routes.filter(({ url }) => href.startsWith(url))
  const [route] = covering.sort((a, b) => b.url.length - a.url.length)
  return route && location.origin + route.prefix + href.slice(route.url.length)
}

/** Returns the client's `fetch`. */
export const handlerFetch = (
  state: HandlerSession,
  config: HandlerConfig,
  closed: AbortSignal,
  refuse: typeof Refuse,
  login: (options: LoginOptions) => Promise<Session>,
) => {
  let calls = 0

  const send = async (input: RequestInfo | URL, init: VaultRequestInit = {}): Promise<Response> => {
    if (state.isClosed) return refuse('closed')
    const { background, onProgress } = ownOf(init)
    if (onProgress && typeof onProgress !== 'function') throw new TypeError('onProgress is not a function')
    const request = new Request(input, init)
    const { url, method, mode } = request
    if (request.signal.aborted) throw request.signal.reason
    if (mode === 'no-cors') return rejectWith(refuse, 'unsupported', `a call cannot be of mode '${mode}'`)
    const target = routeUrl(config, url)
    const [urlWithoutQuery] = url.split(/[?#]/)
    if (!target) {
      return rejectWith(
        refuse,
        'url_not_allowed',
        `no route of the handler has a url that covers ${urlWithoutQuery}`,
      )
    }
    const headers = new Headers(request.headers)
    headers.set(HANDLER_HEADER, background ? BACKGROUND : USER)
    const common = {
      headers,
      credentials: 'same-origin',
      signal: anySignal(request.signal, closed),
    } as const
    const isRouted = target !== url.split('#')[0]
    const body = isRouted || onProgress ? await bodyOf(request, init.body) : undefined
    const outgoing =
      isRouted || onProgress ? copyRequest(target, request, common, body) : new Request(request, common)

    const onResponse = background ? undefined : state.onUserCall(method)
    const call = ++calls
    const began = performance.now()
    const startedAt = state.session?.startedAt
    const report = (status: number) =>
      state.emit('call', { url: urlWithoutQuery!, method, status, duration: performance.now() - began })
    state.trace('call_sent', { call, detail: `${method} ${urlWithoutQuery}` })
    const response = await sendPlainly(outgoing, init.priority)
      .finally(onResponse)
      .catch((error) => {
        state.trace('call_answered', { call, detail: String((error as Error).message) })
        report(0)
        throw error
      })
    state.trace('call_answered', { call, status: response.status })
    const error = await errorIn(response)
    // The API does not accept the token, and a login brings another one.
    if (response.status === 401) state.on({ t: 'refused', startedAt })
    report(error ? 0 : response.status)
    if (error) return rejectCall(error, startedAt, input, init)
    if (state.isOutdated()) void state.read()
    if (onProgress) return withProgress(response, url, body, onProgress)
    return isRouted ? withUrl(response, url) : response
  }

  /**
   * Updates the session, which began at `startedAt`, according to the handler's error, and rejects the call with this
   * error.
   */
  const rejectCall = (
    { code, message, reason, login: demand }: HandlerError,
    startedAt: number | undefined,
    input: RequestInfo | URL,
    init: VaultRequestInit,
  ): Promise<never> => {
    if (code === 'upstream_unavailable') throw new TypeError('Failed to fetch')
    if (code === 'session_ended' || code === 'login_required') state.on({ t: 'denied', startedAt, reason })
    else if (code === 'interaction_required') state.on({ t: 'interaction', startedAt })
    // The browser may have lost the session's key. The handler says if it has.
    else if (code === 'bound_cookie_missing') void state.read()
    if (demand) state.on({ t: 'refused', startedAt })
    return rejectWith(refuse, code, message).catch((error: StrongroomError) => {
      if (demand) addStepUp(error, demand, input, init)
      throw error
    })
  }

  const addStepUp = (
    error: StrongroomError,
    demand: Demand,
    input: RequestInfo | URL,
    init: VaultRequestInit,
  ) => {
    error.login = demand
    error.stepUp = async (options) => {
      await login({ mode: 'popup', ...demand, ...options })
      return send(input, init)
    }
  }

  return send
}

/**
 * Sends a request in the form that tools expect which wrap `fetch` and add headers to `init`. The headers are a plain object
 * in `init`. A request without a body is sent as an address and `init`. A body must stay in the request: `init` would make a
 * stream of it, which HTTP/1.1 cannot send.
 */
const sendPlainly = (request: Request, priority: RequestInit['priority']): Promise<Response> => {
  const headers = Object.fromEntries(request.headers)
  if (hasBody(request)) return fetch(request, { headers })
  const { url, method, mode, credentials, cache, redirect, integrity, keepalive, signal } = request
  const init = { method, mode, credentials, cache, redirect, integrity, keepalive, signal, headers }
  return fetch(url, priority ? { ...init, priority } : init)
}

/** Returns true if a request has a body. Some browsers have no `Request.body`. */
const hasBody = ({ method, body }: Request): boolean => body !== null && !/^(GET|HEAD)$/.test(method)

/** Returns a copy of the request with another URL. */
const copyRequest = (
  url: string,
  { method, cache, integrity, keepalive, redirect }: Request,
  common: RequestInit,
  body: Blob | ReadableStream | undefined,
) => {
  const isStream = body instanceof ReadableStream
  const init = { method, cache, integrity, keepalive, redirect, body, ...(isStream && { duplex: 'half' }) }
  return new Request(url, { ...common, ...init } as RequestInit)
}

/**
 * Returns the body for a copy of the request: a stream as it is, and any other body as a blob. Resolves with
 * `undefined` if the request has no body.
 */
const bodyOf = async (
  request: Request,
  body: BodyInit | null | undefined,
): Promise<Blob | ReadableStream | undefined> => {
  if (body instanceof ReadableStream) return body
  if (!hasBody(request)) return
  return request.blob().catch(async (error) => {
    if (!(body instanceof FormData)) throw error
    return (await load(() => import('../fetch/form.js'), 'formBlob')).formBlob(
      body,
      request.headers.get('content-type')!,
    )
  })
}

/** Gives a response the URL that the page requested. */
const withUrl = (response: Response, url: string): Response => {
  const { clone } = response
  return Object.defineProperties(response, {
    url: { value: url.split('#')[0] },
    clone: { value: () => withUrl(clone.call(response), url) },
  })
}

/** Reports the upload of `body` if it is a blob, and returns a response that reports its download. */
const withProgress = (
  response: Response,
  url: string,
  body: Blob | ReadableStream | undefined,
  onProgress: (progress: Progress) => void,
): Response => {
  // An exception that `onProgress` throws is reported like an exception of an event listener, and does not affect the
  // response.
  const report = (progress: Progress) => {
    try {
      onProgress(progress)
    } catch (error) {
      reportError(error)
    }
  }
  if (body instanceof Blob && body.size) report({ type: 'upload', loaded: body.size, total: body.size })
  const length = response.headers.get('content-length')
  let total = length === null ? null : Number(length)
  let loaded = 0
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      loaded += chunk.byteLength
      // For a compressed response, Content-Length is the compressed length, and `loaded` may exceed it.
      if (total !== null && loaded > total) total = null
      controller.enqueue(chunk)
      report({ type: 'download', loaded, total })
    },
  })
  return withUrl(new Response(response.body?.pipeThrough(count), response), url)
}
