/**
 * The transitions of the state of an `Auth`:
 *
 * ```text
 *                connected
 *   connecting ──────────▶ connected
 *    │     ▲ ▲              │   │
 *  failed  │ └──connecting──┘   │
 *    │  connecting              │
 *    ▼     │                    │
 *    failed ◀─────failed────────┘
 * ```
 *
 * This file performs no I/O: create-auth.ts connects, signs in, and passes the events.
 */
import type { StrongroomErrorLike } from '../api.js'
import type { AuthState } from './auth.js'

/** The client's part of the state. The time at which the session is about to end comes with another event. */
type View = Pick<AuthState, 'session' | 'endReason' | 'elsewhere'> & { expiring: null }

/** An event. Its members are the new values of members of the state, and the state keeps the others. */
export type AuthEvent =
  /** The vault has responded, and the callback has ended, with or without an error. */
  | ({ status: 'connected'; error: StrongroomErrorLike | null; via: AuthState['via'] } & View)
  /** The connection has failed, or the vault has stopped and is not replaced. */
  | { status: 'failed'; error: StrongroomErrorLike }
  /** The app connects again. */
  | { status: 'connecting'; error: null }
  /** A session has begun, changed or ended. */
  | View
  /** The session is about to end. */
  | { expiring: number }
  /** A login has begun (`null`) or failed. */
  | { error: StrongroomErrorLike | null }

/** Returns the state after an event. A session clears the error, except the error of the callback. */
export const nextState = (state: AuthState, event: AuthEvent): AuthState => ({
  ...state,
  ...((event as Partial<View>).session && { error: null }),
  ...event,
})
