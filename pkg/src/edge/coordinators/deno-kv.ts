import { type Coordinator, type CoordinatorSource, type Entry, poll } from './coordinator.js'

/** The part of `Deno.Kv` that the coordinator uses. */
export interface DenoKv {
  getMany(keys: readonly (readonly string[])[]): Promise<readonly KvEntry[]>
  atomic(): KvAtomic
  watch?(keys: readonly (readonly string[])[]): ReadableStream<readonly KvEntry[]>
}

/** The part of `Deno.KvEntryMaybe` that the coordinator uses. */
export interface KvEntry {
  readonly value: unknown
  readonly versionstamp: string | null
}

/** The part of `Deno.AtomicOperation` that the coordinator uses. */
export interface KvAtomic {
  check(check: { key: readonly string[]; versionstamp: string | null }): KvAtomic
  set(key: readonly string[], value: unknown, options: { expireIn: number }): KvAtomic
  commit(): Promise<{ ok: false } | { ok: true; versionstamp: string }>
}

/**
 * A coordinator in Deno KV, on Deno Deploy or on one machine (`--unstable-kv`).
 *
 * ```ts
 * createTokenHandler({ …, coordinator: denoKv(Deno.openKv()) })
 * ```
 *
 * Deno KV has no clock that a program can read, so `read` brings no time: docs/edge-operate.md says what follows. Deno
 * computes the time of expiry with the clock of the process that writes. The clocks of processes may differ by an hour:
 * each entry lives an hour longer, so it never expires too early for another process. Deno itself deletes expired
 * entries only some time later.
 *
 * A call rejects with Deno's error. A local store is a file, which only one isolate at a time can write. If two
 * isolates write at the same time, as with `deno serve --parallel`, one call rejects with "database is locked".
 *
 * @param kv The store, or a promise of the store such as `Deno.openKv()` returns.
 * @param prefix The first part of all keys. Default `strongroom`.
 */
export function denoKv(kv: DenoKv | Promise<DenoKv>, prefix = 'strongroom'): CoordinatorSource {
  // A failure to open the store is reported when the coordinator is used, and must not be an unhandled rejection
  // before.
  const opened = Promise.resolve(kv)
  opened.catch(() => {})
  const coordinator = over(opened, (key) => [prefix, key])
  return () => coordinator
}

/** The milliseconds by which the clocks of two processes may differ. */
const TOLERANCE = 3_600_000

/** The maximum number of keys that Deno reads in one call. */
const MOST_KEYS = 10

function over(opened: Promise<DenoKv>, path: (key: string) => readonly string[]): Coordinator {
  const find = async (keys: readonly string[]) => {
    const kv = await opened
    const found: KvEntry[] = []
    for (let at = 0; at < keys.length; at += MOST_KEYS) {
      found.push(...(await kv.getMany(keys.slice(at, at + MOST_KEYS).map(path))))
    }
    return found
  }
  return {
    async read(keys) {
      const found = await find(keys)
      return { entries: found.map(entryOf) }
    },
    async swap(key, version, value, ttl) {
      const kv = await opened
      const write = kv.atomic().check({ key: path(key), versionstamp: version })
      const expireIn = Math.ceil(ttl * 1000) + TOLERANCE
      const done = await write.set(path(key), value, { expireIn }).commit()
      return done.ok ? { value, version: done.versionstamp } : null
    },
    async wait(key, version, milliseconds) {
      let isOver = false
      const changes = (await opened).watch?.([path(key)]).getReader()
      try {
        // Watches do not see changes by other processes on the same machine, and may fail, so the coordinator polls as
        // well.
        await Promise.race([
          poll(
            async () => (await find([key]))[0]?.versionstamp ?? null,
            version,
            milliseconds,
            () => isOver,
          ),
          ...(changes ? [untilOther(changes, version)] : []),
        ])
      } finally {
        isOver = true
        changes?.cancel().catch(() => {})
      }
    },
  }
}

const entryOf = ({ value, versionstamp }: KvEntry): Entry | null =>
  versionstamp === null ? null : { value: value as string, version: versionstamp }

/** Resolves when the key's version differs from `version`. Never resolves if the watch ends or fails. */
async function untilOther(
  changes: ReadableStreamDefaultReader<readonly KvEntry[]>,
  version: string | null,
): Promise<void> {
  for (;;) {
    const { done, value } = await changes.read().catch(() => ({ done: true, value: undefined }))
    if (done || !value) return new Promise(() => {})
    if (value[0] && value[0].versionstamp !== version) return
  }
}
