import { StrongroomError } from '../../page/error.js'

/**
 * Where the isolates of a token handler agree on a session.
 *
 * All rules (who may refresh, what a loser of the race gets, when a replay ends a session) are the core's. A
 * coordinator is a small linearizable store of sealed strings, in which it can read nothing.
 *
 * Each key is an object of its own: no operation has to be atomic across keys. After a call returned that wrote a
 * key, every call that begins, in whichever isolate, sees that write or a later one. A call that rejects may have
 * written. None of them has a time limit or tries again: that is up to whoever calls.
 *
 * `strongroom/edge/conformance` finds out whether an implementation keeps to all this.
 */
export interface Coordinator {
  /**
   * The entries of these keys now, in their order; `null` for a key that nobody wrote, or whose time is over. May
   * not be answered by a replica that can be behind.
   */
  read(keys: readonly string[]): Promise<readonly (Entry | null)[]>
  /**
   * Writes if the key's version is still `version` (`null`: if there is no such key), in one step: of several
   * calls with one version at most one writes.
   *
   * @param value At most 60 KiB of ASCII, as sealed values are, which every store here takes.
   * @param ttl For how many seconds, counted anew by each write. After that there is no such key.
   * @returns The new entry, or `null` when somebody else was first.
   */
  swap(key: string, version: string | null, value: string, ttl: number): Promise<Entry | null>
  /**
   * Resolves when the key's version is no longer `version`, and when that entry's time is over, or after at most
   * this many milliseconds. May resolve earlier, so whoever waits reads again.
   */
  wait(key: string, version: string | null, milliseconds: number): Promise<void>
}

/** What a key has. */
export interface Entry {
  /** As it was written. */
  readonly value: string
  /** Opaque. No two writes of a key have the same, also after its time was over in between. */
  readonly version: string
}

/**
 * A coordinator, once the platform's bindings are known: `env` is what the platform hands to `fetch`. A handler calls
 * it once, with the first request's.
 */
export type CoordinatorSource = (env: any) => Coordinator

/**
 * How somebody's function failed, without what its error may quote: an address with a password, a key that is no JSON.
 */
export const failed = (error: unknown): string => {
  const { name = 'an error', message = '' } = Object(error) as Partial<Error>
  const [known] = /^Cannot read properties of (undefined|null) \(reading '\w+'\)$/.exec(message) ?? []
  return `its function failed: ${known ?? name}`
}

const METHODS = ['read', 'swap', 'wait'] as const

/** The coordinator that a configuration names. */
export const chosen = (source: CoordinatorSource | undefined, env: unknown): Coordinator => {
  const invalid = (why: string) => new StrongroomError('config_invalid', `\`coordinator\`: ${why}`)
  const ways = 'inIsolate() for one process, or durableObject(…), redis(…) or denoKv(…)'
  if (typeof source !== 'function') throw invalid(`there is none: it must be ${ways}`)
  let made
  try {
    made = source(env)
  } catch (error) {
    throw error instanceof StrongroomError ? invalid(error.message) : invalid(failed(error))
  }
  if (METHODS.every((name) => typeof made?.[name] === 'function')) return made
  throw invalid(`it gives nothing with the methods ${METHODS.join(', ')}: it must be ${ways}`)
}

/** How long to wait before a store is asked again, in milliseconds: first, and at most. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 500

/**
 * {@link Coordinator.wait} of a store that tells nobody what changes: asks again and again, each time after one and a
 * half the time, up to half a second.
 *
 * @param isOver Whether somebody else found out meanwhile, so that nobody waits for this any more.
 */
export const poll = async (
  read: () => Promise<string | null>,
  version: string | null,
  milliseconds: number,
  isOver: () => boolean = () => false,
): Promise<void> => {
  const end = Date.now() + milliseconds
  for (let next = FIRST_PAUSE; (await read()) === version; next = Math.min(next * 1.5, LONGEST_PAUSE)) {
    const left = end - Date.now()
    if (left <= 0) return
    await new Promise((resolve) => setTimeout(resolve, Math.min(next, left)))
    if (isOver()) return
  }
}
