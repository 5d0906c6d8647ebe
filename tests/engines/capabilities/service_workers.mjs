/**
 * Shows which requests of the vault a service worker of the app's origin sees, and what prevents such a service worker.
 * If the vault is on the app's origin, the site's 403 or the page's `worker-src` prevents the registration. If the
 * vault has its own origin, the service worker does not see the vault's requests.
 */
import assert from 'node:assert/strict'
import { call, signIn } from '../../support/engines/app.mjs'

/** A service worker that records the requests that it sees. A page can ask for the records. */
const SPY = `
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
const seen = []
addEventListener('fetch', ({ request }) => seen.push(request.url + ' ' + request.headers.get('authorization')))
addEventListener('message', ({ source }) => source.postMessage(seen))
`

/** Adds the spy to an app, whose pages may register it. */
function serveSpy({ site }) {
  site.files['/spy.js'] = SPY
  site.serviceWorkers.push('/spy.js')
}

/** Signs in and calls the API while the spy is active. Resolves with the requests that the spy saw. */
async function spy({ app, visit }) {
  const { tab } = await visit('/empty')
  await tab.evaluate(async () => {
    const { serviceWorker } = navigator
    const inCharge = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
    await serviceWorker.register('/spy.js')
    if (!serviceWorker.controller) await inCharge
  })
  // The spy controls workers that start from now on, if the engine allows this.
  await tab.goto(`${app.site.origin}/`)
  await signIn(tab)
  assert.equal((await call(tab, `${app.api.url}orders`)).value.status, 200)
  const seen = await tab.evaluate(async () => {
    const told = new Promise((resolve) => (navigator.serviceWorker.onmessage = resolve))
    navigator.serviceWorker.controller.postMessage('')
    return (await told).data
  })
  // Control: the spy is active and sees requests of the page.
  assert.ok(
    seen.some((request) => request.includes('/index.js')),
    seen.join('\n'),
  )
  return seen
}

/**
 * Tries to register the file at `path` as a service worker.
 *
 * @returns {Promise<{ refused: boolean, registered: number, asked: number[] }>} `refused`: true if `register()`
 *   rejected. `registered`: the number of service workers that are registered afterwards. `asked`: the status of the
 *   response to each request for the file.
 */
async function register(app, tab, path) {
  const since = app.site.requests.length
  const refused = await tab.evaluate(
    (url) =>
      navigator.serviceWorker.register(url).then(
        () => false,
        () => true,
      ),
    path,
  )
  const registered = await tab.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)
  const asked = app.site.requests.slice(since).filter((request) => request.path === path)
  return { refused, registered, asked: asked.map(({ status }) => status) }
}

const refusals = [
  {
    // claim: script-34
    name: 'no service worker where the site refuses its file with 403',
    async see({ app, visit }) {
      app.site.files['/other.js'] = SPY
      const { tab } = await visit('/empty')
      const found = await register(app, tab, '/other.js')
      assert.deepEqual(found, { refused: true, registered: 0, asked: [403] })
    },
  },
  {
    // claim: script-34
    name: 'no service worker where the page’s worker-src names the vault’s file alone',
    async see({ app, visit }) {
      const before = app.site.pageCsp
      app.site.pageCsp = before.replace(/worker-src [^;]+/, `worker-src ${app.site.origin}/auth.worker.js`)
      try {
        const { tab } = await visit('/empty')
        const found = await register(app, tab, '/spy.js')
        assert.deepEqual(found, { refused: true, registered: 0, asked: [] })
      } finally {
        app.site.pageCsp = before
      }
    },
  },
]

const seesToken = async (scene) => {
  const seen = await spy(scene)
  const { value } = scene.app.ledger.newest('access_token')
  return seen.some((request) => request.includes(`Bearer ${value}`))
    ? 'yes, with the token'
    : 'yes, without the token'
}

const sees = (kind) => ({
  // claim: origin-4
  name: `without 403 and policy, a service worker sees the requests of a vault in a \`${kind}\``,
  see: seesToken,
})

const usual = { provider: { accessTokenSeconds: 3600 } }

/** @type {import('../suite.mjs').Group[]} */
export const serviceWorkers = [
  {
    name: 'service workers',
    app: usual,
    prepare: serveSpy,
    capabilities: [...refusals, sees('SharedWorker')],
  },
  {
    name: 'service workers, with one worker a tab',
    app: { ...usual, kind: 'dedicated' },
    prepare: serveSpy,
    capabilities: [sees('Worker')],
  },
  {
    name: 'service workers, and a vault on an origin of its own',
    app: { ...usual, vaultOrigin: true },
    prepare: serveSpy,
    capabilities: [
      {
        // claim: origin-4
        name: 'vault origin: a service worker of the app’s origin sees no request of the vault',
        async see(scene) {
          const seen = await spy(scene)
          const others = seen.filter((request) => !request.startsWith(scene.app.site.origin))
          // The request for the frame comes from the page, so the service worker may see it. Requests of the frame and
          // its worker must not be visible.
          const ofVault = others.filter(
            (request) => !request.startsWith(`${scene.app.vault.origin}/frame.html`),
          )
          assert.deepEqual(ofVault, [])
        },
      },
    ],
  },
]
