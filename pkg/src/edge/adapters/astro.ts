/**
 * A token handler in an app made with Astro.
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
import { type AdapterOptions, envOf, sessionOf } from './framework.js'
import type { EdgeSession, TokenHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions } from './framework.js'

/** What the app's own code finds in `locals`: let `App.Locals` extend it. */
export interface Locals {
  /**
   * Who has sent the request, `null` if nobody is signed in. It is looked at when somebody waits for it; it rejects if
   * nobody can say just now. A page that is made at build time has none.
   */
  session: Promise<EdgeSession | null>
}

/** What is used of Astro's context. */
export interface AstroContext {
  readonly request: Request
  readonly locals: object
  readonly isPrerendered: boolean
}

/**
 * An `onRequest` that answers the handler's endpoints and routes, and goes on with the app for anything else. At build
 * time it does nothing.
 *
 * Its `env` is `locals.runtime.env` where there is one, as on Cloudflare, and else `process.env`.
 */
export const strongroom =
  (handler: TokenHandler, options: AdapterOptions = {}) =>
  async (context: AstroContext, next: () => Promise<Response>): Promise<Response> => {
    if (context.isPrerendered) return next()
    const { runtime } = context.locals as { runtime?: { env?: unknown; ctx?: Context } }
    const given = [context.request, envOf(options, runtime?.env), runtime?.ctx] as const
    const response = await handler.handle(...given)
    if (response) return response
    const locals: Locals = { session: sessionOf(handler, ...given) }
    Object.assign(context.locals, locals)
    return next()
  }
