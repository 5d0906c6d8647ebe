/** What may be read from, and written to, the page's address. */
import { unsupported } from './error.js'

/** The parameters of an authorization response: RFC 6749 4.1.2, RFC 9207 2, Session Management 1.0 2. */
const RESPONSE_PARAMETERS = [
  'code',
  'state',
  'iss',
  'error',
  'error_description',
  'error_uri',
  'session_state',
]

/** An answer comes in the query, or in the fragment; which of them counts is the vault's to know. */
const responseOf = ({ search, hash }: URL) => new URLSearchParams(search + hash.replace('#', '&'))

/** The `state` of an answer, or of an authorization request. */
export const stateOf = (url: URL): string | null => responseOf(url).get('state')

/** Is this the answer to an authorization request, by its shape? */
export const isResponse = (url: URL): boolean => {
  const response = responseOf(url)
  return response.has('state') && (response.has('code') || response.has('error'))
}

/** Returns true if this is such a response, but without `state`. Some providers leave `state` out of errors. */
export const lacksState = (url: URL): boolean => {
  const response = responseOf(url)
  return !response.has('state') && (response.has('code') || response.has('error'))
}

/** The address without the answer in it; what else is in its query and fragment is kept to the letter. */
export const withoutResponse = (url: URL): URL => {
  const clean = new URL(url)
  const isOther = (part: string) => !RESPONSE_PARAMETERS.some((name) => new URLSearchParams(part).has(name))
  for (const part of ['search', 'hash'] as const) {
    clean[part] = url[part].slice(1).split('&').filter(isOther).join('&')
  }
  return clean
}

/** An address to send a window to, unless it is code: `javascript:` runs in this origin. */
export const webUrl = (address: string): URL => {
  const url = new URL(address)
  if (/^https?:$/.test(url.protocol)) return url
  throw unsupported(`no window is sent to a ${url.protocol} address`)
}

/**
 * `address`, by default the page's own, as a path within this origin: with query and fragment, without an
 * answer of the provider. Throws for any other origin.
 */
export const ownPath = (address = location.href): string => {
  const url = new URL(address, location.href)
  const { href } = isResponse(url) ? withoutResponse(url) : url
  const { origin } = location
  if (!href.startsWith(origin + '/')) throw new TypeError(`returnTo must be a path within ${origin}`)
  // Two slashes would begin a host.
  return href.slice(origin.length).replace(/^\/+/, '/')
}
