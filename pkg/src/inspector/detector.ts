/** Recognizes strings that are shaped like tokens. False positives are acceptable, since results are only shown. */

export interface Match {
  shape: 'JWT' | 'known prefix' | 'long random string'
  value: string
}

/** Prefixes that well-known services give their tokens. */
const PREFIXES =
  /(?:ya29\.|1\/\/0|gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|sk_live_|EwB|v1\.M)[\w.~+/-]{16,}/g

const JWT = /eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}/g

/**
 * A base64url string of at least 40 characters, which encode 30 bytes. Most providers' opaque tokens look like this.
 */
const OPAQUE = /[A-Za-z0-9_-]{40,}/g

/** Returns all strings in `text` that are shaped like tokens. */
export function detect(text: string): Match[] {
  if (text.length < 20) return []
  const found = new Map<string, Match['shape']>()
  for (const [value] of text.matchAll(JWT)) found.set(value, 'JWT')
  for (const [value] of text.matchAll(PREFIXES)) found.set(value, 'known prefix')
  for (const [value] of text.matchAll(OPAQUE)) {
    const withinAnother = [...found.keys()].some((other) => other.includes(value))
    if (!withinAnother && looksRandom(value)) found.set(value, 'long random string')
  }
  return [...found].map(([value, shape]) => ({ shape, value }))
}

/**
 * Returns true if the characters look random. Names and alphabets may also have forty characters in a row, but names
 * repeat their letters more often than random strings do, and alphabets do not repeat letters at all.
 */
function looksRandom(text: string): boolean {
  if (!/[a-z]/.test(text) || !/[A-Z]/.test(text) || !/[0-9]/.test(text)) return false
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  if (counts.size === text.length) return false
  let bitsPerCharacter = 0
  for (const count of counts.values()) {
    const share = count / text.length
    bitsPerCharacter -= share * Math.log2(share)
  }
  return bitsPerCharacter > 4.3
}

/**
 * Returns enough of a value to recognize it. The report shows only this part, so that the next search does not find the
 * value in the report.
 */
export function mask(value: string): string {
  return `${value.slice(0, 8)}… (${value.length} characters)`
}
