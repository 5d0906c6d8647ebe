/** Headers that tell caches and intermediate servers what they may do with a response that has a user's data. */
import { FOR_CACHES } from '../../glue/constants.js'

const PATTERN = new RegExp(
  `^(?:${FOR_CACHES.replaceAll(' ', '|').replaceAll('*', '.*').replaceAll('-', '[^a-z0-9]')})$`,
  'i',
)

/** Returns true for a header by which a cache may store a response despite `Cache-Control: no-store`. */
export const isForCaches = (name: string): boolean => PATTERN.test(name)

export const isEventStream = (type: string | null | undefined): boolean =>
  /^text\/event-stream\b/i.test(type ?? '')

/**
 * Returns `value`, the `Cache-Control` in place of `given`, which keeps its `no-transform`. Event streams have it always: a
 * server that compresses them would hold the events back.
 */
export const cacheControl = (
  value: string,
  given: string | null | undefined,
  type: string | null | undefined,
): string =>
  isEventStream(type) || /(?:^|,)\s*no-transform\s*(?:,|$)/i.test(given ?? '')
    ? `${value}, no-transform`
    : value
