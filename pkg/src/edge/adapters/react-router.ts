/**
 * An adapter that runs a token handler inside a React Router app in framework mode.
 *
 * ```tsx
 * // app/root.tsx
 * import { strongroom } from 'strongroom/edge/react-router'
 *
 * export const middleware = [strongroom(handler)]
 * ```
 *
 * React Router runs no middleware for a URL without a route. The handler's endpoints and routes therefore need a resource
 * route each: docs/react-router-server.md.
 *
 * @module
 */
import { type AdapterOptions, envOf, serve } from './framework.js'
import type { RequestHandler } from '../handler.js'
import type { RequestAuth } from '../request-auth.js'

export type { AdapterOptions } from './framework.js'
export type { RequestAuth } from '../request-auth.js'

/** A key for React Router's context, as `createContext()` returns it. */
export interface AuthContext {
  defaultValue?: RequestAuth
}

/**
 * The key with which loaders, actions and middleware get the user's session: `context.get(authContext)`. The adapter adds
 * its headers to the response.
 */
export const authContext: AuthContext = {}

/** The part of the arguments of React Router's middleware that the adapter uses. */
export interface ReactRouterArgs {
  readonly request: Request
  readonly context: { set(key: AuthContext, value: RequestAuth): void }
}

/**
 * Creates middleware for the root route. The middleware responds to the handler's endpoints and routes, and lets the app
 * handle everything else: documents and requests for data.
 *
 * The handler's `env` is `process.env` unless the option `env` sets it.
 */
export const strongroom =
  (handler: RequestHandler, options: AdapterOptions = {}) =>
  ({ request, context }: ReactRouterArgs, next: () => Promise<Response>): Promise<Response> =>
    serve(handler, [request, envOf(options)], ({ auth }) => {
      context.set(authContext, auth)
      return next()
    })
