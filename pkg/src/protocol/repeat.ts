/** Repeated attempts to get what a page or a worker needs once, such as a file: one failure must not be the end. */

/** Milliseconds before each further attempt. The last value counts for all attempts that follow. */
const RETRY_DELAYS = [500, 1000, 2000, 4000]

/** Milliseconds between two looks at the clock. */
const LOOK = 1000

/** Milliseconds without a look at the clock in which nothing could run: the device slept, or the process stood still. */
export const STALL = 3000

/** The largest number of stalls that move the deadline: the timers of a page in the background are late again and again. */
export const STALLS = 3

/** The number of further attempts on a device that its browser takes to be offline. The browser can be wrong. */
const OFFLINE_ATTEMPTS = 2

/** Returns true if the browser takes the device to be offline. On Windows behind a VPN, this can be wrong. */
export const isOffline = (): boolean => globalThis.navigator?.onLine === false

/** Members of an error that {@link repeat} looks at. */
export interface Failure {
  /** True if another attempt would fail, too. */
  isFinal?: boolean
  /** Seconds until the next attempt, by the server's `Retry-After`. */
  after?: number | undefined
}

/**
 * Calls `attempt` until it succeeds. The delays vary at random, so that many clients do not come back at once. Rejects
 * with the error of the last attempt if the next one would begin after `deadline`, by `performance.now()`. A device that
 * seems to be offline gets fewer attempts: createAuth() connects again when it is online. Time in which nothing could run
 * moves the deadline, because it also ends the attempt in flight.
 *
 * @param attempt Gets the deadline.
 * @param known The error of an attempt that the caller has made. The first call then waits, too.
 */
export const repeat = async <T>(
  attempt: (deadline: number) => Promise<T>,
  deadline: number,
  known?: Failure,
): Promise<T> => {
  let last = performance.now()
  let stalls = 0
  const look = () => {
    const gap = performance.now() - last
    last += gap
    if (gap > STALL && stalls++ < STALLS) deadline += gap
  }
  const clock = setInterval(look, LOOK)
  try {
    for (let n = 0; ; n++) {
      try {
        return await (known && !n ? Promise.reject(known) : attempt(deadline))
      } catch (error) {
        look()
        const { isFinal, after } = error as Failure
        const usual = RETRY_DELAYS[Math.min(n, RETRY_DELAYS.length - 1)]!
        const delay = after ? after * 1000 : usual * (0.75 + Math.random() / 2)
        const isLast = isFinal || (n >= OFFLINE_ATTEMPTS && isOffline())
        if (isLast || performance.now() + delay > deadline) throw error
        await new Promise((resolve) => setTimeout(resolve, delay))
      }
    }
  } finally {
    clearInterval(clock)
  }
}
