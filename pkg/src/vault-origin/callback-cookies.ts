/**
 * Answers of the provider on their way from the callback page to the vault's frame. Both are of the vault's origin,
 * but in some browsers (WebKit) what they store is kept apart, since one is a page by itself and the other is in a
 * page of the app's. A cookie that the page by itself has set the frame can read in all of them: it is of this host
 * alone (`__Host-`, draft-ietf-httpbis-rfc6265bis 4.1.3.2), for a minute, and neither the app's origin nor another
 * one of the same site can read or set it.
 */

/** Seconds in which the app's page has to fetch an answer. */
const LIFETIME = 60

/** Most answers that wait at once: more would be somebody who wants the browser to drop cookies. */
const MAX_RESPONSES = 8

/** Most browsers keep 4096 bytes of a cookie. */
const MAX_COOKIE = 4000

/** Bytes of all of them: many a server refuses requests with 8 KB of headers, and each to this host has these. */
const MAX_TOTAL = 6000

/** Rings when there is an answer, where the browser lets the frame hear it. */
const CHANNEL = 'strongroom answer'

const SECURE_PREFIX = '__Host-strongroom.'
/** On plain http, which is loopback, where the browser takes no such cookie from it. */
const PLAIN_PREFIX = 'strongroom.'

/** The `state` of a login, as src/oauth/authorization_request.rs makes them; the mark of a popup's is .p */
export const isState = (text: unknown): text is string =>
  typeof text === 'string' && /^[\w-]{16,128}(\.p)?$/.test(text)

const prefixes = (): string[] =>
  location.protocol === 'https:' ? [SECURE_PREFIX] : [SECURE_PREFIX, PLAIN_PREFIX]

const attributes = (prefix: string) => `Path=/; SameSite=Strict${prefix === SECURE_PREFIX ? '; Secure' : ''}`

const read = (name: string): string | undefined =>
  document.cookie
    .split('; ')
    .find((cookie) => cookie.startsWith(`${name}=`))
    ?.slice(name.length + 1)

const forget = (prefix: string, name: string) => {
  document.cookie = `${name}=; Max-Age=0; ${attributes(prefix)}`
}

/** Forgets the answers that have waited the longest, until there is room for one more of so many bytes. */
const evictOldest = (bytes: number) => {
  const waiting = prefixes().flatMap((prefix) =>
    document.cookie
      .split('; ')
      // The oldest first (RFC 6265 5.4).
      .filter((cookie) => cookie.startsWith(prefix))
      .map((cookie) => ({ prefix, cookie })),
  )
  let all = waiting.reduce((sum, { cookie }) => sum + cookie.length, bytes)
  while (waiting.length && (waiting.length >= MAX_RESPONSES || all > MAX_TOTAL)) {
    const { prefix, cookie } = waiting.shift()!
    all -= cookie.length
    forget(prefix, cookie.split('=', 1)[0]!)
  }
}

/**
 * In the callback page: keeps the answer for the frame. `path` is where the provider sent it, with query and fragment.
 * Returns whether the browser took it.
 */
export const storeResponse = (state: string, path: string): boolean => {
  const value = encodeURIComponent(path)
  for (const prefix of prefixes()) {
    const name = prefix + state
    if (name.length + value.length > MAX_COOKIE) return false
    evictOldest(name.length + value.length)
    document.cookie = `${name}=${value}; Max-Age=${LIFETIME}; ${attributes(prefix)}`
    if (read(name) !== value) continue
    const channel = new BroadcastChannel(CHANNEL)
    channel.postMessage(0)
    channel.close()
    return true
  }
  return false
}

/** In the frame: the address at which the answer to this login arrived, once. */
export const takeResponse = (state: string): string | undefined => {
  for (const prefix of prefixes()) {
    const value = read(prefix + state)
    if (!value) continue
    // Where a frame cannot write cookies it goes by itself: the vault takes no answer twice.
    forget(prefix, prefix + state)
    const url = new URL(location.origin + decodeURIComponent(value))
    return url.origin === location.origin ? url.href : undefined
  }
  return undefined
}

/** In the frame: calls `look` whenever there may be an answer, until the function that it returns is called. */
export const watchResponses = (look: () => void): (() => void) => {
  const channel = new BroadcastChannel(CHANNEL)
  channel.onmessage = look
  // For browsers in which nothing else crosses over.
  const timer = setInterval(look, 500)
  return () => {
    channel.close()
    clearInterval(timer)
  }
}
