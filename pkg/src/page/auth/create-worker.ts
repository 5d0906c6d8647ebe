/** The choice of the app's worker, for `createAuth()` and for the callback page. */
import type { WorkerSource } from './auth.js'

/**
 * The name of the global variable with which a callback page hands its dedicated worker to the app that it loads in the
 * same document. The worker has the session, and the app could not connect to it otherwise.
 */
const HANDED_OVER = 'strongroom.worker'

interface HandedOver {
  worker: Worker
  /** The function that has created the worker. The app gets the worker if it passes the same function. */
  dedicated: unknown
}

const globals = globalThis as { [HANDED_OVER]?: HandedOver | undefined }

/** Returns true if the browser blocks the site's data. Chromium then starts no shared worker, and does not say why. */
export const blocksData = (): boolean => {
  try {
    return !localStorage
  } catch {
    return true
  }
}

/**
 * Creates the app's worker. WebKit gets a dedicated worker, because its shared workers may end with a tab and cannot
 * store keys: docs/browsers.md. So does a page whose browser blocks the site's data.
 */
export const createWorker = ({ shared, dedicated }: WorkerSource): SharedWorker | Worker =>
  dedicated && (!shared || !globalThis.SharedWorker || /^Apple/.test(navigator.vendor) || blocksData())
    ? dedicated()
    : shared!()

/** Hands the worker to the app. */
export const handOver = (worker: Worker, { dedicated }: WorkerSource): void => {
  globals[HANDED_OVER] = { worker, dedicated }
}

/** Returns the worker that the callback page has handed over, if there is one. */
export const takeWorker = ({ dedicated }: WorkerSource): Worker | undefined => {
  const given = globals[HANDED_OVER]
  if (!given || given.dedicated !== dedicated) return
  globals[HANDED_OVER] = undefined
  return given.worker
}
