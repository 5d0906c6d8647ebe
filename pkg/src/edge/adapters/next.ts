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
import { type EdgeSession, sessionHeaders, type TokenHandler } from '../handler.js'
import type { Context } from '../host.js'

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
export const strongroom = (handler: TokenHandler, options: AdapterOptions = {}): RouteHandlers => {
  const route: RouteHandler = (request) => handler.fetch(request, envOf(options))
  return { GET: route, HEAD: route, POST: route, PUT: route, PATCH: route, DELETE: route }
}

/**
 * Creates the function for `proxy.ts` (`middleware.ts` before Next.js 16). For URLs that are neither endpoints nor
 * routes, the function returns `undefined`, and Next.js continues. Export a `matcher` for the proxy. For a proxy,
 * Next.js holds the first 10 MB of a body in memory and cuts off the rest, so use route handlers for large uploads.
 */
export const strongroomProxy =
  (handler: TokenHandler, options: AdapterOptions = {}) =>
  async (request: Request, event?: Context): Promise<Response | undefined> => {
    const response = await handler.handle(request, envOf(options), event)
    const location = response?.headers.get('location')
    // Next.js fails on a relative `Location`, so this code makes the URL absolute. Next.js makes the URL relative
    // again.
    if (location) response!.headers.set('location', new URL(location, request.url).href)
    return response
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
export const sessionFrom = async (
  handler: TokenHandler,
  headers: Pick<Headers, 'get'>,
  options: AdapterOptions = {},
): Promise<EdgeSession | null> => {
  // Next.js sets `X-Forwarded-Proto` and `Host`, unless a proxy in front of Next.js has set them. These headers only
  // select one of the handler's own cookie names.
  const [scheme] = (headers.get('x-forwarded-proto') ?? 'https').split(',')
  const address = `${scheme}://${headers.get('host') ?? 'localhost'}`
  return handler.session(new Request(address, { headers: sessionHeaders(headers) }), envOf(options))
}
