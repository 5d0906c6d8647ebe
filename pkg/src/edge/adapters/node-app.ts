/** The common part of the adapters for apps on Node. */
import type { RequestHandler } from '../handler.js'
import type { RequestAuth } from '../request-auth.js'
import { envOf, localsOf, type RequestLocals } from './framework.js'
import {
  type NodeListener,
  type NodeListenerOptions,
  type NodeRequest,
  type NodeResponse,
  toNodeListener,
} from './node.js'
import { headersOf, originOf } from './node-request.js'

/** The functions that stop a server: see `NodeListener`. */
export type Stoppable = Pick<NodeListener, 'settled' | 'stop'>

/** Returns the listener, and a function that returns what the app gets for a request that the listener has passed on. */
export const nodeApp = (handler: RequestHandler, options: NodeListenerOptions) => {
  const listener = toNodeListener(handler, options)
  const env = envOf(options)
  const locals = (incoming: NodeRequest): RequestLocals => {
    // The listener has refused requests without a usable host.
    const url = (options.origin ?? originOf(incoming)) + (incoming.originalUrl ?? incoming.url ?? '')
    const request = { method: incoming.method ?? 'GET', url, headers: headersOf(incoming) }
    return localsOf(handler, request, env, listener.context)
  }
  const stoppable: Stoppable = { settled: listener.settled, stop: listener.stop }
  return { listener, locals, stoppable }
}

/** A response of Node whose headers can be read. */
export interface ReadableResponse extends NodeResponse {
  getHeader(name: string): number | string | string[] | undefined
}

/**
 * Returns an object that adds the session's headers to the app's response after each use, for frameworks without a step
 * that runs before the head of every response. After the head, nothing is added.
 */
export const savingHeaders = (auth: RequestAuth, response: ReadableResponse): RequestAuth => {
  /** The cookies from the previous use, which those of the next use replace. */
  let saved: readonly string[] = []
  const save = async (): Promise<void> => {
    const headers = await auth.headers()
    if (response.headersSent) return
    const cookies = headers.getSetCookie()
    const others = [response.getHeader('set-cookie') ?? []].flat().map(String)
    if (cookies.length || saved.length)
      response.setHeader('set-cookie', [...others.filter((cookie) => !saved.includes(cookie)), ...cookies])
    saved = cookies
    for (const [name, value] of headers) if (name !== 'set-cookie') response.setHeader(name, value)
  }
  let saving = Promise.resolve()
  /** Waits for earlier uses, so that the cookies of the latest session are written last. */
  const saveInOrder = (): Promise<void> => (saving = saving.then(save, save))
  return {
    async call(...args) {
      const result = await auth.call(...args)
      await saveInOrder()
      return result
    },
    async session() {
      const result = await auth.session()
      await saveInOrder()
      return result
    },
    headers: () => auth.headers(),
  }
}
