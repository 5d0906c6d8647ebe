/**
 * The header `Connection-Allowlist` (https://wicg.github.io/connection-allowlists/): the addresses to which a document or a
 * worker may connect, by URL patterns. Chromium and Edge support it since version 152.
 */

/** Characters with a meaning in a URL pattern. In a path or a query they are written with a backslash. */
const SPECIAL = /[\\?*+:(){}]/g

/** Returns a part of a URL as a pattern that matches this text. A backslash becomes `*`, because some hosts remove one. */
export const literal = (text: string): string =>
  text.replace(SPECIAL, (char) => (char === '\\' ? '*' : `\\${char}`))

/** Returns the pattern of a path with a query, in which `*` stands for any text. After other text, `?` begins the query. */
export const pathPattern = (path: string): string => {
  const [before = '', ...query] = path.split('?')
  const wild = (text: string) => text.split('*').map(literal).join('*')
  const mark = before.endsWith('*') ? '\\?' : '?'
  return [wild(before), ...(query.length ? [wild(query.join('?'))] : [])].join(mark)
}

/** Returns the pattern of an address, or with `below` of all addresses below it. A pattern without a query matches each query. */
export const patternOf = (address: string, below: boolean): string => {
  const { origin, pathname, search } = new URL(address)
  const query = search && `?${literal(search.slice(1))}`
  return origin + literal(pathname) + query + (below ? '*' : '')
}

/**
 * Returns the header's value, a list with one inner list (RFC 9651), for the response's origin and these patterns.
 * Redirects are allowed: the vault follows none, and could not tell that there was one if the browser blocked it; and a
 * provider may redirect a login back at once.
 */
export const allowlist = (patterns: string[], parameters = ''): string => {
  const strings = [...new Set(patterns)].map((pattern) => `"${pattern.replace(/["\\]/g, '\\$&')}"`)
  return `(${['response-origin', ...strings].join(' ')});redirects=allow${parameters}`
}

/**
 * Returns the value without backslashes, for hosts that remove them. The list then allows any text in place of a character
 * that has a meaning in a URL pattern.
 */
export const withoutBackslashes = (value: string): string => value.replace(/\\{2}./g, '*')
