/** Loads the files that a page needs only later. Every page has this code, because it is needed when a file fails. */
import { isOffline, repeat } from '../protocol/repeat.js'
import { fileErrors } from './errors/file-errors.js'

/** Seconds after which no further attempt begins. */
const TIME_LIMIT = 10

/** Seconds for a file that only explains a failure. */
export const EXPLANATION = 2

/** Milliseconds for which a failed file is not requested repeatedly, because a deployment may have deleted the file. */
const MEMORY = 60_000

/**
 * Matches the error of an engine that keeps a failure as long as the document lives (Firefox), and captures the file's
 * URL. Other engines and bundlers request the file again.
 */
const KEPT = /^error loading dynamically imported module: (https?:.+)/

/** The number of failures by URL. It is in the URL of the next attempt, and in that of a file that has arrived. */
const failures = new Map<string, number>()

/** The files that are loading or have loaded, by the name of an export. */
const files = new Map<PropertyKey, Promise<any>>()

/** The names of the files that have failed in the last minute. */
const failed = new Set<PropertyKey>()

/** A file with another URL would escape the integrity that an import map demands. */
const isFree = () =>
  [...document.querySelectorAll<HTMLScriptElement>('script[type=importmap]')].every(
    ({ text }) => !text.includes('"integrity"'),
  )

/**
 * Calls `get`, which imports a file, until it succeeds or the time limit ends. A file whose failure the engine keeps is
 * requested by another URL. All calls then use this URL, so they share the file's state. Calls also share an attempt that
 * is in flight. For a minute after a failure, a call makes one attempt only, so that it fails at once.
 *
 * @param name An export of the file, the same one in each call. The error may name another file, which that file imports.
 * @param limit Seconds.
 */
export const load = <T extends object>(
  get: () => Promise<T>,
  name: keyof T,
  limit = TIME_LIMIT,
): Promise<T> => {
  const known = files.get(name)
  if (known) return known
  const file = repeat(
    () =>
      get().catch(async (error) => {
        const url = KEPT.exec(error.message)?.[1]
        if (!url || !isFree()) throw error
        const n = failures.get(url) ?? 0
        const file =
          n &&
          (await import(
            /* webpackIgnore: true */ /* @vite-ignore */ `${url}${url.includes('?') ? '&' : '?'}again=${n}`
          ).catch(() => 0))
        if (file && name in file) return file
        failures.set(url, n + 1)
        throw error
      }),
    performance.now() + (failed.has(name) ? 0 : limit * 1000),
  )
  files.set(name, file)
  file.catch((error) => {
    files.delete(name)
    fileErrors.add(error)
    // A device that is offline says nothing about the file.
    if (isOffline()) return
    failed.add(name)
    setTimeout(() => failed.delete(name), MEMORY)
  })
  return file
}

/** Does the same as `load` for a file that only explains a failure, but makes no attempt for a minute after a failure. */
export const loadExplanation = <T extends object>(get: () => Promise<T>, name: keyof T): Promise<T> =>
  failed.has(name) ? Promise.reject() : load(get, name, EXPLANATION)
