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
import { type NodeListenerOptions, type NodeRequest, toNodeListener } from './node.js'
import { type ReadableResponse, savingHeaders } from './node-app.js'
import type { RequestHandler } from '../handler.js'

export type { RequestLocals } from './framework.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
export type { ReadableResponse } from './node-app.js'

/** The members of `event.context` for the app: let `H3EventContext` of h3 extend this interface. */
export type Context = RequestLocals

/** The part of h3's event that the adapter uses. */
export interface H3Event {
  readonly context: object
  readonly node: {
    readonly req: NodeRequest & { readonly __unenv__?: any }
    readonly res: ReadableResponse
  }
}

/**
 * Creates the function for middleware that responds to the handler's endpoints and routes, and lets the app handle
 * everything else. Bodies are streamed in both directions.
 *
 * Each `call` and `session` adds the session's headers to the response, because h3 has no step after the app that all
 * responses pass, such as those to errors.
 *
 * The handler's `env` is `process.env` unless the option `env` sets it.
 */
export const strongroom =
  (handler: RequestHandler, options: NodeListenerOptions = {}) =>
  async (event: H3Event): Promise<void> => {
    const { req, res } = event.node
    const { auth, session } = pageContextOf(req)
    if (auth) return void Object.assign(event.context, { auth, session })
    const handle: RequestHandler['handle'] = async (...given) => {
      const response = await handler.handle(...given)
      if (response) return response
      const auth = savingHeaders(handler.for(...given), res)
      return void Object.assign(event.context, { auth, session: sessionOf(auth) } satisfies Context)
    }
    await new Promise<void>((resolve) => {
      res.on('close', resolve)
      toNodeListener({ fetch: handler.fetch, handle }, options)(req, res, () => resolve())
    })
  }

/**
 * Returns the context of the page's request, if Nitro sends this request to itself while it renders the page, such as for
 * `useFetch()`. Both requests share one session, whose cookies the page's response gets.
 */
const pageContextOf = (request: { readonly __unenv__?: Partial<Context> }): Partial<Context> =>
  request.__unenv__ ?? {}
