import type { Coordinator, CoordinatorSource, Entry } from './coordinator.js'

interface Held extends Entry {
  /** Milliseconds since the Unix epoch. */
  readonly expires: number
}

/**
 * A coordinator in this process's memory, **for one process only**: a server that is the only one, or development.
 *
 * Two processes or isolates with one of these each know nothing of each other: both would send the same refresh
 * token, upon which a provider that rotates ends the session; and a logout in one is none in the other. Cloudflare
 * Workers, Deno Deploy, Vercel and a Node cluster have several. What it holds is gone with the process.
 */
export function inIsolate(): CoordinatorSource {
  const coordinator = memory()
  return () => coordinator
}

function memory(): Coordinator {
  const entries = new Map<string, Held>()
  const waiting = new Map<string, Set<() => void>>()
  let writes = 0
  /** After as many writes as there were entries, those whose time is over are thrown away. */
  let untilSweep = 0

  const find = (key: string): Held | null => {
    const held = entries.get(key)
    return held && Date.now() < held.expires ? held : null
  }
  const sweep = () => {
    if (untilSweep-- > 0) return
    for (const key of entries.keys()) if (!find(key)) entries.delete(key)
    untilSweep = entries.size
  }

  return {
    async read(keys) {
      return keys.map((key) => {
        const held = find(key)
        return held && { value: held.value, version: held.version }
      })
    },
    async swap(key, version, value, ttl) {
      if ((find(key)?.version ?? null) !== version) return null
      const entry = { value, version: `${++writes}` }
      entries.set(key, { ...entry, expires: Date.now() + ttl * 1000 })
      sweep()
      for (const wake of waiting.get(key) ?? []) wake()
      return entry
    },
    wait(key, version, milliseconds) {
      return new Promise((resolve) => {
        const held = find(key)
        if ((held?.version ?? null) !== version) return resolve()
        const most = held ? Math.min(milliseconds, held.expires - Date.now()) : milliseconds
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
