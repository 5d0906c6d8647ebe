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
import { StrongroomError } from '../../page/errors/error.js'
import type { RequestHandler } from '../handler.js'
import type { RequestAuth } from '../request-auth.js'

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
 * In a cached handler, `call` and `session` throw `StrongroomError` `unsupported`. Elsewhere, each of them adds the
 * session's headers to the response, because h3 has no step after the app that all responses pass, such as those to
 * errors.
 *
 * The handler's `env` is `process.env` unless the option `env` sets it.
 */
export const strongroom =
  (handler: RequestHandler, options: NodeListenerOptions = {}) =>
  async (event: H3Event): Promise<void> => {
    const { req, res } = event.node
    const page = pageContextOf(req)
    if (page) return give(event, page)
    const handle: RequestHandler['handle'] = async (...given) => {
      const response = await handler.handle(...given)
      if (response) return response
      const auth = savingHeaders(handler.for(...given), res)
      return void give(event, { auth, session: sessionOf(auth) })
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
const pageContextOf = ({ __unenv__ }: H3Event['node']['req']): Context | undefined =>
  __unenv__?.auth && __unenv__

/**
 * Gives an event its members of the context. They reject in a cached handler, because Nitro would send the response of one
 * user to all.
 */
const give = ({ context }: H3Event, given: Context): void => {
  const check = () => {
    // Nitro sets this member before it calls a cached handler, which may have the context of an event without a cache.
    if ((context as { cache?: { options?: unknown } }).cache?.options) throw inCachedHandler()
  }
  const auth: RequestAuth = {
    async call(...args) {
      check()
      return given.auth.call(...args)
    },
    async session() {
      check()
      return given.auth.session()
    },
    async endReason() {
      check()
      return given.auth.endReason()
    },
    headers: () => given.auth.headers(),
  }
  const session = async () => {
    check()
    return given.session
  }
  Object.defineProperties(context, {
    auth: { value: auth, enumerable: true, configurable: true, writable: true },
    // A new promise each time, because earlier middleware may have read the session.
    session: { get: () => sessionOf({ session }), enumerable: true, configurable: true },
  })
}

const inCachedHandler = () =>
  new StrongroomError(
    'unsupported',
    'a cached handler or page must not use the session, because Nitro would send its response to other users: ' +
      'remove `swr`, `isr` or `cache` from its `routeRules`, and use `defineEventHandler` for a server route',
  )
