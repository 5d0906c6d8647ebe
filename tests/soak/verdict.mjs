// What the soak accepts. All functions are pure, and times are in milliseconds.

/** The time after an outage in which responses may still have 503. */
export const RECOVERY = 5000

/** A refresh whose response arrived this long before or after a process died may have been cut off. */
const CUT = 2000

/**
 * A fault while it was there.
 *
 * @typedef {{ fault: import('./faults.mjs').Fault, start: number, end: number }} Window
 */

/**
 * Returns the kind of a response: `ok`, `503` (with `Retry-After`), `502`, `401`, `lost` (there is no session), or
 * `other`.
 *
 * @param {{ status: number, headers: Headers, body?: any }} response
 * @param {string} account The user of the session.
 */
export function kindOf({ status, headers, body }, account) {
  if (status === 503) return headers.has('retry-after') ? '503' : 'other'
  if (status === 502 || status === 401) return `${status}`
  if (status !== 200 && status !== 201) return 'other'
  if (body && body.session === null) return 'lost'
  return (body?.sub ?? body?.session?.claims.sub) === account ? 'ok' : 'other'
}

/** Returns the window in which an exchange, or a part of it, took place. */
export const windowOf = (windows, { sent, received }) =>
  windows.find(({ start, end }) => sent < end + RECOVERY && received >= start)

/**
 * Returns the refreshes whose refresh token the provider had already accepted. Those after a cut are `repeated`, and all
 * others are `reused`.
 *
 * @param {import('../support/ledger.mjs').TokenRequest[]} refreshes In their order.
 * @param {Window[]} windows
 */
export function sentTwice(refreshes, windows) {
  const accepted = new Map()
  const found = { repeated: [], reused: [] }
  for (const refresh of refreshes) {
    const token = `${refresh.family} ${refresh.presented}`
    const first = accepted.get(token)
    const wasCut = ({ fault, start }) => fault.cuts && Math.abs(first.at - start) < CUT
    if (first) found[windows.some(wasCut) ? 'repeated' : 'reused'].push(refresh)
    else if (refresh.outcome === 'issued') accepted.set(token, refresh)
  }
  return found
}

/** Returns the longest of these times, which may be too many for the arguments of a call. */
export const longest = (times) => times.reduce((longest, time) => Math.max(longest, time), 0)

/** Returns true if a visitor may get this response during the fault. A lost session is counted elsewhere. */
function isAllowed({ kind, what }, fault) {
  if (kind === 'ok' || kind === 'lost') return true
  const { may = [], mayPost = [] } = fault ?? {}
  return may.includes(kind) || (what.startsWith('POST ') && mayPost.includes(kind))
}

const list = (all, describe) => [...new Set(all.map(describe))].slice(0, 10).join('; ')

/** Returns the responses that no fault allows: one reason for each kind. Times are in seconds after the first request. */
export function wrongResponses(exchanges, windows) {
  const wrong = exchanges.filter((exchange) => !isAllowed(exchange, windowOf(windows, exchange)?.fault))
  const kinds = [...new Set(wrong.map(({ kind }) => kind))]
  return kinds.map((kind) => {
    const all = wrong.filter((exchange) => exchange.kind === kind)
    const found = list(all, (exchange) => `${exchange.what} (${when(exchange, exchanges, windows)})`)
    return `${all.length} responses must not be ${kind}: ${found}`
  })
}

/** Returns the time after the first request, and the fault at this time. */
function when({ sent, received = sent }, [first], windows) {
  const during = windowOf(windows, { sent, received })
  return `${((sent - first.sent) / 1000).toFixed(1)} s, ${during ? during.fault.name : 'without a fault'}`
}

/**
 * Returns the reasons for which the soak fails.
 *
 * @param {{ exchanges: import('./load.mjs').Exchange[], windows: Window[], refreshes: object[], lost: number }} run
 * @returns {string[]}
 */
export function reasons({ exchanges, windows, refreshes, lost }) {
  const refused = refreshes.filter(({ outcome }) => outcome !== 'issued' && outcome !== 'none')
  const { reused } = sentTwice(refreshes, windows)
  const at = ({ at, outcome }) => `${outcome} at ${when({ sent: at }, exchanges, windows)}`
  return [
    lost && `${lost} sessions were lost`,
    ...wrongResponses(exchanges, windows),
    reused.length && `${reused.length} refresh tokens were used again: ${list(reused, at)}`,
    refused.length && `the provider refused ${refused.length} refreshes: ${list(refused, at)}`,
    !refreshes.length && 'no refresh was sent',
  ].filter(Boolean)
}
