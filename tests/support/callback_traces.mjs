/** Places in which a login could leave its code for script that runs later. The functions run in pages. */

/** Records what the package posts on its channels in `overheard`. */
export function eavesdrop() {
  globalThis.overheard = []
  for (const name of ['strongroom', 'strongroom response']) {
    new BroadcastChannel(name).onmessage = ({ data }) => overheard.push(JSON.stringify(data))
  }
}

/** Resolves with all that script of the page can read: history, performance entries, referrer, caches, storage. */
export async function readTraces() {
  const cached = async () => {
    const kept = await Promise.all((await caches.keys()).map(async (key) => (await caches.open(key)).keys()))
    return kept.flat().map(({ url }) => url)
  }
  return JSON.stringify([
    globalThis.navigation?.entries().map(({ url }) => url),
    [globalThis.navigation?.activation?.entry?.url, globalThis.navigation?.activation?.from?.url],
    performance.getEntries().map(({ name }) => name),
    location.href,
    document.referrer,
    await cached(),
    { ...localStorage, ...sessionStorage },
  ])
}

/** Registers the service worker `/sw.js`. Resolves when it controls the page. */
export async function beControlled() {
  const controlled = new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve))
  await navigator.serviceWorker.register('/sw.js')
  if (!navigator.serviceWorker.controller) await controlled
}

/** Resolves with the addresses of the pages that `networkFirst()` has kept. */
export async function readCache() {
  const cache = await caches.open('pages')
  return (await cache.keys()).map(({ url }) => url).join()
}

/** Returns a service worker that keeps each page in a cache. It leaves the callback page alone if `isExcluded`. */
export const networkFirst = (isExcluded) => `
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (event.request.mode !== 'navigate' ${isExcluded ? "|| new URL(event.request.url).pathname === '/callback'" : ''}) return
  const answer = async () => {
    const response = await fetch(event.request)
    await (await caches.open('pages')).put(event.request, response.clone())
    return response
  }
  event.respondWith(answer())
})`
