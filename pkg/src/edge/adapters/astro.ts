/**
 * An adapter that runs a token handler inside an Astro app.
 *
 * ```ts
 * // src/middleware.ts
 * import { strongroom } from 'strongroom/edge/astro'
 *
 * export const onRequest = strongroom(handler)
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf, type RequestLocals, serve } from './framework.js'
import type { RequestHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions, RequestLocals } from './framework.js'

/**
 * The members of `locals` for the app: let `App.Locals` extend this interface. Pages that are rendered at build time have
 * no session.
 */
export type Locals = RequestLocals

/** The part of Astro's context that the adapter uses. */
export interface AstroContext {
  readonly request: Request
  readonly locals: object
  readonly isPrerendered: boolean
}

/**
 * Creates an `onRequest` that responds to the handler's endpoints and routes, and lets the app handle everything else.
 * The middleware does nothing at build time.
 *
 * The handler's `env` is `locals.runtime.env` if that exists, as on Cloudflare, and otherwise `process.env`.
 */
export const strongroom =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  async (context: AstroContext, next: () => Promise<Response>): Promise<Response> => {
    if (context.isPrerendered) return next()
    const { runtime } = context.locals as { runtime?: { env?: unknown; ctx?: Context } }
    return serve(handler, [context.request, envOf(options, runtime?.env), runtime?.ctx], (locals) => {
      Object.assign(context.locals, locals)
      return next()
    })
  }
