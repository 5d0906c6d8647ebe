/**
 * An adapter that runs a token handler inside a TanStack Start app.
 *
 * ```ts
 * // src/start.ts
 * import { strongroom } from 'strongroom/edge/tanstack-start'
 *
 * const serve = strongroom(handler)
 * const auth = createMiddleware().server(({ request, next }) => serve(request, (context) => next({ context })))
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf, localsOf, type RequestLocals, withHeaders } from './framework.js'
import type { RequestHandler } from '../handler.js'

export type { AdapterOptions, RequestLocals } from './framework.js'

/** The members of `context` for server functions, server routes and other middleware. */
export type Context = RequestLocals

/**
 * Creates the function for request middleware. It responds to the handler's endpoints and routes, and lets the app handle
 * everything else: documents, server functions and server routes.
 *
 * The app itself calls TanStack Start's `next` in the function that it passes, because TypeScript infers the type of the
 * app's `context` from this call.
 *
 * The handler's `env` is `process.env` unless the option `env` sets it.
 */
export const strongroom =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  async <Result extends { response: Response }>(
    request: Request,
    next: (context: Context) => Result | Promise<Result>,
  ): Promise<Result | Response> => {
    const given = [request, envOf(options)] as const
    const own = await handler.handle(...given)
    if (own) return own
    const context = localsOf(handler, ...given)
    const result = await next(context)
    return { ...result, response: copied(result.response, await context.auth.headers()) }
  }

/** The members of a response in which TanStack Start stores a redirect's destination, and headers that it restores. */
const MARKS = ['options', Symbol.for('tanstack-start:protected-response-headers')]

/** Returns a copy of the response with more headers. TanStack Start treats the copy as it treats the response. */
const copied = (response: Response, more: Headers): Response => {
  const copy: any = withHeaders(response, more)
  if (copy === response) return response
  for (const mark of MARKS) if (mark in response) copy[mark] = (response as any)[mark]
  return copy
}
