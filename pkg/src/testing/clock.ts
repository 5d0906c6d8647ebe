/** Virtual time of pages: timers run only when the test lets time pass. */

/** The timers of a page. */
export interface Timers {
  setTimeout(action: (...args: unknown[]) => void, delay?: number, ...args: unknown[]): number
  setInterval(action: (...args: unknown[]) => void, delay?: number, ...args: unknown[]): number
  clear(timer?: number): void
  /** Removes all timers, as a navigation of the page does. */
  clearAll(): void
  /** Removes all timers, and ignores later ones, because the page has ended. */
  end(): void
}

/** The time of a world, with the timers of all its pages. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Returns the timers of a new page. */
  createTimers(): Timers
  /** The time of the next timer. */
  next(): number | undefined
  /** Runs the timers that are due. */
  runDue(): void
}

interface Timer {
  at: number
  action: () => void
  page: object
  interval?: number
}

export const createClock = (now: () => number): Clock => {
  const timers = new Map<number, Timer>()
  let last = 0
  const add = (timer: Timer) => {
    timers.set(++last, timer)
    return last
  }
  const next = () => {
    const times = [...timers.values()].map(({ at }) => at)
    return times.length ? Math.min(...times) : undefined
  }
  const createTimers = (): Timers => {
    let hasEnded = false
    const addOwn = (action: () => void, delay: number, interval?: number) =>
      hasEnded ? 0 : add({ at: now() + delay, action, page, ...(interval && { interval }) })
    const page: Timers = {
      setTimeout: (action, delay = 0, ...args) => addOwn(() => action(...args), delay),
      setInterval: (action, delay = 0, ...args) => addOwn(() => action(...args), delay, Math.max(delay, 1)),
      clear: (timer) => void timers.delete(timer!),
      clearAll() {
        for (const [id, timer] of timers) if (timer.page === page) timers.delete(id)
      },
      end() {
        hasEnded = true
        page.clearAll()
      },
    }
    return page
  }
  return {
    now,
    createTimers,
    next,
    runDue() {
      for (const [id, timer] of [...timers]) {
        if (timer.at > now() || !timers.has(id)) continue
        if (timer.interval) timer.at += timer.interval
        else timers.delete(id)
        timer.action()
      }
    },
  }
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Returns the milliseconds of a duration such as `'31m'` or `'1h30m'`. A number is milliseconds.
 *
 * @throws TypeError if this is not a duration.
 */
export const toMilliseconds = (duration: string | number): number => {
  const text = String(duration).replace(/\s/g, '')
  if (typeof duration === 'number' && duration >= 0) return duration
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) {
    throw new TypeError(
      `'${duration}' is not a duration. Pass milliseconds, or a string such as '90s', '31m' or '1h30m'.`,
    )
  }
  const parts = [...text.matchAll(/([\d.]+)([a-z]+)/g)]
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit!]!, 0)
}

/** Real globals, saved before a test may replace them by fake timers. */
const { MessageChannel, setTimeout } = globalThis

/** Resolves after all promise reactions that are pending now. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    if (!MessageChannel) return void setTimeout(resolve)
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      // An open port would keep Node's process alive.
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
