/**
 * The header `Connection-Allowlist` (https://wicg.github.io/connection-allowlists/): the addresses to which a document or a
 * worker may connect, by URL patterns. Chromium and Edge support it since version 152.
 */

/** Characters with a meaning in a URL pattern. In a path or a query they are written with a backslash. */
const SPECIAL = /[\\?*+:(){}]/g

/** Returns a part of a URL as a pattern that matches this text only. */
export const literal = (text: string): string => text.replace(SPECIAL, '\\$&')

/** Returns the pattern of an address, or with `below` of all addresses below it. A pattern without a query matches each query. */
export const patternOf = (address: string, below: boolean): string => {
  const { origin, pathname, search } = new URL(address)
  return origin + literal(pathname + search) + (below ? '*' : '')
}

/**
 * Returns the header's value, a list with one inner list (RFC 9651), for the response's origin and these patterns. The vault
 * follows no redirect. If the browser blocked redirects, the vault could not tell that there was one.
 */
export const allowlist = (patterns: string[]): string => {
  const strings = [...new Set(patterns)].map((pattern) => `"${pattern.replace(/["\\]/g, '\\$&')}"`)
  return `(${['response-origin', ...strings].join(' ')});redirects=allow`
}
