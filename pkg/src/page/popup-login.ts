/**
 * What only logins by popup need, in a file of its own.
 *
 * Where tabs share no worker, the vault that began the login is the opener's. The popup's page hands the answer to it
 * by a BroadcastChannel, since the provider may have cut the popup off from its opener. The answer's code is useless
 * without the verifier, which is in the opener's vault. A vault on an origin of its own has the answer from there.
 */
import { stateOf } from './address.js'
import type { CallbackResult } from './api.js'
import type { Link } from './connection.js'

/** Milliseconds between looks at a popup. */
const PAUSE = 500

/**
 * How often a popup has to look closed: it does so, too, when it comes back to a page whose policy cuts it off, before
 * the script of that can say anything.
 */
const LOOKS = 10

const open = () => new BroadcastChannel('strongroom')

/** An answer that is awaited. */
interface Awaited {
  stop(): void
  /** Whether it has come. */
  look(): Promise<boolean>
}

/**
 * In the opener, once the popup is sent to the provider: sees to it that the vault gets the answer. Returns what ends
 * that.
 *
 * @param watched The popup, if it is the user's doing that it looks closed: then the login is given up.
 */
export const follow = (
  link: Link,
  request: URL,
  giveUp: (failure: Promise<never>) => void,
  watched?: Window | false | null,
  canceled?: () => Promise<never>,
): (() => void) => {
  const fail = (error: unknown) => giveUp(Promise.reject(error))
  const { at } = link
  const awaited =
    'awaitAnswer' in at
      ? at.awaitAnswer(stateOf(request)!, fail)
      : 'port' in at
        ? watched && hear(request)
        : awaitAnswer(link, request, fail)
  let isOver = false
  let looks = 0
  const watch = async () => {
    if (!watched || !watched.closed || ++looks < LOOKS) return
    clearInterval(timer)
    // Behind the end of the login, if the vault has told of that.
    await link.query({ t: 'inspect' }).catch(() => {})
    // The popup closes itself, too, as soon as it has handed over its answer.
    if (!(await (awaited as Awaited).look()) && !isOver) giveUp(canceled!())
  }
  const timer = watched ? setInterval(watch, PAUSE) : 0
  return () => {
    isOver = true
    clearInterval(timer)
    if (awaited) awaited.stop()
  }
}

/** The popup's page goes to the same worker by itself, and says so. */
const hear = (request: URL): Awaited => {
  const channel = open()
  let isThere = false
  channel.onmessage = ({ data: [state] }) => (isThere ||= state === stateOf(request))
  return { stop: () => channel.close(), look: async () => isThere }
}

/** Waits for the answer to this authorization request and passes it to the vault. */
const awaitAnswer = (link: Link, request: URL, fail: (error: unknown) => void): Awaited => {
  const channel = open()
  let isThere = false
  channel.onmessage = ({ data: [state, url] }) => {
    if (state !== stateOf(request)) return
    isThere = true
    channel.postMessage(state)
    link.query({ t: 'callback', url }).catch(fail)
  }
  return { stop: () => channel.close(), look: async () => isThere }
}

/** In the popup: finishes the login, and closes. `notOurs` is called if the answer is for another library. */
export const settle = async (
  link: Link,
  answer: URL,
  notOurs: () => void,
): Promise<CallbackResult | null> => {
  if ('port' in link.at) say(answer)
  else if (await passAnswer(answer)) return leave()
  const settled = await link.query({ t: 'callback', url: answer.href }).catch((error) => {
    // The opener is told as well.
    window.close()
    throw error
  })
  if (settled.callback) return leave()
  notOurs()
  return null
}

/** Tells an opener who wonders that the popup is back. */
const say = (answer: URL) => {
  const channel = open()
  channel.postMessage([stateOf(answer)])
  channel.close()
}

/** Hands the answer over. Resolves with whether an opener took it, within a second. */
const passAnswer = (answer: URL): Promise<boolean> =>
  new Promise((resolve) => {
    const channel = open()
    const end = (taken: boolean) => {
      clearTimeout(timer)
      channel.close()
      resolve(taken)
    }
    const timer = setTimeout(end, 1000, false)
    channel.onmessage = ({ data }) => data === stateOf(answer) && end(true)
    channel.postMessage([stateOf(answer), answer.href])
  })

/**
 * Closes the popup. A page that goes on after this has a window that scripts may not close. One in a frame
 * does not go on: the page around it, which resumes its session by it, takes the frame away.
 */
const leave = (): Promise<null> => {
  window.close()
  return new Promise((resolve) => parent === window && setTimeout(resolve, 1000, null))
}
