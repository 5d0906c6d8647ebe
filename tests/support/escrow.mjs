import assert from 'node:assert/strict'

/** A service worker that holds the vault's key in escrow. It reports that it received a key, but not the key itself. */
const SERVICE_WORKER = `import { escrow } from '/strongroom/escrow.js'
escrow('/auth.worker.js')
const { respondWith } = FetchEvent.prototype
FetchEvent.prototype.respondWith = function (answer) {
  respondWith.call(this, answer)
  if (this.request.method !== 'PUT') return
  Promise.resolve(answer).then(({ status }) => new BroadcastChannel('handed').postMessage(status))
}
addEventListener('install', () => skipWaiting())
addEventListener('message', ({ source }) => source.postMessage('heard'))`

/** Adds the service worker to an app that `startApp()` started. */
export function serveEscrow({ site }) {
  site.serviceWorkers.push('/sw.js')
  site.files['/sw.js'] = SERVICE_WORKER
}

/** Starts the app's service worker and then opens a page, in a new browser context or in `context`. */
export async function openWithEscrow(app, context) {
  const page = await app.open('/empty', context)
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    await navigator.serviceWorker.ready
  })
  await page.goto(`${app.site.origin}/`)
  return page
}

/**
 * Performs an action after which the vault gives its key to the service worker. Waits until the service worker has the
 * key.
 */
export async function untilHanded(page, act) {
  const handed = page.evaluate(
    () => new Promise((resolve) => (new BroadcastChannel('handed').onmessage = ({ data }) => resolve(data))),
  )
  await act()
  assert.equal(await handed, 204)
}

/** Stops all service workers, as the browser does after half a minute without events. */
export async function stopServiceWorkers(page) {
  const devtools = await page.context().newCDPSession(page)
  const stopped = new Promise((resolve) =>
    devtools.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      if (versions.some(({ runningStatus }) => runningStatus === 'stopped')) resolve()
    }),
  )
  await devtools.send('ServiceWorker.enable')
  await devtools.send('ServiceWorker.stopAllWorkers')
  await stopped
  await devtools.detach()
}
