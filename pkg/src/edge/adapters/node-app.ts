/** The common part of the adapters for apps on Node. */
import type { RequestHandler } from '../handler.js'
import { localsOf, type RequestLocals } from './framework.js'
import { type NodeListener, type NodeListenerOptions, type NodeRequest, toNodeListener } from './node.js'
import { headersOf, originOf } from './node-request.js'

/** The functions that stop a server: see `NodeListener`. */
export type Stoppable = Pick<NodeListener, 'settled' | 'stop'>

/** Returns the listener, and a function that returns what the app gets for a request that the listener has passed on. */
export const nodeApp = (handler: RequestHandler, options: NodeListenerOptions) => {
  const listener = toNodeListener(handler, options)
  const env = 'env' in options ? options.env : (globalThis as any).process?.env
  const locals = (incoming: NodeRequest): RequestLocals => {
    // The listener has refused requests without a usable host.
    const url = (options.origin ?? originOf(incoming)) + (incoming.originalUrl ?? incoming.url ?? '')
    const request = { method: incoming.method ?? 'GET', url, headers: headersOf(incoming) }
    return localsOf(handler, request, env, listener.context)
  }
  const stoppable: Stoppable = { settled: listener.settled, stop: listener.stop }
  return { listener, locals, stoppable }
}
