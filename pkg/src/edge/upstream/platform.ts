/** The platform, whose `fetch` has habits of its own. */

/** The part of Node's `process` that says which `fetch` there is. */
const { release, versions } =
  (
    globalThis as {
      process?: { release?: { name?: string }; versions?: { undici?: string } }
    }
  ).process ?? {}

export const IS_BUN: boolean = 'Bun' in globalThis
export const IS_DENO: boolean = 'Deno' in globalThis
export const IS_WORKERD: boolean = 'WebSocketPair' in globalThis
export const IS_NODE: boolean = !(IS_BUN || IS_DENO || IS_WORKERD) && release?.name === 'node'

const [major = 0, minor = 0] = IS_NODE ? (versions?.undici ?? '').split('.').map(Number) : []

/** Returns true if Node's `fetch` is from this version of undici, or a later one. */
export const hasUndici = (wantedMajor: number, wantedMinor: number): boolean =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
