/**
 * An adapter that runs a token handler inside a Next.js app.
 *
 * ```ts
 * // app/auth/[...path]/route.ts, and app/api/[...path]/route.ts for a route of the handler
 * import { strongroom } from 'strongroom/edge/next'
 *
 * export const { GET, HEAD, POST, PUT, PATCH, DELETE } = strongroom(handler)
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf } from './framework.js'
import type { RequestHandler } from '../handler.js'
import type { Context } from '../host.js'
import type { EdgeSession, OuterRequest, RequestAuth } from '../request-auth.js'

export type { AdapterOptions } from './framework.js'

/** A route handler. */
export type RouteHandler = (request: Request) => Promise<Response>

/** The route handlers of `strongroom(…)` for `route.ts`, one for each method. */
export type RouteHandlers = Record<'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', RouteHandler>

/**
 * Creates route handlers for the folders of the handler's endpoints and routes. Other URLs get 404.
 *
 * Bodies are streamed in both directions.
 */
export const strongroom = (handler: RequestHandler, options: AdapterOptions = {}): RouteHandlers => {
  const route: RouteHandler = (request) => handler.fetch(request, envOf(options))
  return { GET: route, HEAD: route, POST: route, PUT: route, PATCH: route, DELETE: route }
}

/**
 * Creates the function for `proxy.ts` (`middleware.ts` before Next.js 16). For URLs that are neither endpoints nor
 * routes, the function returns `undefined`, and Next.js continues. Export a `matcher` for the proxy: with
 * `session.bind`, it must include the app's pages. For a proxy, Next.js holds the first 10 MB of a body in memory and cuts
 * off the rest, so use route handlers for large uploads.
 */
export const strongroomProxy =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  async (request: Request, event?: Context): Promise<Response | undefined> => {
    const response = await handler.handle(request, envOf(options), event)
    const location = response?.headers.get('location')
    // Next.js fails on a relative `Location`, so this code makes the URL absolute. Next.js makes the URL relative
    // again.
    if (location) response!.headers.set('location', new URL(location, request.url).href)
    return response
  }

/** A page's request as Next.js shows it: the result of `await headers()`. */
export type GivenHeaders = Pick<Headers, 'get' | 'entries'>

/**
 * Returns the object with which a server component calls APIs: see `handler.for`. A server component sees no method, so
 * only GET and HEAD are allowed, and it cannot set cookies: see `authForAction`.
 *
 * ```ts
 * import { headers } from 'next/headers'
 * import { authFor } from 'strongroom/edge/next'
 *
 * const response = await authFor(handler, await headers()).call('/api/orders')
 * ```
 *
 * If a call refreshes the session, the browser keeps the previous cookie. The session continues with it if all processes
 * share a coordinator. With `inIsolate()` in several processes, they do not, and the session may end.
 *
 * @param headers The result of `await headers()`.
 */
export const authFor = (
  handler: RequestHandler,
  headers: GivenHeaders,
  options: AdapterOptions = {},
): RequestAuth => handler.for(outerRequest('GET', headers), envOf(options))

/**
 * Returns the object with which a server action calls APIs: see `handler.for`. All methods are allowed if a page of this
 * app sent the request and the request is an action or a form. Otherwise, only GET and HEAD are allowed, because the
 * headers do not contain the method. `saveAuth` writes the session's cookies.
 *
 * ```ts
 * import { cookies, headers } from 'next/headers'
 * import { authForAction, saveAuth } from 'strongroom/edge/next'
 *
 * const auth = authForAction(handler, await headers())
 * const response = await auth.call('/api/orders', { method: 'POST', body })
 * await saveAuth(auth, await cookies())
 * ```
 *
 * @param headers The result of `await headers()`.
 */
export const authForAction = (
  handler: RequestHandler,
  headers: GivenHeaders,
  options: AdapterOptions = {},
): RequestAuth => handler.for(outerRequest(isAction(headers) ? 'POST' : 'GET', headers), envOf(options))

/** Returns true for an action that a script of Next.js sends, and for a form, as in a page without scripts. */
const isAction = (headers: GivenHeaders): boolean => {
  const isForm = /^\s*(?:multipart\/form-data|application\/x-www-form-urlencoded|text\/plain)\s*(?:;|$)/i
  return headers.get('next-action') !== null || isForm.test(headers.get('content-type') ?? '')
}

/** The result of `await cookies()`. */
export interface CookieStore {
  set(name: string, value: string, options: object): unknown
}

/**
 * Writes the cookies of the latest session, in a server action or a route handler, after all calls have responded.
 *
 * @param cookies The result of `await cookies()`.
 */
export const saveAuth = async (auth: RequestAuth, cookies: CookieStore): Promise<void> => {
  const headers = await auth.headers()
  for (const cookie of headers.getSetCookie()) {
    const [pair, ...attributes] = cookie.split('; ')
    const [name, value] = split(pair!)
    cookies.set(name, value, cookieOptions(attributes))
  }
}

const split = (text: string): [string, string] => {
  const at = text.indexOf('=')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** Returns the attributes of a cookie of the handler in the form of Next.js. */
const cookieOptions = (attributes: readonly string[]): object => {
  const options: Record<string, unknown> = {}
  for (const [name, value] of attributes.map(split)) {
    if (name === 'Path') options.path = value
    else if (name === 'Max-Age') options.maxAge = Number(value)
    else if (name === 'SameSite') options.sameSite = value.toLowerCase()
    else if (name === 'Secure') options.secure = true
    else if (name === 'HttpOnly') options.httpOnly = true
  }
  return options
}

const outerRequest = (method: string, headers: GivenHeaders): OuterRequest => {
  // Next.js sets `X-Forwarded-Proto` and `Host`, unless a proxy in front of Next.js has set them. The handler
  // finds by these headers the names of its cookies and, unless `origin` is one string, the host of the session.
  const [scheme] = (headers.get('x-forwarded-proto') ?? 'https').split(',')
  const url = `${scheme}://${headers.get('host') ?? 'localhost'}/`
  return { method, url, headers: new Headers([...headers.entries()]) }
}

/**
 * Returns the session of the request that a server component, a server action or a route handler handles.
 *
 * ```ts
 * import { headers } from 'next/headers'
 * import { sessionFrom } from 'strongroom/edge/next'
 *
 * const session = await sessionFrom(handler, await headers())
 * ```
 *
 * @param headers The result of `await headers()`.
 * @returns `null` if there is no session.
 * @throws Error if the session cannot be read now. The session continues, and the caller may try again.
 */
export const sessionFrom = (
  handler: RequestHandler,
  headers: GivenHeaders,
  options: AdapterOptions = {},
): Promise<EdgeSession | null> => authFor(handler, headers, options).session()
