/**
 * Passes responses of the provider from the vault's callback page to the vault's frame by cookies. Both pages have the
 * vault's origin, but some browsers (WebKit) give them separate storage, since the callback page is a top-level page, and
 * the frame is in a page of the app. The frame can read the top-level page's cookies in all browsers. The cookies are valid
 * for this host only (`__Host-`, draft-ietf-httpbis-rfc6265bis 4.1.3.2), for a minute. No other host of the same site,
 * such as the app's host, can read or set these cookies. On plain http, which is for loopback only, the ports of one
 * host share their cookies.
 */
import { POPUP_MARK } from '../../glue/constants.js'

/** Seconds in which the frame must take a response. */
const LIFETIME = 60

/**
 * The maximum number of stored responses. More responses would indicate an attempt to make the browser drop cookies.
 */
const MAX_RESPONSES = 8

/** The maximum length of a cookie. Most browsers store at most 4096 bytes. */
const MAX_COOKIE = 4000

/**
 * The maximum length of all cookies. Many servers refuse requests with 8 KB of headers, and the browser sends these
 * cookies with requests to this host.
 */
const MAX_TOTAL = 6000

/** The BroadcastChannel that tells the frame of a new response, unless the browser partitions channels. */
const CHANNEL = 'strongroom response'

const SECURE_PREFIX = '__Host-strongroom.'
/** The prefix for plain http on loopback, if the browser does not accept `__Host-` there. */
const PLAIN_PREFIX = 'strongroom.'

/**
 * Matches a `state` that src/rules/login/authorization_request.rs creates: random characters, the app's hash, and in a popup
 * `POPUP_MARK`, which begins with a dot.
 */
const STATE = new RegExp(`^[\\w-]{16,128}(\\.\\d{1,10})?(\\${POPUP_MARK})?$`)

/** Returns true if `text` has the form of a login's `state`. */
export const isState = (text: unknown): text is string => typeof text === 'string' && STATE.test(text)

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

/** Deletes the oldest responses until a new response of `bytes` bytes fits. */
const evictOldest = (bytes: number) => {
  const waiting = prefixes().flatMap((prefix) =>
    document.cookie
      .split('; ')
      // The browser lists the oldest cookie first (RFC 6265 5.4).
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
 * Called in the vault's callback page: stores a response for the frame. `path` is the path, query and fragment of the
 * response's URL. Returns true if the browser has accepted the cookie.
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

/**
 * Called in the frame: returns the URL of the response to the login with this `state`, and deletes the cookie. Returns
 * `undefined` if there is no such response.
 */
export const takeResponse = (state: string): string | undefined => {
  for (const prefix of prefixes()) {
    const value = read(prefix + state)
    if (!value) continue
    // If the frame cannot write cookies, the cookie stays until it expires. The vault does not accept a response twice.
    forget(prefix, prefix + state)
    const url = new URL(location.origin + decodeURIComponent(value))
    return url.origin === location.origin ? url.href : undefined
  }
  return undefined
}

/** Called in the frame: calls `check` whenever there may be a new response. Returns a function that stops watching. */
export const watchResponses = (check: () => void): (() => void) => {
  const channel = new BroadcastChannel(CHANNEL)
  channel.onmessage = check
  // The timer is for browsers that partition channels.
  const timer = setInterval(check, 500)
  return () => {
    channel.close()
    clearInterval(timer)
  }
}
