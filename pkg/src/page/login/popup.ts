/** Opens the window of a popup login. */
import type { LoginOptions } from '../api.js'
import type { Connection } from '../connection/connection.js'

/**
 * Opens an empty popup, which must happen in the task of the click. Returns `null` if the browser blocked the popup.
 */
export const openWindow = (): Window | null => {
  const popup = window.open('', '_blank', 'popup,width=480,height=640')
  // With an opener, the provider's page could navigate the app's page. Without an opener, a popup that shows the
  // provider's page stays open when the login is canceled. A Cross-Origin-Opener-Policy of the provider would also keep
  // the popup open.
  if (popup) popup.opener = null
  return popup
}

/**
 * Opens a popup if `mode` is `popup`. The popup opens before the request is sent, because Firefox delivers messages while it opens a window. No
 * popup opens if the login is canceled or the vault has ended. Returns `null` if the browser blocked the popup, and
 * `undefined` if this function opened no popup.
 */
export const openPopup = (
  connection: Connection,
  { mode, signal }: LoginOptions = {},
): Window | null | undefined =>
  mode !== 'popup' || signal?.aborted || connection.state.why ? undefined : openWindow()
