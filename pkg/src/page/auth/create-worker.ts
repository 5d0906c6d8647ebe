/** The choice of the app's worker, for `createAuth()` and for the callback page. */
import type { WorkerSource } from './auth.js'

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
export const createWorker = ({ shared, dedicated, account }: WorkerSource): SharedWorker | Worker => {
  // The first account has the worker of a page that names no account.
  const name = `${account || ''}`
  return dedicated && (!shared || !globalThis.SharedWorker || /^Apple/.test(navigator.vendor) || blocksData())
    ? dedicated(name)
    : shared!(name)
}
