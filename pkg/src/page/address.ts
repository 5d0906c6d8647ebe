/** Reads and changes URLs: the page's URL, and the URLs of authorization requests and responses. */
import { MAX_RETURN_TO } from '../../glue/constants.js'
import { StrongroomError, unsupported } from './errors/error.js'

/** The parameters of an authorization response: RFC 6749 4.1.2, RFC 9207 2, Session Management 1.0 2. */
const RESPONSE_PARAMETERS = 'code state iss error error_description error_uri session_state'.split(' ')

/** Returns the parameters of the URL's query and fragment. The vault decides which of these parameters it uses. */
const responseOf = ({ search, hash }: URL) => new URLSearchParams(search + hash.replace('#', '&'))

/** Returns the parameter `state` of an authorization request or response, or `null` if the URL has no `state`. */
export const stateOf = (url: URL): string | null => responseOf(url).get('state')

/**
 * Returns the hash of issuer, client, resource and account in the URL's `state`, and the account unless it is the first one.
 * The `state` of a vault has random characters, the hash, the account and marks.
 */
const partsOf = (url: URL) => /\.(\d+)(?:\.(\d))?(\.[pf])*$/.exec(stateOf(url) ?? '') ?? []

/** Returns the hash of issuer, client, resource and account in the URL's `state`, if it is one of a vault. */
export const appOf = (url: URL): string | undefined => partsOf(url)[1]

/** Returns the account in the URL's `state`. */
export const accountOf = (url: URL): number => +(partsOf(url)[2] ?? 0)

/**
 * Returns true if this URL is the response to an authorization request of this app. The vault writes the app's hash into
 * each `state`. Any other `code`, `error` and `state` is the app's own.
 *
 * @param app The hash of issuer, client, resource and account that the vault sends. Default: that of any vault.
 */
export const isResponse = (url: URL, app: number | string | undefined = appOf(url)): boolean => {
  const response = responseOf(url)
  return appOf(url) === `${app}` && (response.has('code') || response.has('error'))
}

/**
 * Returns true if this URL may be more than a page of the app: a response without the vault's `state`, which some
 * providers leave out of errors, or a login that another site begins (OpenID Connect Core 4).
 */
export const hasParameters = (url: URL): boolean => {
  const response = responseOf(url)
  return RESPONSE_PARAMETERS.some((name) => response.has(name))
}

/**
 * Returns the URL without the parameters of an authorization response. The rest of the query and fragment is not
 * changed.
 */
export const withoutResponse = (url: URL): URL => {
  const clean = new URL(url)
  const isOther = (part: string) => !RESPONSE_PARAMETERS.some((name) => new URLSearchParams(part).has(name))
  for (const part of ['search', 'hash'] as const) {
    clean[part] = url[part].slice(1).split('&').filter(isOther).join('&')
  }
  return clean
}

/** Changes the page's URL without a new entry in the history. Safari refuses more than a hundred changes in 30 seconds. */
export const showUrl = (url: string | URL): void => {
  try {
    history.replaceState(history.state, '', url)
  } catch {
    // The login goes on, and its response stays in the URL.
  }
}

/**
 * Parses a URL for navigation. Throws unless the scheme is `http:` or `https:`, because a `javascript:` URL would run
 * code in this origin.
 */
export const webUrl = (address: string): URL => {
  const url = new URL(address)
  if (/^https?:$/.test(url.protocol)) return url
  throw unsupported(`no window is sent to a ${url.protocol} address`)
}

/**
 * Returns the path, query and fragment of `address`, without the response to a login of `app`. Throws if `address` is
 * not a URL of the page's origin. By default, `address` is the page's URL. If the result would be longer than `limit`,
 * returns only the path, or `/`, so that a long address keeps nobody from signing in.
 */
export const ownPath = (address = location.href, app?: number, limit = MAX_RETURN_TO): string => {
  const url = new URL(address, location.href)
  const { href } = isResponse(url, app) ? withoutResponse(url) : url
  const { origin } = location
  if (!href.startsWith(origin + '/'))
    throw new StrongroomError('message_invalid', `returnTo must be a path within ${origin}.`)
  // A browser would read a path that begins with two slashes as a host.
  const path = href.slice(origin.length).replace(/^\/+/, '/')
  return [path, path.split(/[?#]/)[0]!, '/'].find((kept) => kept.length <= limit)!
}
