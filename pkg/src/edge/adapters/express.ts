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
import { type RequestLocals, sessionOf } from './framework.js'
import type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
import { nodeApp, type Stoppable } from './node-app.js'
import { type HeaderStore, savingTo } from './saving.js'

export type { RequestLocals } from './framework.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
export type { Stoppable } from './node-app.js'
export type { HeaderStore } from './saving.js'

/** The members of `response.locals`: write `Response<unknown, Locals>` for the type of the response. */
export type Locals = RequestLocals

/** The part of Express's response that the adapter uses. */
export interface ExpressResponse extends NodeResponse, HeaderStore {
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
 * After each `call` and `session`, the session's cookies are on the app's response. If its head has been sent before, as
 * in a streamed page, the browser keeps its cookie.
 */
export const strongroom = (handler: RequestHandler, options: NodeListenerOptions = {}): Middleware => {
  const { listener, locals, stoppable } = nodeApp(handler, options)
  const middleware: (...args: Parameters<Middleware>) => void = (request, response, next) => {
    listener(request, response, (error) => {
      if (error) return next(error)
      const auth = savingTo(response, locals(request).auth)
      Object.assign(response.locals, { auth, session: sessionOf(auth) })
      next()
    })
  }
  return Object.assign(middleware, stoppable)
}
