/**
 * What only logins by popup need, in a file of its own.
 *
 * Where tabs share no worker, the vault that began the login is the opener's. The popup's page hands the answer to it
 * by a BroadcastChannel, since the provider may have cut the popup off from its opener. The answer's code is useless
 * without the verifier, which is in the opener's vault. A vault on an origin of its own has the answer from there.
 */
import { stateOf } from './address.js'
import type { CallbackResult } from './api.js'
import type { Connection } from './connection.js'

/** The BroadcastChannel between a popup and its opener. */
const POPUP_CHANNEL = 'strongroom'

/** Milliseconds between looks at a popup. */
const CHECK_INTERVAL = 500

/**
 * How often a popup has to look closed: it does so, too, when it comes back to a page whose policy cuts it off, before
 * the script of that can announce anything.
 */
const MIN_CHECKS = 10

const openChannel = () => new BroadcastChannel(POPUP_CHANNEL)

/** An answer that is awaited. */
interface AwaitedResponse {
  stop(): void
  /** Whether it has come. */
  hasArrived(): Promise<boolean>
}

/**
 * In the opener, once the popup is sent to the provider: sees to it that the vault gets the response. Returns what ends
 * that.
 *
 * @param watched The popup, if it is the user's doing that it looks closed: then the login is given up.
 */
export const follow = (
  connection: Connection,
  request: URL,
  giveUp: (failure: Promise<never>) => void,
  watched?: Window | false | null,
  canceled?: () => Promise<never>,
): (() => void) => {
  const fail = (error: unknown) => giveUp(Promise.reject(error))
  const { at } = connection
  const awaited =
    'awaitResponse' in at
      ? at.awaitResponse(stateOf(request)!, fail)
      : 'port' in at
        ? watched && listenForPopup(request)
        : awaitResponse(connection, request, fail)
  let isOver = false
  let checks = 0
  const watch = async () => {
    if (!watched || !watched.closed || ++checks < MIN_CHECKS) return
    clearInterval(timer)
    // Behind the end of the login, if the vault has told of that.
    await connection.query({ t: 'inspect' }).catch(() => {})
    // The popup closes itself, too, as soon as it has handed over its response.
    if (!(await (awaited as AwaitedResponse).hasArrived()) && !isOver) giveUp(canceled!())
  }
  const timer = watched ? setInterval(watch, CHECK_INTERVAL) : 0
  return () => {
    isOver = true
    clearInterval(timer)
    if (awaited) awaited.stop()
  }
}

/** The popup's page goes to the same worker by itself, and says so. */
const listenForPopup = (request: URL): AwaitedResponse => {
  const channel = openChannel()
  let isThere = false
  channel.onmessage = ({ data: [state] }) => (isThere ||= state === stateOf(request))
  return { stop: () => channel.close(), hasArrived: async () => isThere }
}

/** Waits for the answer to this authorization request and passes it to the vault. */
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

/** In the popup: finishes the login, and closes. `notOurs` is called if the answer is for another library. */
export const settle = async (
  connection: Connection,
  response: URL,
  notOurs: () => void,
): Promise<CallbackResult | null> => {
  if ('port' in connection.at) announce(response)
  else if (await passResponse(response)) return closePopup()
  const settled = await connection.query({ t: 'callback', url: response.href }).catch((error) => {
    // The opener is told as well.
    window.close()
    throw error
  })
  if (settled.callback) return closePopup()
  notOurs()
  return null
}

/** Tells an opener who wonders that the popup is back. */
const announce = (response: URL) => {
  const channel = openChannel()
  channel.postMessage([stateOf(response)])
  channel.close()
}

/** Hands the answer over. Resolves with whether an opener took it, within a second. */
const passResponse = (response: URL): Promise<boolean> =>
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
 * Closes the popup. A page that goes on after this has a window that scripts may not close. One in a frame
 * does not go on: the page around it, which resumes its session by it, takes the frame away.
 */
const closePopup = (): Promise<null> => {
  window.close()
  return new Promise((resolve) => parent === window && setTimeout(resolve, 1000, null))
}
