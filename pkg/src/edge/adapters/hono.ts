/**
 * A token handler in an app made with Hono, on whatever platform it runs.
 *
 * ```ts
 * import { Hono } from 'hono'
 * import { strongroom, type Variables } from 'strongroom/edge/hono'
 *
 * const app = new Hono<{ Variables: Variables }>()
 * app.use(strongroom(handler))
 * app.get('/', async (c) => c.text((await c.get('session'))?.claims.sub ?? 'nobody'))
 * ```
 *
 * @module
 */
import { type AdapterOptions, envOf, sessionOf } from './framework.js'
import type { EdgeSession, TokenHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions } from './framework.js'

/** What the app's own handlers find with `c.get(…)`. */
export interface Variables {
  /**
   * Who has sent the request, `null` if nobody is signed in. It is looked at when somebody waits for it; it rejects if
   * nobody can say just now.
   */
  session: Promise<EdgeSession | null>
}

/** What is used of Hono's context. */
export interface HonoContext {
  readonly req: { readonly raw: Request }
  readonly env: unknown
  /** Throws where the platform has none. */
  readonly executionCtx: Context
  set(name: 'session', session: Variables['session']): void
}

/**
 * Middleware that answers the handler's endpoints and routes, and goes on with the app for anything else. Use it before
 * what reads a request's body.
 *
 * Its `env` is `c.env` on Cloudflare, and `process.env` on Node, Deno and Bun.
 */
export const strongroom =
  (handler: TokenHandler, options: AdapterOptions = {}) =>
  async (c: HonoContext, next: () => Promise<void>): Promise<Response | void> => {
    const given = [c.req.raw, envOf(options, bindings(c)), context(c)] as const
    const response = await handler.handle(...given)
    if (response) return response
    c.set('session', sessionOf(handler, ...given))
    await next()
  }

/** Only Cloudflare's `env` is one: elsewhere it is the connection, or the server. */
const bindings = ({ env }: HonoContext): unknown =>
  globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? env : undefined

const context = (c: HonoContext): Context | undefined => {
  try {
    return c.executionCtx
  } catch {
    return undefined
  }
}
