/** The page at the redirect URI: removes the response from the URL and passes it to the vault. */
import { POPUP_MARK } from '../../../glue/constants.js'
import { NO_ADDRESS, UNCLAIMED } from '../../protocol/message-keys.js'
import { accountOf, hasParameters, isResponse, showUrl, stateOf, withoutResponse } from '../address.js'
import type { CallbackResult } from '../api.js'
import type { Connection } from '../connection/connection.js'
import type { StrongroomError } from '../errors/error.js'
import { createError, refuse } from '../errors/error-text.js'
import { load } from '../load.js'
import { AWAY, takeNote, writeNote, type LoginNote } from './note.js'
import { hasMethod, ownOf } from '../../protocol/own.js'

type Result = Promise<CallbackResult | null>

/** The callbacks of a client, which all its connections in this page share. */
interface Callbacks {
  /**
   * The results of `handleCallback()`, by the URL with the response. While a callback is in flight, its result is also
   * stored by the URL without the response. In development, frameworks run an app's start-up code twice, and the second
   * call of `handleCallback()` gets the promise of the first call.
   */
  handled: Map<string, Result>
  /** The promise of the callback that is in flight, if any. */
  inFlight: Result | undefined
}

const callbacks = ownOf<Record<number, Callbacks>>({})

/** Returns the callbacks of the client with this hash. */
export const callbacksOf = (app: number): Callbacks =>
  (callbacks[app] ??= { handled: new Map(), inFlight: undefined })

/** Resolves with the result of this client's callback, when no callback of the page is in flight. */
export const afterCallbacks = async (
  result: Result | undefined,
): Promise<CallbackResult | null | undefined> => {
  await Promise.allSettled(Object.values(callbacks).map(({ inFlight }) => inFlight))
  return result
}

/** Milliseconds that a client has to take the response to its login, which another client has seen in the page's URL. */
const CLAIM_TIME = 3000

/** The response in the page's URL, if its client has not connected yet. All clients of a page share it. */
let unclaimed: { error: Promise<StrongroomError | undefined>; claim: () => void } | undefined

/**
 * Returns `undefined`, unless the page's URL has the response to a login of another client. Then resolves when that client
 * takes the response, or after three seconds, with an error that is on the console.
 */
export const unclaimedResponse = (): Promise<StrongroomError | undefined> | undefined => unclaimed?.error

const awaitClaim = () => {
  if (unclaimed) return
  const response = new URL(location.href)
  const state = stateOf(response)
  let claim!: () => void
  const wait = new Promise<void>((resolve) => {
    claim = resolve
    setTimeout(resolve, CLAIM_TIME)
  })
  const report = async () => {
    // The app may also have gone to another address.
    const isThere = stateOf(new URL(location.href)) === state
    const error = isThere ? await createError('login_unknown', UNCLAIMED + accountOf(response)) : undefined
    if (error) console.error(`strongroom: ${error.code}: ${error.message}`)
    unclaimed = undefined
    return error
  }
  unclaimed = { error: wait.then(report), claim }
}

/** Loads the code that most pages do not need, because users do not sign in there. */
export const loadLogin = () => load(() => import('./login.js'), 'login')

/** Remembers a callback until it is finished. */
const track = (own: Callbacks, result: Result, here?: string): Result => {
  if (here) own.handled.set(here, result)
  const done = () => {
    if (own.inFlight === result) own.inFlight = undefined
    if (here) own.handled.delete(here)
  }
  result.then(done, done)
  return (own.inFlight = result)
}

/**
 * Finishes a login if `address` contains an authorization response. By default, `address` is the page's URL. If another
 * site begins a login there, resolves with its target, and with `login` if a login should begin. Otherwise resolves with
 * `null`.
 *
 * @param app The hash of issuer, client, resource and account that the vault sends.
 */
export const handleCallback = (
  connection: Connection,
  app: number,
  address: string | URL = location.href,
): Result => {
  // True if the app passed an object of options or an event instead of a URL.
  if (/^\[obj/.test(`${address}`)) return refuse('message_invalid', NO_ADDRESS)
  const url = new URL(address, location.href)
  const own = callbacksOf(app)
  const before = own.handled.get(url.href)
  if (before) return before
  const { at } = connection
  if (hasMethod(at, 'callback')) return track(own, at.callback(connection, url))
  const isOwn = isResponse(url, app)
  // The response to a login of another client, which may have the same redirect URI.
  if (!isOwn && isResponse(url)) {
    if (url.href === location.href) awaitClaim()
    return Promise.resolve(null)
  }
  const note = takeNote(app)
  if (!isOwn) {
    // The callback page has finished the login, and has sent the browser here.
    const isFinished = note && !note.startsWith(AWAY)
    if (!isFinished && !hasParameters(url)) return Promise.resolve(null)
    const result = loadLogin().then((login) =>
      isFinished ? login.finished(note, refuse) : login.askVault(connection, url, targetOf(note)),
    )
    return track(own, result, url.href)
  }

  const clean = withoutResponse(url).href
  // The response is removed before anything else happens, so that the authorization code does not stay in the URL, the
  // history or a Referer.
  const isShown = url.href === location.href
  if (isShown) {
    showUrl(clean)
    unclaimed?.claim()
  }
  const isPopup = stateOf(url)!.endsWith(POPUP_MARK)
  const target = isShown && !isPopup ? targetOf(note) : null
  const result = isPopup
    ? loadLogin().then((login) => login.settle(connection, url))
    : finish(connection, app, url, target)
  if (target) {
    leaveNote(app, JSON.stringify({ state: null, returnTo: target, at: clean }))
    const done = () => takeNote(app)
    result.then(done, done)
  }
  own.handled.set(url.href, result)
  return track(own, result, clean)
}

/**
 * Returns the path at which the login of this tab's note continues: that of a login that the page has left for, or of a
 * callback that was interrupted. Returns `null` if the tab has no such note.
 */
const targetOf = (note: string | null): string | null => {
  if (note?.startsWith(AWAY)) return note.slice(AWAY.length)
  try {
    return ownOf(JSON.parse(note!) as LoginNote | null).returnTo ?? null
  } catch {
    return null
  }
}

/**
 * Leaves a note while a callback is in flight: if the user reloads the page, its URL has no response any more, and the app
 * continues at `returnTo` instead of staying at the redirect URI.
 */
const leaveNote = (app: number, note: string): void => {
  try {
    writeNote(app, note)
  } catch {
    // Without sessionStorage, a reload ends at the redirect URI.
  }
}

/** Passes the response of a login in this window to the vault. `target` is where a note says that the login continues. */
const finish = async (connection: Connection, app: number, url: URL, target: string | null): Result => {
  const response = await connection.query({ t: 'callback', url: url.href, mayRepeat: true })
  if (response.t !== 'navigate') return { returnTo: response.returnTo }
  // The login has expired at the provider, so the browser goes there again.
  if (target) leaveNote(app, AWAY + target)
  location.replace(response.url)
  return new Promise(() => {})
}
