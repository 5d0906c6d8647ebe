/** Starts the vault's worker under the page's Trusted Types policy. */

const WORKER = new URL('./auth.worker.js', import.meta.url).href

/**
 * A Trusted Types policy that allows exactly one script as a worker: see `require-trusted-types-for` in the page's
 * Content-Security-Policy.
 */
const policy = window.trustedTypes?.createPolicy('auth-worker', {
  createScriptURL(url) {
    if (url !== WORKER) throw new TypeError(`${url} is not the vault's worker`)
    return url
  },
})

/** Starts a SharedWorker if the browser supports it, so that all tabs share one vault. */
export function startWorker(): SharedWorker | Worker {
  const url = (policy?.createScriptURL(WORKER) ?? WORKER) as string
  const options = { type: 'module', extendedLifetime: true } as const
  return 'SharedWorker' in window ? new SharedWorker(url, options) : new Worker(url, options)
}
