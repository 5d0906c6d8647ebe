/**
 * The messages between a page and its vault's frame. Calls do not pass through the frame: calls use ports between the
 * page and the worker (messages.ts).
 *
 * The page posts {@link FRAME_HANDSHAKE} with a port to the frame's window, for the frame's origin only. All other
 * messages use that port. No message contains an authorization code, a verifier or a token.
 */

import type { VaultMessage } from './messages.js'

/** The page's first message, which passes the port for all other messages to the frame's window. */
export const FRAME_HANDSHAKE = 'strongroom frame 1'

/** The start of the fragment of the app's URL after a redirect login. The login's `state` follows. */
export const STATE_FRAGMENT = '#strongroom='

/** The messages that a page sends to the frame. `id` is unique on its port and identifies the response. */
export type FrameRequest =
  /** Passes a port on to the worker. The vault responds on that port. */
  | { t: 'connect' }
  /** Requests a lock of the vault's origin. Response: `granted`. */
  | { t: 'lock'; id: number; name: string }
  /** Releases the lock that request `id` got, or cancels this request. */
  | { t: 'unlock'; id: number }
  /**
   * The provider has responded to the login with this `state`, and the vault is to finish the login. Response:
   * `settled`.
   */
  | { t: 'callback'; id: number; state: string }
  /**
   * A popup shows the provider's page. The vault finishes the popup's login as soon as the provider has responded.
   * Response: `settled`.
   */
  | { t: 'await'; id: number; state: string }
  /** Asks if the response that the `await` request with the id `of` awaits has arrived. Response: `looked`. */
  | { t: 'look'; id: number; of: number }
  /** Cancels request `id`. */
  | { t: 'forget'; id: number }

/** A warning for developers, as the vault sends it. */
export type Warning = Extract<VaultMessage, { t: 'warning' }>

/** The messages that the frame sends to the page. */
export type FrameResponse =
  /** The page's origin is among the `apps` of the frame. */
  | { t: 'here' }
  /** The page's origin is not among the `apps`, or the frame's page is misconfigured. No more messages follow. */
  | { t: 'refused'; code: string; message: string }
  /** The worker could not be started. `message` is the reason, or empty if the reason is not known. */
  | { t: 'worker_failed'; message: string }
  | { t: 'granted'; id: number }
  /** The vault has finished the login. */
  | { t: 'settled'; id: number; returnTo: string | null }
  | { t: 'error'; id: number; code: string; message: string; returnTo?: string }
  | { t: 'looked'; id: number; isThere: boolean }
  /** A warning of the vault about a login that the frame finishes. The page prints the warning on its console. */
  | Warning
