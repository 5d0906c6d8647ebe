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
import type { RequestAuth } from '../request-auth.js'
import { type RequestLocals, sessionOf } from './framework.js'
import type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
import { nodeApp, type Stoppable } from './node-app.js'

export type { RequestLocals } from './framework.js'
export type { NodeListenerOptions, NodeRequest, NodeResponse } from './node.js'
export type { Stoppable } from './node-app.js'

/** The members of `response.locals`: write `Response<unknown, Locals>` for the type of the response. */
export type Locals = RequestLocals

/** The part of Express's response that the adapter uses. */
export interface ExpressResponse extends NodeResponse {
  readonly locals: object
  getHeader(name: string): number | string | string[] | undefined
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
      const auth = withCookies(locals(request).auth, response)
      Object.assign(response.locals, { auth, session: sessionOf(auth) })
      next()
    })
  }
  return Object.assign(middleware, stoppable)
}

/** Returns an object that writes the session's cookies to the response after each use. */
const withCookies = (auth: RequestAuth, response: ExpressResponse): RequestAuth => {
  let own: string[] = []
  const write = async () => {
    const headers = await auth.headers()
    if (response.headersSent) return
    response.setHeader('cache-control', headers.get('cache-control')!)
    const cookies = headers.getSetCookie()
    const others = [response.getHeader('set-cookie') ?? []].flat().map(String)
    response.setHeader('set-cookie', [...others.filter((cookie) => !own.includes(cookie)), ...cookies])
    own = cookies
  }
  let writing = Promise.resolve()
  /** Waits for earlier writes, so that the cookies of the latest session are written last. */
  const written = () => (writing = writing.then(write))
  return {
    async call(...args) {
      const response = await auth.call(...args)
      await written()
      return response
    },
    async session() {
      const session = await auth.session()
      await written()
      return session
    },
    headers: () => auth.headers(),
  }
}
