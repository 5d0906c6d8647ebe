/**
 * An adapter that runs a token handler inside a Fastify app.
 *
 * ```ts
 * import Fastify from 'fastify'
 * import { strongroom } from 'strongroom/edge/fastify'
 *
 * const app = Fastify()
 * await app.register(strongroom(handler, { origin: 'https://app.example.com' }))
 * app.get('/', async (request) => (await request.strongroom.session)?.claims.sub ?? 'nobody')
 * ```
 *
 * @module
 */
import type { RequestHandler } from '../handler.js'
import type { RequestLocals } from './framework.js'
import type { NodeListenerOptions, NodeRequest } from './node.js'
import { nodeApp, type ReadableResponse, type Stoppable } from './node-app.js'

export type { RequestLocals } from './framework.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
export type { ReadableResponse, Stoppable } from './node-app.js'

/** The members of `request.strongroom`. In TypeScript, declare this member of `FastifyRequest`: docs/server-code.md#fastify. */
export type Locals = RequestLocals

/** The part of Fastify's app that the adapter uses. */
export interface FastifyApp {
  decorateRequest(name: string): unknown
  addHook(name: any, hook: any): unknown
}

/** The part of Fastify's request that the adapter uses. */
export interface FastifyRequest {
  readonly raw: NodeRequest
  strongroom?: Locals
}

/** The part of Fastify's reply that the adapter uses. */
export interface FastifyReply {
  readonly raw: ReadableResponse
}

/** A plugin for Fastify. `settled` and `stop` are those of `toNodeListener()`: `stop(app.server)`. */
export interface Plugin extends Stoppable {
  (app: FastifyApp): Promise<void>
}

/**
 * Creates a plugin that responds to the handler's endpoints and routes before Fastify reads a body, and lets the app
 * handle everything else. The plugin applies to the whole app.
 *
 * Each `call` and `session` adds the session's headers to the head of the reply, also after `reply.hijack()`. If the head
 * has been sent before, as in a streamed page, the browser keeps the previous cookie.
 */
export const strongroom = (handler: RequestHandler, options: NodeListenerOptions = {}): Plugin => {
  const { listener, locals, stoppable } = nodeApp(handler, options)
  const plugin = async (app: FastifyApp): Promise<void> => {
    app.decorateRequest('strongroom')
    app.addHook(
      'onRequest',
      (request: FastifyRequest, reply: FastifyReply, done: (error?: unknown) => void) =>
        listener(request.raw, reply.raw, (error) => {
          if (!error) request.strongroom = locals(request.raw, reply.raw)
          done(error)
        }),
    )
  }
  // Fastify otherwise limits hooks and decorators to the plugin.
  return Object.assign(plugin, stoppable, { [Symbol.for('skip-override')]: true })
}
