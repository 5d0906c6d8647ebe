/** Options that the bindings' guards share. */
import type { LoginOptions } from '../page/api.js'

/** Options of a router's guard. `Target` is what the router accepts as a redirect. */
export interface GuardOptions<Target> {
  /**
   * The route to show instead if the user has to decide about a login: after a session ended with `logged_out`, `idle`,
   * `absolute`, `session_expired` or `security`, and after an error. This route needs a button that calls `login()`. A
   * function receives the path that the user wanted. Default: the navigation is canceled.
   */
  fallback?: Target | ((path: string) => Target) | undefined
  /** Options of the login that the guard begins. The guard sets `returnTo` to the path that the user wanted. */
  login?: Omit<LoginOptions, 'returnTo'> | undefined
}
