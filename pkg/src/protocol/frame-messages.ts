/**
 * What a page and its vault's frame say to each other. The calls themselves go past the frame, on ports between the
 * page and the worker: messages.ts.
 *
 * The page begins, by posting {@link FRAME_HANDSHAKE} with a port to the frame's window, for the frame's origin only. All that
 * follows is on that port. No code, verifier or token is in any of it, in either direction.
 */

/** The page's first word, to the frame's window, with the port of all that follows. */
export const FRAME_HANDSHAKE = 'strongroom frame 1'

/** What follows in the app's address after a login that took the page along, before the login's `state`. */
export const STATE_FRAGMENT = '#strongroom='

/** What a page may say. `id` is unique on its port and names the answer. */
export type FrameRequest =
  /** The port that comes along is for the worker. The vault answers on it. */
  | { t: 'connect' }
  /** Requests a lock of the vault's origin; answered by `granted`. */
  | { t: 'lock'; id: number; name: string }
  /** Gives the lock back, or waits for it no longer. */
  | { t: 'unlock'; id: number }
  /** The provider has answered the login with this `state`; the vault is to finish it. Answered by `settled`. */
  | { t: 'callback'; id: number; state: string }
  /** A popup is at the provider; the vault is to finish its login as soon as there is an answer. Then `settled`. */
  | { t: 'await'; id: number; state: string }
  /** Has the answer come that is awaited under the number `of`? Answered by `looked`. */
  | { t: 'look'; id: number; of: number }
  /** Nobody waits for that answer any more. */
  | { t: 'forget'; id: number }

/** What the frame may say. */
export type FrameResponse =
  /** The page's origin is on the list. */
  | { t: 'here' }
  /** It is not, or the frame's page is misconfigured. Nothing follows. */
  | { t: 'refused'; code: string; message: string }
  /** The worker could not be started, for this reason. */
  | { t: 'worker_failed'; message: string }
  | { t: 'granted'; id: number }
  /** The login is done, or has failed: what the vault said. */
  | { t: 'settled'; id: number; returnTo: string | null }
  | { t: 'error'; id: number; code: string; message: string; returnTo?: string }
  | { t: 'looked'; id: number; isThere: boolean }
