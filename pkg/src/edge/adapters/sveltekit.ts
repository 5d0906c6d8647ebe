/**
 * A token handler in an app made with SvelteKit.
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
import { type AdapterOptions, envOf, sessionOf } from './framework.js'
import type { EdgeSession, TokenHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions } from './framework.js'

/** What the app's own code finds in `locals`: let `App.Locals` extend it. */
export interface Locals {
  /**
   * Who has sent the request, `null` if nobody is signed in. It is looked at when somebody waits for it; it rejects if
   * nobody can say just now.
   */
  session: Promise<EdgeSession | null>
}

/** What is used of SvelteKit's event. */
export interface SvelteKitEvent {
  readonly request: Request
  readonly locals: object
  readonly platform?: object | undefined
}

/**
 * A `handle` that answers the handler's endpoints and routes, and goes on with the app for anything else.
 *
 * Its `env` is `platform.env` where there is one, as on Cloudflare, and else `process.env`.
 */
export const strongroom =
  (handler: TokenHandler, options: AdapterOptions = {}) =>
  async <Event extends SvelteKitEvent>(input: {
    event: Event
    resolve: (event: Event) => Response | Promise<Response>
  }): Promise<Response> => {
    const { event, resolve } = input
    const { env, ctx, context }: { env?: unknown; ctx?: Context; context?: Context } = event.platform ?? {}
    const given = [event.request, envOf(options, env), ctx ?? context] as const
    const response = await handler.handle(...given)
    if (response) return response
    const locals: Locals = { session: sessionOf(handler, ...given) }
    Object.assign(event.locals, locals)
    return resolve(event)
  }
