/** A service worker that tells who asks which requests it has seen, with what they carry. */
export const SPY = `
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
const seen = []
addEventListener('fetch', ({ request }) => seen.push(request.url + ' ' + request.headers.get('authorization')))
addEventListener('message', ({ source }) => source.postMessage(seen))
`

/** Gives an app of `startApp()` the spy, whose pages may register it. */
export function serveSpy({ site }) {
  site.files['/spy.js'] = SPY
  site.serviceWorkers.push('/spy.js')
}
