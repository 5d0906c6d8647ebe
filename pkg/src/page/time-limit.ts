import { STALL, STALLS } from '../protocol/repeat.js'

/** Returns true if a timer can wait this number of seconds. A timer does not wait at all for `NaN`, or for 2^31 ms or more. */
export const isTimeLimit = (seconds: number): boolean => seconds >= 0 && seconds * 1000 < 2 ** 31

/**
 * Calls `end` after these milliseconds. If the timer is late, nothing could run for a while, and a response may be on its
 * way, so the time begins again, {@link STALLS} times at most. Returns a function that stops the timer.
 */
export const startLimit = (milliseconds: number, end: () => void): (() => void) => {
  let timer: ReturnType<typeof setTimeout>
  let stalls = 0
  const start = () => {
    const due = performance.now() + milliseconds
    const isStall = () => performance.now() - due > STALL && stalls++ < STALLS
    timer = setTimeout(() => (isStall() ? start() : end()), milliseconds)
  }
  start()
  return () => clearTimeout(timer)
}
