/**
 * An adapter that runs a token handler inside a Nuxt app, or another server with h3 1, on Node.
 *
 * ```ts
 * // server/middleware/strongroom.ts
 * import { strongroom } from 'strongroom/edge/h3'
 *
 * export default defineEventHandler(strongroom(handler))
 * ```
 *
 * @module
 */
import { type RequestLocals, sessionOf } from './framework.js'
import { type NodeListenerOptions, type NodeRequest, type NodeResponse, toNodeListener } from './node.js'
import type { RequestHandler } from '../handler.js'
import { type HeaderStore, savingTo } from './saving.js'

export type { RequestLocals } from './framework.js'
export type { HeaderStore } from './saving.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'

/** The members of `event.context` for the app: let `H3EventContext` of h3 extend this interface. */
export type Context = RequestLocals

/** The part of h3's event that the adapter uses. */
export interface H3Event {
  readonly context: object
  readonly node: {
    readonly req: NodeRequest & { readonly __unenv__?: any }
    readonly res: NodeResponse & HeaderStore
  }
}

/**
 * Creates the function for middleware that responds to the handler's endpoints and routes, and lets the app handle
 * everything else. Bodies are streamed in both directions.
 *
 * The handler's `env` is `process.env` unless the option `env` sets it.
 */
export const strongroom =
  (handler: RequestHandler, options: NodeListenerOptions = {}) =>
  async (event: H3Event): Promise<void> => {
    const { req, res } = event.node
    const { auth, session } = causeOf(req)
    if (auth) return void Object.assign(event.context, { auth, session })
    const handle: RequestHandler['handle'] = async (...given) => {
      const response = await handler.handle(...given)
      if (response) return response
      const auth = savingTo(res, handler.for(...given))
      return void Object.assign(event.context, { auth, session: sessionOf(auth) } satisfies Context)
    }
    await new Promise<void>((resolve) => {
      res.on('close', resolve)
      toNodeListener({ fetch: handler.fetch, handle }, options)(req, res, () => resolve())
    })
  }

/**
 * Returns the context of the request that caused this one, if Nitro sends this request to itself, such as for `useFetch()`
 * while it renders a page. Both share one session, whose cookies the page gets.
 */
const causeOf = (request: { readonly __unenv__?: Partial<Context> }): Partial<Context> =>
  request.__unenv__ ?? {}
