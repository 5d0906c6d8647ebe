/** The state of an `Auth` before it connects. */
import type { AuthState } from './auth.js'

/** The first state of every `Auth`. A server renders this state, and a page renders it during hydration. */
export const INITIAL_STATE: AuthState<never> = {
  status: 'connecting',
  error: null,
  via: null,
  session: null,
  endReason: null,
  elsewhere: false,
  expiring: null,
}
