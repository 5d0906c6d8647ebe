/** Repeated attempts to get what a page or a worker needs once, such as a file: one failure must not be the end. */

/** Milliseconds before each further attempt. The last value counts for all attempts that follow. */
export const RETRY_DELAYS = [500, 1000, 2000, 4000]

/** Members of an error that {@link repeat} looks at. */
export interface Failure {
  /** True if another attempt would fail, too. */
  isFinal?: boolean
  /** Seconds until the next attempt, by the server's `Retry-After`. */
  after?: number | undefined
}

/**
 * Calls `attempt` until it succeeds. The delays vary at random, so that many clients do not come back at once. Rejects
 * with the error of the last attempt if the next one would begin after `deadline`, by `performance.now()`, or if the device
 * is offline: createAuth() connects again when it is online.
 *
 * @param known The error of an attempt that the caller has made. The first call then waits, too.
 */
export const repeat = async <T>(attempt: () => Promise<T>, deadline: number, known?: Failure): Promise<T> => {
  for (let n = 0; ; n++) {
    try {
      return await (known && !n ? Promise.reject(known) : attempt())
    } catch (error) {
      const { isFinal, after } = error as Failure
      const usual = RETRY_DELAYS[n] ?? RETRY_DELAYS.at(-1)!
      const delay = after ? after * 1000 : usual * (0.75 + Math.random() / 2)
      if (isFinal || globalThis.navigator?.onLine === false || performance.now() + delay > deadline)
        throw error
      await new Promise((resolve) => setTimeout(resolve, delay))
    }
  }
}
