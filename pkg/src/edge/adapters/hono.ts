/**
 * An adapter that runs a token handler inside a Hono app, on any platform.
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
import { type AdapterOptions, envOf, type RequestLocals, sessionOf, withHeaders } from './framework.js'
import { type ReadableResponse, savingHeaders } from './node-app.js'
import type { RequestHandler } from '../handler.js'
import type { Context } from '../host.js'

export type { AdapterOptions, RequestLocals } from './framework.js'

/** The variables that the app's handlers get with `c.get(…)`. */
export type Variables = RequestLocals

/** The part of Hono's context that the adapter uses. */
export interface HonoContext {
  readonly req: { readonly raw: Request; readonly routePath?: string }
  readonly env: unknown
  /** Throws if the platform has no execution context. */
  readonly executionCtx: Context
  /** After `next()`, the app's response. */
  res: Response | undefined
  set<Name extends keyof Variables>(name: Name, value: Variables[Name]): void
}

/**
 * Creates middleware that responds to the handler's endpoints and routes, and lets the app handle everything else.
 * Register this middleware before any middleware that reads the request's body.
 *
 * The handler's `env` is `c.env` on Cloudflare, and `process.env` on Node, Deno and Bun.
 */
export const strongroom =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  async (c: HonoContext, next: () => Promise<void>): Promise<Response | void> => {
    // As long as this middleware runs, this is its own path.
    const mount = c.req.routePath?.replace(/\/?\*$/, '')
    const given = [c.req.raw, envOf(options, bindings(c)), context(c, mount)] as const
    const response = await handler.handle(...given)
    if (response) return response
    const auth = handler.for(...given)
    const outgoing = nodeResponse(c)
    const used = outgoing ? savingHeaders(auth, outgoing) : auth
    c.set('auth', used)
    c.set('session', sessionOf(used))
    await next()
    const changed = withHeaders(c.res!, await auth.headers())
    if (changed === c.res) return
    // Otherwise, Hono would replace the headers with those of the app's response.
    c.res = undefined
    c.res = changed
  }

/**
 * Returns `c.env` on Cloudflare, where it contains the bindings. Returns `undefined` on other platforms, where `c.env`
 * is the connection or the server.
 */
const bindings = ({ env }: HonoContext): unknown =>
  globalThis.navigator?.userAgent === 'Cloudflare-Workers' ? env : undefined

/** Returns Node's response, to which an app on Node may write in place of a response of its own. */
const nodeResponse = ({ env }: HonoContext): ReadableResponse | undefined => {
  const { outgoing } = (env ?? {}) as { outgoing?: Partial<ReadableResponse> }
  return typeof outgoing?.writeHead === 'function' ? (outgoing as ReadableResponse) : undefined
}

const context = (c: HonoContext, mount?: string): Context | undefined => {
  let given: Context | undefined
  try {
    given = c.executionCtx
  } catch {
    // The platform has none.
  }
  if (!mount) return given
  // Cloudflare's `waitUntil` must not be called for another object.
  const waitUntil = (promise: Promise<unknown>) => given?.waitUntil?.(promise)
  return { mount, waitUntil, isDraining: given?.isDraining === true }
}
