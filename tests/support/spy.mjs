/** A service worker that records the requests that it sees. A page can ask for the records. */
export const SPY = `
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
const seen = []
addEventListener('fetch', ({ request }) => seen.push(request.url + ' ' + request.headers.get('authorization')))
addEventListener('message', ({ source }) => source.postMessage(seen))
`

/** Adds the spy to an app that `startApp()` started. The app's pages may register the spy. */
export function serveSpy({ site }) {
  site.files['/spy.js'] = SPY
  site.serviceWorkers.push('/spy.js')
}
