/**
 * Logins by `mode: 'custom'`: the app opens the authorization URL itself, and passes on the address with the response.
 * login.ts imports this file statically, so the build bundles this file into login.js.
 */
import type { OpenAuthorization } from '../api.js'
import type { Connection } from '../connection/connection.js'
import type { refuse as Refuse } from '../errors/error-text.js'

/**
 * Calls `open`, and passes the response to the vault. The vault then completes the login, or `giveUp` ends it. Returns a
 * function that ends the wait for the response, and aborts the signal of an `open` that has not resolved.
 */
export const openByApp = (
  connection: Connection,
  request: URL,
  open: OpenAuthorization,
  giveUp: (failure: Promise<never>) => void,
  refuse: typeof Refuse,
): (() => void) => {
  const controller = new AbortController()
  let isOpen = true
  let isOver = false
  const cancel = (why: string) => isOver || giveUp(refuse('login_canceled', why))
  const passOn = async (address: unknown) => {
    isOpen = false
    if (isOver) return
    if (!address) return cancel('open() resolved without an address')
    await connection.query({ t: 'callback', url: `${address}` })
    // The vault has announced the end of this login before its response to `inspect`, if the response was to this login.
    await connection.query({ t: 'inspect' }).catch(() => {})
    if (!isOver) giveUp(refuse('callback_invalid', 'open() resolved with the response to another login'))
  }
  // The function may throw, and need not be `async`.
  const opened = (async () => open(request.href, { signal: controller.signal }))()
  opened.then(
    (address) => passOn(address).catch((error) => giveUp(Promise.reject(error))),
    (error) => {
      isOpen = false
      cancel(`open() rejected: ${error?.message ?? error}`)
    },
  )
  return () => {
    isOver = true
    if (isOpen) controller.abort()
  }
}
