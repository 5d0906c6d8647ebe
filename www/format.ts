/** Formats times and sizes for people, and bytes as strings. */

/** Formats a span of time, as in `7 s`, `4 min` or `12 h`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 120) return `${seconds}\u00a0s`
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min`
  return `${Math.round(seconds / 3600)}\u00a0h`
}

/** Formats a time relative to `now`, as in `in 7 s` or `7 s ago`. */
export function relative(at: number, now = Date.now()): string {
  return at >= now ? `in ${span(at - now)}` : `${span(now - at)} ago`
}

/** Formats a duration, as in `34 ms` or `1.2 s`. */
export function took(milliseconds: number): string {
  return milliseconds < 1000
    ? `${Math.round(milliseconds)}\u00a0ms`
    : `${(milliseconds / 1000).toFixed(1)}\u00a0s`
}

/** Formats a size, as in `1,204 bytes` or `16.0 MB`. */
export function bytes(size: number): string {
  return size < 1_000_000 ? `${count(size)} bytes` : `${(size / 1_000_000).toFixed(1)} MB`
}

/** Returns a number with separators between thousands. */
function count(value: number): string {
  return value.toLocaleString('en')
}

/** Encodes bytes as RFC 4648 section 5 describes, without padding. */
export function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
