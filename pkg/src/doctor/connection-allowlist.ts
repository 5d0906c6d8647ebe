/** The header `Connection-Allowlist` as browsers read it, as far as `strongroom/headers` writes it. */

/** Matches a string of a structured field (RFC 9651 section 3.3.3). */
const STRING = /"((?:[^"\\]|\\.)*)"/g

/** Returns a regular expression for the URLs that a pattern matches: an origin, or an address with a path. */
const expressionOf = (pattern: string): RegExp => {
  const source = pattern.replace(/\\(.)|\*|[^\\*]/g, (part, literal?: string) =>
    literal === undefined && part === '*' ? '.*' : (literal ?? part).replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'),
  )
  // A pattern without a path matches each path, and one without a query each query.
  const hasPath = /^[a-z]+:\/\/[^/]*\//.test(pattern)
  return new RegExp(`^${source}${hasPath ? '' : '(/.*)?'}(\\?.*)?$`)
}

/** Returns the URL patterns in the header's value. */
export const patternsOf = (value: string): string[] =>
  [...value.matchAll(STRING)].map(([, text]) => text!.replace(/\\(.)/g, '$1'))

/** Returns those of the URLs to which the header's value allows no connection. `origin` is that of the response. */
export const refusedBy = (value: string, origin: string, urls: string[]): string[] => {
  const patterns = [
    ...patternsOf(value),
    ...(/\(\s*response-origin\b|\sresponse-origin\b/.test(value) ? [origin] : []),
  ]
  const expressions = patterns.map(expressionOf)
  return urls.filter((url) => !expressions.some((one) => one.test(url)))
}
