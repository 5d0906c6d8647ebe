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
import type { RequestAuth } from '../request-auth.js'

export type { RequestLocals } from './framework.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'

/** The members of `event.context` for the app: let `H3EventContext` of h3 extend this interface. */
export type Context = RequestLocals

/** The part of h3's event that the adapter uses. */
export interface H3Event {
  readonly context: object
  readonly node: {
    readonly req: NodeRequest & { readonly __unenv__?: any }
    readonly res: NodeResponse & { getHeader(name: string): number | string | string[] | undefined }
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
      const auth = saving(handler.for(...given), res)
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

/**
 * Adds the headers of the session to the response after each use, because h3 has no step after the app in which this is
 * possible for all responses, such as those to errors.
 */
const saving = (auth: RequestAuth, response: H3Event['node']['res']): RequestAuth => {
  let added: readonly string[] = []
  const add = async (): Promise<void> => {
    const headers = await auth.headers()
    if (response.headersSent) return
    const others = cookiesOf(response).filter((cookie) => !added.includes(cookie))
    added = headers.getSetCookie()
    if (others.length || added.length) response.setHeader('set-cookie', [...others, ...added])
    response.setHeader('cache-control', headers.get('cache-control')!)
  }
  // One after the other, so that the cookies of the latest session remain.
  let last = Promise.resolve()
  const save = (): Promise<void> => (last = last.then(add, add))

  return {
    async call(path, init) {
      const result = await auth.call(path, init)
      await save()
      return result
    },
    async session() {
      const result = await auth.session()
      await save()
      return result
    },
    headers: () => auth.headers(),
  }
}

const cookiesOf = (response: H3Event['node']['res']): string[] =>
  [response.getHeader('set-cookie') ?? []].flat().map(String)
