import { appended, type Coordinator, type CoordinatorSource, type Entry } from './coordinator.js'

interface Held extends Entry {
  /** A value of `performance.now()`, since the clock of the system may be set while the process runs. */
  readonly expires: number
}

/**
 * A coordinator in this process's memory, **for one process only**: for a single server, or for development.
 *
 * Do not use this coordinator with several processes or isolates, as on Cloudflare Workers, Deno Deploy, Vercel or in a
 * Node cluster. Two processes would send the same refresh token, and a provider that rotates tokens would end the
 * session. A logout in one process would not end the session in the other process. The coordinator's entries are lost
 * when the process ends.
 */
export function inIsolate(): CoordinatorSource {
  const coordinator = memory()
  return () => coordinator
}

function memory(): Coordinator {
  const entries = new Map<string, Held>()
  const waiting = new Map<string, Set<() => void>>()
  let writes = 0
  /**
   * The number of writes until expired entries are deleted. Each deletion sets this number to the number of entries
   * that are left.
   */
  let untilSweep = 0

  const find = (key: string): Held | null => {
    const held = entries.get(key)
    return held && performance.now() < held.expires ? held : null
  }
  const sweep = () => {
    if (untilSweep-- > 0) return
    for (const key of entries.keys()) if (!find(key)) entries.delete(key)
    untilSweep = entries.size
  }

  const write = (key: string, value: string, ttl: number): Entry => {
    const entry = { value, version: `${++writes}` }
    entries.set(key, { ...entry, expires: performance.now() + ttl * 1000 })
    sweep()
    for (const wake of waiting.get(key) ?? []) wake()
    return entry
  }

  return {
    async read(keys) {
      const entries = keys.map((key) => {
        const held = find(key)
        return held && { value: held.value, version: held.version }
      })
      return { entries, time: Date.now() }
    },
    async swap(key, version, value, ttl) {
      return (find(key)?.version ?? null) === version ? write(key, value, ttl) : null
    },
    async append(key, line, most, ttl) {
      write(key, appended(find(key)?.value, line, most), ttl)
    },
    wait(key, version, milliseconds) {
      return new Promise((resolve) => {
        const held = find(key)
        if ((held?.version ?? null) !== version) return resolve()
        const most = held ? Math.min(milliseconds, held.expires - performance.now()) : milliseconds
        const others = waiting.get(key) ?? new Set()
        waiting.set(key, others)
        const wake = () => {
          clearTimeout(timer)
          others.delete(wake)
          if (!others.size && waiting.get(key) === others) waiting.delete(key)
          resolve()
        }
        const timer = setTimeout(wake, most)
        others.add(wake)
      })
    },
  }
}
