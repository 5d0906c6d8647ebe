/**
 * An adapter that runs a token handler inside a SvelteKit app.
 *
 * ```ts
 * // src/hooks.server.ts
 * import { strongroom } from 'strongroom/edge/sveltekit'
 *
 * export const handle = strongroom(handler)
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf, type RequestLocals, serve } from './framework.js'
import type { RequestHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions, RequestLocals } from './framework.js'

/** The members of `locals` for the app: let `App.Locals` extend this interface. */
export type Locals = RequestLocals

/** The part of SvelteKit's event that the adapter uses. */
export interface SvelteKitEvent {
  readonly request: Request
  readonly locals: object
  readonly platform?: object | undefined
}

/**
 * Creates a `handle` that responds to the handler's endpoints and routes, and lets the app handle everything else.
 *
 * The handler's `env` is `platform.env` if that exists, as on Cloudflare, and otherwise `process.env`.
 */
export const strongroom =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  async <Event extends SvelteKitEvent>(input: {
    event: Event
    resolve: (event: Event) => Response | Promise<Response>
  }): Promise<Response> => {
    const { event, resolve } = input
    const { env, ctx, context }: { env?: unknown; ctx?: Context; context?: Context } = event.platform ?? {}
    return serve(handler, [event.request, envOf(options, env), ctx ?? context], (locals) => {
      Object.assign(event.locals, locals)
      return resolve(event)
    })
  }
