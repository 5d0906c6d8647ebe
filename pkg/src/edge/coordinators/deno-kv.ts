import { type Coordinator, type CoordinatorSource, poll } from './coordinator.js'

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

/** The stored value, with its time of expiry, because Deno deletes expired entries only some time later. */
interface Held {
  readonly value: string
  /** Milliseconds since the Unix epoch. */
  readonly expires: number
}

/**
 * A coordinator in Deno KV, on Deno Deploy or on one machine (`--unstable-kv`).
 *
 * ```ts
 * createTokenHandler({ …, coordinator: denoKv(Deno.openKv()) })
 * ```
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
  const versionNow = async (key: string) => {
    const [entry] = await find([key])
    return entry ? versionOf(entry) : null
  }

  return {
    read: async (keys) =>
      (await find(keys)).map((entry) => {
        const version = versionOf(entry)
        return version === null ? null : { value: (entry.value as Held).value, version }
      }),
    async swap(key, version, value, ttl) {
      const expireIn = Math.max(1, Math.ceil(ttl * 1000))
      const expires = Date.now() + expireIn
      const write = async (versionstamp: string | null) => {
        const kv = await opened
        const set = kv.atomic().check({ key: path(key), versionstamp })
        return set.set(path(key), { value, expires } satisfies Held, { expireIn }).commit()
      }
      if (version !== null && expiryOf(version) <= Date.now()) return null
      let done = await write(version === null ? null : stampOf(version))
      if (!done.ok && version === null) {
        // The write may have failed because Deno has not deleted an expired entry yet.
        const [left] = await find([key])
        if (left && versionOf(left) === null) done = await write(left.versionstamp)
      }
      return done.ok ? { value, version: versionFrom(done.versionstamp, expires) } : null
    },
    async wait(key, version, milliseconds) {
      const left = version === null ? milliseconds : Math.min(milliseconds, expiryOf(version) - Date.now())
      let isOver = false
      const changes = (await opened).watch?.([path(key)]).getReader()
      try {
        // Watches do not see changes by other processes on the same machine, and may fail, so the coordinator polls as
        // well.
        await Promise.race([
          poll(
            () => versionNow(key),
            version,
            left,
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

/** Resolves when the key's version differs from `version`. Never resolves if the watch ends or fails. */
async function untilOther(
  changes: ReadableStreamDefaultReader<readonly KvEntry[]>,
  version: string | null,
): Promise<void> {
  for (;;) {
    const { done, value } = await changes.read().catch(() => ({ done: true, value: undefined }))
    if (done || !value) return new Promise(() => {})
    if (value[0] && versionOf(value[0]) !== version) return
  }
}

/**
 * The version includes the time of expiry. An expired entry can therefore be recognized and is not replaced by
 * `swap()`, even if Deno has not deleted it yet.
 */
const versionFrom = (versionstamp: string, expires: number) => `${versionstamp}:${expires}`
const stampOf = (version: string) => version.split(':')[0]!
const expiryOf = (version: string) => Number(version.split(':')[1])

function versionOf({ value, versionstamp }: KvEntry): string | null {
  if (versionstamp === null) return null
  const { expires } = value as Held
  return Date.now() < expires ? versionFrom(versionstamp, expires) : null
}
