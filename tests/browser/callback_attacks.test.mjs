// Attacks of script in the app's origin on the response of a login that the script begins itself, with its own verifier
// (RFC 10017 5.1.3). One table says what script can read, for the headers of the callback page. The app's other pages
// have no policies, which are the best conditions for an attacker.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { giveConsent, startApp } from '../support/app.mjs'
import { CALLBACK_HEADERS, NO_HEADERS, useCallbackPage } from '../support/callback_page.mjs'
import { ownRequest } from '../support/own_request.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }

let app

// The provider is on the same site as the app, so browsers send its cookies also in frames.
const provider = { host: `id.${VAULT_HOSTS.app.split('.').slice(1).join('.')}`, accessTokenSeconds: 60 }
const config = { scope: 'openid profile orders', callbackPage: true }

before(async () => {
  app = await startApp({ config, site: { host: VAULT_HOSTS.app }, provider })
  app.site.pageCsp = ''
})
after(() => app?.close())

/** Serves the callback page with these headers, to an app with this kind of worker. */
function serve(headers, kind) {
  app.setConfig(kind === 'dedicated' ? { session: { persist: 'sealed' } } : {})
  useCallbackPage(app, { kind })
  for (const path of ['/index.html', '/empty.html']) {
    app.site.headers[path] = { 'Content-Security-Policy': null, 'Cross-Origin-Opener-Policy': null }
  }
  app.site.headers['/callback.html'] = { ...NO_HEADERS, ...headers }
}
afterEach(() => app.setConfig({}))

/** Signs in, so that the provider has a session. Resolves with a page of the app. */
async function signedIn() {
  const page = await app.open('/orders')
  await page.evaluate(() => boot)
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
  await page.evaluate(() => boot)
  return page
}

/** Returns the URL of the attacker's silent authorization request. */
const silentUrl = () => ownRequest(app, `${app.site.origin}/callback`).url

const codes = () =>
  app.ledger.entries.filter(({ kind }) => kind === 'authorization_code').map(({ value }) => value)

/** Resolves with all addresses that script can read of a window, until it has read one of the callback page. */
const READ = `
const read = (get) => {
  try {
    return get()
  } catch {
    return []
  }
}
const addressesOf = (target, place) =>
  read(() =>
    place === 'navigation entries'
      ? target.navigation.entries().map(({ url }) => url)
      : place === 'navigation.activation'
        ? [target.navigation.activation.entry.url]
        : place === 'performance'
          ? target.performance.getEntriesByType('navigation').map(({ name }) => name)
          : place === 'referrer'
            ? [target.document.referrer]
            : [target.location.href],
  ).join()
const look = (target, place, isOver) =>
  new Promise((resolve) => {
    const seen = new Set()
    const end = performance.now() + 4000
    const timer = setInterval(() => {
      const text = addressesOf(target(), place)
      if (text) seen.add(text)
      if (!/code=/.test(text) && !isOver?.() && performance.now() < end) return
      clearInterval(timer)
      resolve([...seen].join())
    }, 1)
  })
`

/** Attacks, each a function that runs in a page of the app. Each resolves with everything that script could read. */
const ATTACKS = {
  frame: (url) => {
    const frame = document.createElement('iframe')
    // Without scripts, the callback page cannot remove the response.
    frame.setAttribute('sandbox', 'allow-same-origin')
    frame.src = url
    document.body.append(frame)
    return look(() => frame.contentWindow, 'location')
  },
  popup: (url) => {
    const popup = open(url, '_blank', 'popup')
    return look(() => popup, 'location')
  },
  'navigation entries': (url) => {
    const popup = open(url, '_blank', 'popup')
    return look(() => popup, 'navigation entries')
  },
  'navigation.activation': (url) => {
    const popup = open(url, '_blank', 'popup')
    return look(() => popup, 'navigation.activation')
  },
  performance: (url) => {
    const popup = open(url, '_blank', 'popup')
    return look(() => popup, 'performance')
  },
}

/** Runs an attack in a page in which a user is signed in. Resolves with true if the script has read the new code. */
async function reads(page, place) {
  const before = new Set(codes())
  // The app's own script would remove the response at once.
  const release = app.site.override('/callback.js', { body: '' })
  try {
    const seen = place === 'opener' ? await byOpener(page) : await byPage(page, place)
    const [code] = codes().filter((one) => !before.has(one))
    assert.ok(code, 'the provider has issued a code')
    return seen.includes(code)
  } finally {
    release()
  }
}

async function byPage(page, place) {
  await page.addScriptTag({ content: READ })
  return page.evaluate(`(${ATTACKS[place]})(${JSON.stringify(silentUrl())})`)
}

/** The page opens a window, and then itself goes to the provider. The window looks at its opener. */
async function byOpener(page) {
  const [child] = await Promise.all([page.waitForEvent('popup'), page.evaluate(() => void open('/empty'))])
  await child.waitForLoadState()
  await child.addScriptTag({ content: READ })
  const looking = child.evaluate(`look(() => opener ?? self, 'location')`)
  await page.goto(silentUrl())
  return looking
}

const only = (...names) => Object.fromEntries(names.map((name) => [name, CALLBACK_HEADERS[name]]))

/** For each set of headers, the places in which script can read the code. */
const TABLE = {
  'no headers': [
    {},
    ['frame', 'popup', 'opener', 'navigation entries', 'navigation.activation', 'performance'],
  ],
  'frame-ancestors alone': [
    only('Content-Security-Policy'),
    ['popup', 'opener', 'navigation entries', 'navigation.activation', 'performance'],
  ],
  'COOP alone': [only('Cross-Origin-Opener-Policy'), ['frame']],
  'no-referrer and no-store alone': [
    only('Referrer-Policy', 'Cache-Control'),
    ['frame', 'popup', 'opener', 'navigation entries', 'navigation.activation', 'performance'],
  ],
  'the documented headers': [CALLBACK_HEADERS, []],
}

for (const [name, [headers, readable]] of Object.entries(TABLE)) {
  test(
    `silent login of script, ${name}: script reads the code in ${readable.join(', ') || 'no place'}`,
    time,
    async () => {
      serve(headers, 'shared')
      const found = []
      for (const place of [...Object.keys(ATTACKS), 'opener']) {
        const page = await signedIn()
        if (await reads(page, place)) found.push(place)
        await page.context().close()
      }
      assert.deepEqual(found.sort(), [...readable].sort())
    },
  )
}

/** Records what the package posts on its channels. Runs before the page's own script. */
function eavesdrop() {
  globalThis.overheard = []
  for (const name of ['strongroom', 'strongroom response']) {
    new BroadcastChannel(name).onmessage = ({ data }) => overheard.push(JSON.stringify(data))
  }
}

for (const kind of ['shared', 'dedicated']) {
  for (const name of ['no headers', 'the documented headers']) {
    test(`a login of the app leaves no code for later script: ${kind}, ${name}`, time, async () => {
      serve(TABLE[name][0], kind)
      const context = await app.browser.newContext()
      await context.addInitScript(eavesdrop)
      const listening = await app.open('/empty', context)
      const page = await app.open('/orders', context)
      await page.evaluate(() => boot)
      await page.evaluate(() => void auth.login().catch(() => {}))
      await giveConsent(page)
      await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
      await page.evaluate(() => boot)
      const seen = await page.evaluate(async () =>
        JSON.stringify([
          navigation.entries().map(({ url }) => url),
          [navigation.activation?.entry?.url, navigation.activation?.from?.url],
          performance.getEntries().map(({ name }) => name),
          document.referrer,
          (
            await Promise.all(
              (await caches.keys()).map((key) => caches.open(key).then((cache) => cache.keys())),
            )
          )
            .flat()
            .map(({ url }) => url),
          { ...localStorage, ...sessionStorage },
        ]),
      )
      const { value: code } = app.ledger.newest('authorization_code')
      assert.ok(!seen.includes(code), seen)
      const overheard = await listening.evaluate(() => overheard.join())
      assert.ok(!overheard.includes(code), overheard)
      await context.close()
    })
  }
}

const NETWORK_FIRST = (isExcluded) => `
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

for (const isExcluded of [false, true]) {
  test(
    `a network-first service worker and its cache: ${isExcluded ? 'no code' : 'the code, in spite of all headers'}`,
    time,
    async () => {
      serve(CALLBACK_HEADERS, 'shared')
      app.site.serviceWorkers.push('/sw.js')
      app.site.files['/sw.js'] = NETWORK_FIRST(isExcluded)
      const page = await app.open('/empty')
      await page.evaluate(async () => {
        const controlled = new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve))
        await navigator.serviceWorker.register('/sw.js')
        await controlled
      })
      await page.goto(`${app.site.origin}/orders`)
      await page.evaluate(() => boot)
      await page.evaluate(() => void auth.login().catch(() => {}))
      await giveConsent(page)
      await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
      const keys = await page.evaluate(async () => {
        const cache = await caches.open('pages')
        return (await cache.keys()).map(({ url }) => url).join()
      })
      assert.ok(keys.includes('/orders'))
      assert.equal(keys.includes(app.ledger.newest('authorization_code').value), !isExcluded)
      await page.context().close()
    },
  )
}
