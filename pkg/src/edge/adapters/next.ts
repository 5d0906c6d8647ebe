/**
 * A token handler in an app made with Next.js.
 *
 * ```ts
 * // app/auth/[...path]/route.ts, and app/api/[...path]/route.ts for a route of the handler's
 * import { strongroom } from 'strongroom/edge/next'
 *
 * export const { GET, HEAD, POST, PUT, PATCH, DELETE } = strongroom(handler)
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf } from './framework.js'
import type { EdgeSession, TokenHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions } from './framework.js'

/** Answers a request. */
export type RouteHandler = (request: Request) => Promise<Response>

/** What `strongroom(…)` has for `route.ts`: one for each method. */
export type RouteHandlers = Record<'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', RouteHandler>

/**
 * Route handlers for the folders of the handler's endpoints and routes. What is neither gets 404.
 *
 * Bodies are streamed in both directions.
 */
export const strongroom = (handler: TokenHandler, options: AdapterOptions = {}): RouteHandlers => {
  const route: RouteHandler = (request) => handler.fetch(request, envOf(options))
  return { GET: route, HEAD: route, POST: route, PUT: route, PATCH: route, DELETE: route }
}

/**
 * The same as one function, for `proxy.ts` (`middleware.ts` before Next.js 16): `undefined`, with which Next.js goes on,
 * for what is neither an endpoint nor a route. Give it a `matcher`. Next.js holds the first 10 MB of a body in memory
 * for a proxy and cuts off what is longer: take route handlers for large uploads.
 */
export const strongroomProxy =
  (handler: TokenHandler, options: AdapterOptions = {}) =>
  async (request: Request, event?: Context): Promise<Response | undefined> => {
    const response = await handler.handle(request, envOf(options), event)
    const location = response?.headers.get('location')
    // Next.js fails on a relative one, and makes this relative again.
    if (location) response!.headers.set('location', new URL(location, request.url).href)
    return response
  }

/**
 * Who has sent the request that a server component, a server action or a route handler is at work for.
 *
 * ```ts
 * import { headers } from 'next/headers'
 * import { sessionFrom } from 'strongroom/edge/next'
 *
 * const session = await sessionFrom(handler, await headers())
 * ```
 *
 * @param headers What `await headers()` gives.
 * @returns `null` if nobody is signed in.
 * @throws Error If nobody can say just now: the session is kept, and the request may come again.
 */
export const sessionFrom = async (
  handler: TokenHandler,
  headers: Pick<Headers, 'get'>,
  options: AdapterOptions = {},
): Promise<EdgeSession | null> => {
  // Next.js sets both, unless something in front of it did. They say no more than which of its own names a cookie has.
  const [scheme] = (headers.get('x-forwarded-proto') ?? 'https').split(',')
  const address = `${scheme}://${headers.get('host') ?? 'localhost'}`
  const cookie = headers.get('cookie') ?? ''
  return handler.session(new Request(address, { headers: { cookie } }), envOf(options))
}
