/** Loads the code that connects the page to a vault on another origin (src/vault-origin/connect-frame.ts). */
import type { ConnectOptions, Strongroom } from './api.js'
import { connect } from './connect.js'
import { refuse } from './errors/error-text.js'
import { load } from './load.js'

/**
 * Connects the page to a vault on an origin of its own. Script of this origin then cannot reach the vault's storage,
 * its worker or an authorization code.
 *
 * Adds a hidden frame to the page, once for each URL. Do not remove this frame. `timeout` applies to the frame's
 * response, and again to the worker's response.
 *
 * @param url The page that calls `vaultFrame()` of `strongroom/vault-frame`: see docs/vault-origin.md.
 * @throws `StrongroomError` The errors of `connect()`, and `frame_blocked`, `frame_timeout`,
 *   `origin_not_allowed`.
 */
export const connectFrame = async (url: string | URL, options?: ConnectOptions): Promise<Strongroom> =>
  (await load(() => import('../vault-origin/connect-frame.js'), 'connectFrame')).connectFrame(
    url,
    options,
    connect,
    refuse,
  )
