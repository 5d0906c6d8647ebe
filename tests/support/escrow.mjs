import assert from 'node:assert/strict'

/** An app whose service worker has the vault's key in escrow. It tells when it was given one, and not what. */
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

/** Gives an app of `startApp()` its service worker. */
export function serveEscrow({ site }) {
  site.serviceWorkers.push('/sw.js')
  site.files['/sw.js'] = SERVICE_WORKER
}

/** Opens a page of the app, in a browser session of its own or in `context`, after its service worker. */
export async function openWithEscrow(app, context) {
  const page = await app.open('/empty', context)
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    await navigator.serviceWorker.ready
  })
  await page.goto(`${app.site.origin}/`)
  return page
}

/** Does something upon which the vault gives its key to the service worker, and waits until that has it. */
export async function untilHanded(page, act) {
  const handed = page.evaluate(
    () => new Promise((resolve) => (new BroadcastChannel('handed').onmessage = ({ data }) => resolve(data))),
  )
  await act()
  assert.equal(await handed, 204)
}

/** Stops all service workers, as the browser does with those that have been idle for half a minute. */
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
