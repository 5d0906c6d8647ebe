/** Starts the vault's worker under the page's Trusted Types policy. */

const WORKER = new URL('./auth.worker.js', import.meta.url).href

const OPTIONS = { type: 'module', extendedLifetime: true } as const

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
  return 'SharedWorker' in window ? new SharedWorker(trusted(), OPTIONS) : startDedicatedWorker()
}

/** Starts a worker that belongs to this page. */
export function startDedicatedWorker(): Worker {
  return new Worker(trusted(), OPTIONS)
}

function trusted(): string {
  return (policy?.createScriptURL(WORKER) ?? WORKER) as string
}
