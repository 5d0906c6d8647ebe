/**
 * An adapter that runs a token handler inside a Nuxt app, or another server with h3, on Node.
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
import { localsWith, type RequestLocals } from './framework.js'
import { type NodeListenerOptions, type NodeRequest, type NodeResponse, toNodeListener } from './node.js'
import type { TokenHandler } from '../handler.js'
import type { RequestAuth } from '../request-auth.js'

export type { NodeListenerOptions } from './node.js'

/** The members of `event.context` for the app: let `H3EventContext` of h3 extend this interface. */
export type Context = RequestLocals

/** The part of h3's event that the adapter uses. */
export interface H3Event {
  readonly method: string
  readonly path: string
  readonly context: object
  readonly node: {
    /** `__unenv__` exists in a request that Nitro sends to itself. It is the context of the request that caused it. */
    readonly req: NodeRequest & { readonly __unenv__?: unknown }
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
  (handler: TokenHandler, options: NodeListenerOptions = {}) =>
  async (event: H3Event): Promise<Response | void> => {
    const { req, res } = event.node
    if ('__unenv__' in req) return inner(event, req.__unenv__ as Partial<Context> | undefined)
    const handle: TokenHandler['handle'] = async (...given) => {
      const response = await handler.handle(...given)
      if (!response) Object.assign(event.context, localsWith(saving(handler.for(...given), res)))
      return response
    }
    await new Promise<void>((resolve) => {
      res.on('close', resolve)
      toNodeListener({ fetch: handler.fetch, handle }, options)(req, res, () => resolve())
    })
  }

/**
 * Lets a request that the server sends to itself, such as that of `useFetch()`, share the session of the request that
 * caused it. A path of a route is called as `auth.call()` calls it.
 */
const inner = async (event: H3Event, outer: Partial<Context> = {}): Promise<Response | void> => {
  const { auth, session } = outer
  if (!auth) return
  Object.assign(event.context, { auth, session })
  if (event.method !== 'GET') return
  try {
    return await auth.call(event.path)
  } catch (error) {
    // The path belongs to the app.
    if ((error as { code?: string }).code !== 'url_not_allowed') throw error
  }
}

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
