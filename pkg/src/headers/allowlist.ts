/**
 * The header `Connection-Allowlist` (https://wicg.github.io/connection-allowlists/): the addresses to which a document or a
 * worker may connect, by URL patterns. Chromium and Edge support it since version 152.
 */

/** An address of an allowlist: a URL, whose path is a prefix with `below`. */
export interface Destination {
  url: string
  /** True if the addresses below the URL's path are meant, too. */
  below?: boolean
}

/** Parameters of the header. Without them, redirects and WebRTC are blocked. */
export interface AllowlistParameters {
  redirects?: boolean
  webrtc?: boolean
}

/** Characters with a meaning in a URL pattern. In a path or a query they are written with a backslash. */
const SPECIAL = /[\\?*+:(){}]/g

/** Returns a part of a URL as a pattern that matches this text only. */
export const literal = (text: string): string => text.replace(SPECIAL, '\\$&')

/** Returns the pattern of a destination. A pattern without a query matches each query. */
export const patternOf = ({ url, below = false }: Destination): string => {
  const { origin, pathname, search } = new URL(url)
  return origin + literal(pathname + search) + (below ? '*' : '')
}

/** Returns the header's value, a list with one inner list (RFC 9651), for the response's origin and these patterns. */
export const allowlist = (
  patterns: string[],
  { redirects = false, webrtc = false }: AllowlistParameters = {},
): string => {
  const strings = [...new Set(patterns)].map((pattern) => `"${pattern.replace(/["\\]/g, '\\$&')}"`)
  const parameters = `${redirects ? ';redirects=allow' : ''}${webrtc ? ';webrtc=allow' : ''}`
  return `(${['response-origin', ...strings].join(' ')})${parameters}`
}
