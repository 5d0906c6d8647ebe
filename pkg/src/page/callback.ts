/** The page at the redirect URI: removes the response from the URL and passes it to the vault. */
import { POPUP_MARK } from '../../glue/constants.js'
import { isResponse, lacksState, showUrl, stateOf, withoutResponse } from './address.js'
import type { CallbackResult } from './api.js'
import type { Connection } from './connection.js'
import { refuse } from './error-text.js'

/** A message in src/page/error-messages.ts. */
const NO_ADDRESS = '\x07h'

type Result = Promise<CallbackResult | null>

/** Callbacks by URL, with and without the response: frameworks run their start-up code twice in development. */
export const handled = new Map<string, Result>()

/** The callback that is in flight. `login()` waits for this callback. */
export let inFlight: Result | undefined

/** Remembers a callback until it is finished. */
const track = (result: Result): Result => {
  const done = () => {
    if (inFlight === result) inFlight = undefined
  }
  result.then(done, done)
  return (inFlight = result)
}

/** Finishes a login if the page's URL contains an authorization response. */
export const handleCallback = (connection: Connection, address: string | URL = location.href): Result => {
  // True for an object of options or an event.
  if (/^\[obj/.test(`${address}`)) return refuse('message_invalid', NO_ADDRESS)
  const url = new URL(address, location.href)
  const before = handled.get(url.href)
  if (before) return before
  const { at } = connection
  if ('callback' in at) return track(at.callback(connection, url))
  if (!isResponse(url)) return lacksState(url) ? track(withoutState(connection, url)) : Promise.resolve(null)

  const clean = withoutResponse(url).href
  const shown = url.href === location.href
  // Before anything else, so that the code is not left in the URL, the history or a Referer.
  if (shown) showUrl(clean)
  const giveBack = () => {
    handled.delete(url.href)
    if (shown && location.href === clean) showUrl(url)
  }
  const result = finish(connection, url, giveBack)
  const done = () => handled.delete(clean)
  handled.set(url.href, result).set(clean, result)
  result.then(done, done)
  return track(result)
}

/** Passes the response to the vault. Calls `notOurs` if it belongs to another library on this page. */
const finish = async (connection: Connection, url: URL, notOurs: () => void): Result => {
  if (stateOf(url)!.endsWith(POPUP_MARK)) {
    return (await import('./login.js')).settle(connection, url, notOurs)
  }
  const settled = await connection.query({ t: 'callback', url: url.href })
  if (settled.callback) return { returnTo: settled.returnTo ?? '/' }
  notOurs()
  return null
}

/**
 * Handles a response without `state`. Such a response is an error at the redirect URI, which only the vault knows, and
 * is ignored at any other URL.
 */
const withoutState = (connection: Connection, url: URL): Result =>
  connection.query({ t: 'callback', url: url.href }).then(
    () => null,
    (error) => {
      if (error.code === 'redirect_uri_mismatch') return null
      if (url.href === location.href) showUrl(withoutResponse(url))
      throw error
    },
  )
