/**
 * An adapter that runs a token handler inside an Express app.
 *
 * ```ts
 * import express from 'express'
 * import { strongroom } from 'strongroom/edge/express'
 *
 * const app = express()
 * app.use(strongroom(handler, { origin: 'https://app.example.com' }))
 * app.get('/', async (request, response) => {
 *   response.send((await response.locals.session)?.claims.sub ?? 'nobody')
 * })
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

/** The members of `response.locals`: write `Response<unknown, Locals>` for the type of the response. */
export type Locals = RequestLocals

/** The part of Express's response that the adapter uses. */
export interface ExpressResponse extends ReadableResponse {
  readonly locals: object
}

/** Middleware for Express. `settled` and `stop` are those of `toNodeListener()`. */
export interface Middleware extends Stoppable {
  (request: NodeRequest, response: ExpressResponse, next: (error?: unknown) => void): void
}

/**
 * Creates middleware that responds to the handler's endpoints and routes, and lets the app handle everything else.
 * Register this middleware before any middleware that reads the request's body.
 *
 * Each `call` and `session` adds the session's headers to the head of the app's response. If the head has been sent before,
 * as in a streamed page, the browser keeps the previous cookie.
 */
export const strongroom = (handler: RequestHandler, options: NodeListenerOptions = {}): Middleware => {
  const { listener, locals, stoppable } = nodeApp(handler, options)
  const middleware: (...args: Parameters<Middleware>) => void = (request, response, next) => {
    listener(request, response, (error) => {
      if (error) return next(error)
      Object.assign(response.locals, locals(request, response))
      next()
    })
  }
  return Object.assign(middleware, stoppable)
}
