// The callback page of an app with a service worker: the worker keeps the code in its cache, unless it leaves the page
// alone, as docs/pwa.md says.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readGuide } from '../recipes/guide.mjs'
import { giveConsent, startApp } from '../support/app.mjs'
import { useCallbackPage } from '../support/callback_page.mjs'
import { beControlled, networkFirst, readTraces } from '../support/callback_traces.mjs'
import { freePort } from '../support/listen.mjs'
import { until } from '../support/until.mjs'
import { installWorkers } from '../support/workers.mjs'

const time = { timeout: 60_000 }

/** The callback page of the app's other client. */
const SECOND = '/mcp/callback'

let app, workers, guide

before(async () => {
  // Another issuer of the app has a client, a redirect URI and a callback page of its own (docs/login.md).
  const port = await freePort()
  const redirectUri = `http://localhost:${port}${SECOND}`
  app = await startApp({
    config: { callbackPage: true, scope: 'openid profile orders' },
    clients: [{ client_id: 'two', client_name: 'two', redirect_uris: [redirectUri] }],
    site: { port },
  })
  useCallbackPage(app)
  app.site.routes[SECOND] = '/callback.html'
  app.site.pageCsp = app.site.pageCsp.replace("connect-src 'none'", "connect-src 'self'")
  app.site.serviceWorkers.push('/sw.js')
  // Angular's worker sends the vault's requests again, under its own policy, which is the worker's.
  app.site.workers.push('/sw.js')
  workers = await installWorkers()
  guide = await readGuide('docs/pwa.md')
}, time)
after(() => app?.close())

/** Returns the files of Workbox with the app's shell in its cache, and with these calls. */
const workbox = (calls) => workers.workbox('/index.html', calls)
const ngsw = (config) => workers.ngsw('/index.html', app.site.files['/index.html'], config)
const NAVIGATIONS = `({ request }) => request.mode === 'navigate'`
const SHELL = `workbox.precaching.createHandlerBoundToURL('/index.html')`
/** Returns the code in the guide's table for a vault. */
const line = (tool) => guide.row(tool)[0][0]

/** Workers that leave the page alone, as the guide says. */
const LEAVING = {
  'Workbox, the app’s shell': () =>
    workbox(
      `{
        const { NavigationRoute } = workbox.routing, handler = ${SHELL}
        workbox.routing.registerRoute(${line('Workbox in a worker of your own')})
      }`,
    ),
  'Angular’s': () => ngsw(JSON.parse(`{ ${line("Angular's `ngsw-config.json`")} }`)),
  'the first lines of the guide, before those of “network first”': () => ({
    '/sw.js': guide.block('// public/first.js') + networkFirst(false),
  }),
}

/** Workers that keep each page. */
const KEEPING = {
  'Workbox, network first': () =>
    workbox(`workbox.routing.registerRoute(${NAVIGATIONS}, new workbox.strategies.NetworkFirst())`),
}

/** Workers that respond with the app's shell, so that the callback page never runs. */
const SHELLS = {
  'Workbox, the app’s shell': () =>
    workbox(`workbox.routing.registerRoute(new workbox.routing.NavigationRoute(${SHELL}))`),
  'Angular’s': () => ngsw(),
}

/** Opens the app under the control of a service worker, and signs in until the provider sends the browser back. */
async function signIn(files) {
  Object.assign(app.site.files, files)
  const page = await app.open('/empty')
  await page.evaluate(beControlled)
  await page.goto(`${app.site.origin}/orders`)
  await page.evaluate(() => boot)
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  return page
}

for (const [kinds, isKept] of [
  [LEAVING, false],
  [KEEPING, true],
]) {
  for (const [kind, files] of Object.entries(kinds)) {
    const outcome = isKept ? 'the code, in spite of all headers' : 'no code'
    // claim: callback-9
    test(`the caches of a service worker have ${outcome}: ${kind}`, time, async () => {
      const page = await signIn(await files())
      await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
      assert.deepEqual(await page.evaluate(() => boot), { value: { user: 'alice', code: null } })
      const traces = await page.evaluate(readTraces)
      assert.match(traces, /index\.html|orders/)
      assert.equal(traces.includes(app.ledger.newest('authorization_code').value), isKept)
      await page.context().close()
    })
  }
}

for (const [kind, files] of Object.entries(SHELLS)) {
  test(
    // claim: callback-9
    `a service worker with the app’s shell for the callback page: the app gets the code: ${kind}`,
    time,
    async () => {
      const before = app.site.requests.length
      const page = await signIn(await files())
      await page.waitForFunction(() => globalThis.boot)
      // The app itself finishes the login, as on the simple path.
      await page.evaluate(() => boot)
      assert.ok(!app.site.requests.slice(before).some(({ path }) => path === '/callback'))
      await page.context().close()
    },
  )
}

/** A listener that takes each file from a cache. A new version of its service worker takes over at once, or when asked. */
const CACHE_FIRST = `
addEventListener('fetch', (event) => {
  event.respondWith(caches.match(event.request.url).then((found) => found ?? fetch(event.request)))
})
addEventListener('install', () => skipWaiting())
addEventListener('message', ({ ports: [port] }) => clients.claim().then(() => port.postMessage('')))
`

/** A listener that leaves the callback page's document and first script alone, and not what that imports. */
const LEAVES_A_PART = `
addEventListener('fetch', (event) => {
  const { pathname } = new URL(event.request.url)
  if (['/callback', '/callback.js'].includes(pathname)) event.stopImmediatePropagation()
})
`

/** Code of an attacker in place of a script that the callback page imports. */
const PLANTED = `new BroadcastChannel('planted').postMessage(location.href)
export const shared = () => {}`

/** What script of another page does while the callback page loads. Each function resolves when it is done. */
const ATTACKS = {
  'registers another address of the service worker': {
    before() {},
    async during() {
      const { serviceWorker } = navigator
      const isNew = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
      await serviceWorker.register('/sw.js?x')
      await isNew
    },
  },
  'registers the service worker again, and has it claim the page': {
    before: async () => void (await (await navigator.serviceWorker.ready).unregister()),
    async during() {
      const { installing, active } = await navigator.serviceWorker.register('/sw.js')
      const worker = installing ?? active
      while (worker.state !== 'activated') await new Promise((resolve) => (worker.onstatechange = resolve))
      const { port1, port2 } = new MessageChannel()
      worker.postMessage('', [port2])
      await new Promise((resolve) => (port1.onmessage = resolve))
    },
  },
}

/** Attacks a login. Resolves with the addresses at which the attacker's code has run. */
async function attacked(serviceWorker, { before, during }) {
  app.site.files['/sw.js'] = serviceWorker
  const page = await app.open('/empty')
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js')
    await navigator.serviceWorker.ready
  })
  await page.goto(`${app.site.origin}/orders`)
  await page.evaluate(() => boot)
  const attacker = await app.open('/empty', page.context())
  await attacker.evaluate(async (planted) => {
    globalThis.heard = []
    new BroadcastChannel('planted').onmessage = ({ data }) => heard.push(data)
    const headers = { 'Content-Type': 'text/javascript' }
    await (await caches.open('shell')).put('/workers.js', new Response(planted, { headers }))
  }, PLANTED)
  await page.evaluate(() => void auth.login().catch(() => {}))
  await page.waitForURL(/interaction/)
  await attacker.evaluate(before)
  let done
  const undo = app.site.override('/callback.js', { hold: () => (done ??= attacker.evaluate(during)) })
  await giveConsent(page)
  await until(() => !!done)
  await done
  undo()
  await page.waitForFunction(() => globalThis.boot || !location.search)
  const heard = await attacker.evaluate(async () => {
    // A message of this page follows those of the callback page.
    const own = new BroadcastChannel('planted')
    own.postMessage('end')
    while (!heard.includes('end')) await new Promise((resolve) => setTimeout(resolve, 10))
    return heard.filter((address) => address.includes('code='))
  })
  await page.context().close()
  return heard
}

for (const [name, attack] of Object.entries(ATTACKS)) {
  // claim: callback-9
  test(`script that ${name} during a login reaches no callback page`, time, async () => {
    assert.deepEqual(await attacked(guide.block('// public/first.js') + CACHE_FIRST, attack), [])
  })

  // claim: callback-9
  test(`a control: without the first lines, script that ${name} reads the code`, time, async () => {
    assert.equal((await attacked(LEAVES_A_PART + CACHE_FIRST, attack)).length, 1)
  })
}

/**
 * Script of the app changes what the callback pages import, and begins logins of its own at both of them. Resolves with the
 * pages at which its code has read the response.
 */
async function readAt(serviceWorker) {
  app.site.files['/sw.js'] = serviceWorker
  const page = await app.open('/empty')
  await page.evaluate(beControlled)
  await page.goto(`${app.site.origin}/orders`)
  await page.evaluate(() => boot)
  await page.evaluate(async (planted) => {
    globalThis.heard = []
    new BroadcastChannel('planted').onmessage = ({ data }) => heard.push(data)
    const headers = { 'Content-Type': 'text/javascript' }
    await (await caches.open('shell')).put('/workers.js', new Response(planted, { headers }))
  }, PLANTED)
  for (const [client, path] of [
    [app.config.clientId, '/callback'],
    ['two', SECOND],
  ]) {
    const own = await app.open('/empty', page.context())
    await own.goto(
      `${app.provider.issuer}/auth?${new URLSearchParams({
        client_id: client,
        redirect_uri: app.site.origin + path,
        response_type: 'code',
        scope: 'openid',
        state: 'own',
        code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
        code_challenge_method: 'S256',
      })}`,
    )
    await giveConsent(own)
    await own.waitForURL((url) => url.pathname === path)
    await own.waitForLoadState()
  }
  const heard = await page.evaluate(async () => {
    // A message of this page follows those of the callback pages.
    new BroadcastChannel('planted').postMessage('end')
    while (!heard.includes('end')) await new Promise((resolve) => setTimeout(resolve, 10))
    return heard.filter((address) => address.includes('code='))
  })
  await page.context().close()
  return heard.map((address) => new URL(address).pathname)
}

const firstLines = (callbacks) => {
  const lines = guide.block('// public/first.js')
  assert.ok(lines.includes("CALLBACKS = ['/callback']"))
  return lines.replace("['/callback']", JSON.stringify(callbacks))
}
const TAKES_OVER = `addEventListener('activate', (event) => event.waitUntil(clients.claim()))`

// claim: callback-9
test('script reads its own code at neither of two callback pages', time, async () => {
  assert.deepEqual(await readAt(firstLines(['/callback', SECOND]) + CACHE_FIRST + TAKES_OVER), [])
})

// claim: callback-9
test('a control: script reads its own code at a page that the first lines do not name', time, async () => {
  assert.deepEqual(await readAt(firstLines(['/callback']) + CACHE_FIRST + TAKES_OVER), [SECOND])
})
