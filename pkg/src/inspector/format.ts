/** Formats times and numbers for people. */

const CLOCK: Intl.DateTimeFormatOptions = {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
}

let formatter: Intl.DateTimeFormat | undefined

/** Formats a time in milliseconds since the Unix epoch, as in `14:05:09.123`. */
export function clock(at: number): string {
  return (formatter ??= new Intl.DateTimeFormat(undefined, CLOCK)).format(at)
}

/** Formats a span of time, as in `7 s`, `4 min` or `12 h`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 120) return `${seconds}\u00a0s`
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min`
  return `${Math.round(seconds / 3600)}\u00a0h`
}

/** Formats a time relative to now, as in `in 7 s` or `7 s ago`. */
export function relative(at: number): string {
  const now = Date.now()
  return at >= now ? `in ${span(at - now)}` : `${span(now - at)} ago`
}

/** Formats a duration, as in `34 ms` or `1.2 s`. */
export function took(milliseconds: number): string {
  return milliseconds < 1000
    ? `${Math.round(milliseconds)}\u00a0ms`
    : `${(milliseconds / 1000).toFixed(1)}\u00a0s`
}

/** Returns a number with separators between thousands. */
export function count(value: number): string {
  return value.toLocaleString('en')
}

/** Formats a number with its noun, as in `1 message`, `2 messages` or `2 entries`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${value === 1 ? noun : noun.replace(/y$/, 'ie') + 's'}`
}
