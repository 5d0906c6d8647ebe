/** The state before a connection. */
import type { AuthState } from './auth.js'

/** The state of every `Auth` at first. A server renders it, and so does a page while it takes over the server's HTML. */
export const INITIAL_STATE: AuthState<never> = {
  status: 'connecting',
  error: null,
  session: null,
  endReason: null,
  elsewhere: false,
  expiring: null,
}
