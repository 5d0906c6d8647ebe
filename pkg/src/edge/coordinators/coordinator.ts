import { StrongroomError } from '../../page/errors/error.js'

/**
 * The store that coordinates the isolates of a token handler.
 *
 * The core decides which isolate may refresh, what the loser of a race gets, and when a replay ends a session. A
 * coordinator is a small linearizable store of strings. Strings with session data are sealed, so the coordinator cannot
 * read them.
 *
 * Each key is independent: no operation has to be atomic across keys. After a call that wrote a key has returned, every
 * call that begins later, in any isolate, sees this write or a later write. A call that rejects may have written. A
 * coordinator needs no time limits and no retries: the caller adds both.
 *
 * `strongroom/edge/conformance` tests implementations for these requirements.
 */
export interface Coordinator {
  /**
   * Returns the current entries of these keys, and the store's time if the store has a clock. A replica that can be
   * behind must not respond. A new process reads no keys, to get the time.
   */
  read(keys: readonly string[]): Promise<Reading>
  /**
   * Writes the value in one step if the key's version is still `version` (`null`: if the key does not exist). Of
   * several calls with the same version, at most one writes.
   *
   * @param value At most 60 KiB of ASCII, as sealed values are.
   * @param ttl The time to live in seconds, renewed by each write. After this time the key does not exist. An entry may
   * expire later, but never earlier: the clocks of two processes can differ, so the store's own clock must count.
   * @returns The new entry, or `null` if the key's version is not `version`.
   */
  swap(key: string, version: string | null, value: string, ttl: number): Promise<Entry | null>
  /**
   * Resolves when the key has another version than `version`, when its entry expires, or after at most this many
   * milliseconds. The promise may resolve earlier, so the caller reads again.
   */
  wait(key: string, version: string | null, milliseconds: number): Promise<void>
  /**
   * Adds a line to the value of a key in one step, and keeps the last `most` lines. Line breaks (`\n`) separate the lines.
   * No line is lost if several calls come at the same moment. The entry gets another version, and this time to live in
   * seconds. A new key gets the line as its value.
   *
   * Optional: without it, lists of a user's sessions lack those of logins at the same moment.
   */
  append?(key: string, line: string, most: number, ttl: number): Promise<void>
}

/** The result of a read of several keys. */
export interface Reading {
  /** The entries in the order of the keys; `null` for a key that was never written or has expired. */
  readonly entries: readonly (Entry | null)[]
  /**
   * The store's time at the read, in milliseconds since the Unix epoch. It must come from one clock for all keys and for
   * all processes, so never from `Date.now()` of the process that reads. Leave it out if the store has no clock: see
   * docs/edge-operate.md.
   */
  readonly time?: number
}

/** The entry of a key. */
export interface Entry {
  /** The value as it was written. */
  readonly value: string
  /** An opaque string. Each write of a key has a different version, even if the key has expired in between. */
  readonly version: string
}

/**
 * A factory of a coordinator. `env` is the value that the platform passes to `fetch`. A handler calls the factory once,
 * with the `env` of the first request.
 */
export type CoordinatorSource = (env: any) => Coordinator

/**
 * Describes how a function of the app failed, without the error's message, which may contain a URL with a password.
 */
export const failed = (error: unknown): string => {
  const { name = 'an error', message = '' } = Object(error) as Partial<Error>
  const [known] = /^Cannot read properties of (undefined|null) \(reading '\w+'\)$/.exec(message) ?? []
  return `its function failed: ${known ?? name}`
}

/** Returns what is wrong with a result of `read()` for this number of keys, or `undefined` if nothing is. */
export const faultOfReading = (result: unknown, count: number): string | undefined => {
  const { entries, time } = Object(result) as { entries?: unknown; time?: unknown }
  if (Array.isArray(result)) return 'read() returned an array: return { entries: <this array> }'
  if (!Array.isArray(entries)) return 'read() must return { entries } or { entries, time }'
  if (entries.length !== count) return `read() returned ${entries.length} entries for ${count} keys`
  if (!entries.every(isEntry)) return 'read() returned an entry that is not { value, version } of two strings'
  if (time !== undefined && !(typeof time === 'number' && time >= 0 && time < Infinity))
    return 'read() returned a `time` that is not a number of milliseconds'
  return undefined
}

/** Returns what is wrong with a result of `swap()`, or `undefined` if nothing is. */
export const faultOfSwap = (result: unknown): string | undefined =>
  isEntry(result) ? undefined : 'swap() must return { value, version } of two strings, or null'

/** Returns true for an entry, and for `null` or `undefined`, which stand for a missing one. */
const isEntry = (entry: any): boolean =>
  entry == null || (typeof entry.value === 'string' && typeof entry.version === 'string')

/** Returns the value of {@link Coordinator.append}, for a store in memory. */
export const appended = (value: string | undefined, line: string, most: number): string =>
  [...(value === undefined ? [] : value.split('\n')), line].slice(-most).join('\n')

const METHODS = ['read', 'swap', 'wait'] as const

/** Creates the coordinator that a configuration names. */
export const createCoordinator = (source: CoordinatorSource | undefined, env: unknown): Coordinator => {
  const invalid = (why: string) => new StrongroomError('config_invalid', `\`coordinator\`: ${why}`)
  const ways = 'inIsolate() for one process, or durableObject(…), redis(…), postgres(…) or denoKv(…)'
  if (typeof source !== 'function') throw invalid(`it is missing: it must be ${ways}`)
  let made
  try {
    made = source(env)
  } catch (error) {
    // `strongroom/edge/postgres` is a file of its own, and has a class of its own.
    const { name, message } = Object(error) as Partial<Error>
    throw invalid(name === 'StrongroomError' && message ? message : failed(error))
  }
  if (METHODS.every((name) => typeof made?.[name] === 'function')) return made
  throw invalid(`it does not return an object with the methods ${METHODS.join(', ')}: it must be ${ways}`)
}

/** The first and the longest interval of polling, in milliseconds. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 500

/**
 * Implements {@link Coordinator.wait} for a store without notifications. Polls at intervals of up to half a second,
 * each 1.5 times as long as the previous one.
 *
 * @param isOver Returns true if the caller has found the change in another way.
 */
export const poll = async (
  read: () => Promise<string | null>,
  version: string | null,
  milliseconds: number,
  isOver: () => boolean = () => false,
): Promise<void> => {
  const end = performance.now() + milliseconds
  for (let next = FIRST_PAUSE; (await read()) === version; next = Math.min(next * 1.5, LONGEST_PAUSE)) {
    const left = end - performance.now()
    if (left <= 0) return
    await new Promise((resolve) => setTimeout(resolve, Math.min(next, left)))
    if (isOver()) return
  }
}
