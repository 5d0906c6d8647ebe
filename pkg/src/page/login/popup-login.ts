/**
 * Popup logins: the code of the page that opened the popup, and the code of the page in the popup. login.ts imports
 * this file statically, so the build bundles this file into login.js.
 *
 * If tabs do not share a worker, only the opener's vault knows the login. The popup's page then passes the response to
 * the opener by a BroadcastChannel, because the popup has no `opener` (popup.ts). The code in the response is useless
 * without the verifier in the opener's vault. If tabs share a worker, the popup's page passes the response to the vault
 * itself, and uses the channel only to announce that it has come back. A vault on an origin of its own gets the
 * response on that origin, without this channel.
 */
import { stateOf } from '../address.js'
import type { Connection } from '../connection/connection.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { announce, openChannel } from './popup-announcement.js'
import { watchPopup } from './await-login.js'
import { hasMethod, portOf } from '../../protocol/own.js'

/** A response that the page waits for. */
interface AwaitedResponse {
  stop(): void
  /** Resolves with true if the response has arrived. */
  hasArrived(): Promise<boolean>
}

/**
 * Runs in the page that began the login, just before the popup or frame of the login is sent to the provider. Passes
 * the response to the vault, unless the popup's page passes it itself. With `watched`, also cancels the login when the
 * popup looks closed. Returns a function that ends the wait for the response and the checks of the popup.
 *
 * @param watched The popup, if the login is to be canceled when the popup looks closed; otherwise a falsy value.
 * @param refuse Given if the popup comes back to the callback page, whose own vault finishes the login.
 */
export const follow = (
  connection: Connection,
  request: URL,
  giveUp: (failure: Promise<never>) => void,
  watched?: Window | false | null,
  canceled?: () => Promise<never>,
  refuse?: typeof Refuse,
): (() => void) => {
  const fail = (error: unknown) => giveUp(Promise.reject(error))
  const { at } = connection
  const awaited = hasMethod(at, 'awaitResponse')
    ? at.awaitResponse(stateOf(request)!, fail)
    : portOf(at) || refuse
      ? (watched || refuse) &&
        listenForPopup(request, ({ code, message }) => refuse && giveUp(refuse(code, message)))
      : awaitResponse(connection, request, fail)
  const stop =
    watched &&
    watchPopup(
      watched,
      async () => {
        // Messages of the vault arrive in order. If the vault has announced the end of the login, the announcement
        // arrives before the response to `inspect`.
        await connection.query({ t: 'inspect' }).catch(() => {})
        return (awaited as AwaitedResponse).hasArrived()
      },
      () => giveUp(canceled!()),
    )
  return () => {
    if (stop) stop()
    if (awaited) awaited.stop()
  }
}

/** Listens for the announcements of a popup whose page passes the response to a vault itself. */
const listenForPopup = (
  request: URL,
  failed: (failure: { code: string; message: string }) => void,
): AwaitedResponse => {
  const channel = openChannel()
  let isThere = false
  channel.onmessage = ({ data: [state, failure] }) => {
    if (state !== stateOf(request)) return
    isThere = true
    if (failure?.code) failed(failure)
  }
  return { stop: () => channel.close(), hasArrived: async () => isThere }
}

/** Waits for the response to this authorization request and passes it to the vault. */
const awaitResponse = (
  connection: Connection,
  request: URL,
  fail: (error: unknown) => void,
): AwaitedResponse => {
  const channel = openChannel()
  let isThere = false
  channel.onmessage = ({ data: [state, url] }) => {
    if (state !== stateOf(request)) return
    isThere = true
    channel.postMessage(state)
    connection.query({ t: 'callback', url }).catch(fail)
  }
  return { stop: () => channel.close(), hasArrived: async () => isThere }
}

/**
 * Runs in the popup: finishes the login, and closes the popup. Resolves with `null` if the page stays open.
 */
export const settle = async (connection: Connection, response: URL): Promise<null> => {
  if (portOf(connection.at)) announce(stateOf(response)!)
  else if (await passToOpener(response)) return closePopup()
  await connection.query({ t: 'callback', url: response.href }).catch((error) => {
    // The popup closes without showing the error, because the opener gets the same error.
    window.close()
    throw error
  })
  return closePopup()
}

/** Passes the response to the opener. Resolves with true if an opener accepts it within a second. */
const passToOpener = (response: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const channel = openChannel()
    const end = (taken: boolean) => {
      clearTimeout(timer)
      channel.close()
      resolve(taken)
    }
    const timer = setTimeout(end, 1000, false)
    channel.onmessage = ({ data }) => data === stateOf(response) && end(true)
    channel.postMessage([stateOf(response), response.href])
  })

/**
 * Closes the popup. If script may not close the window, the promise resolves with `null` after a second, and the page
 * continues. In a frame the promise stays pending: the surrounding page uses the frame to resume its session, and
 * removes the frame.
 */
const closePopup = (): Promise<null> => {
  window.close()
  return new Promise((resolve) => parent === window && setTimeout(resolve, 1000, null))
}
