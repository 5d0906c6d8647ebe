// Attacks of script in the app's origin on the response of a login that the script begins itself, with its own verifier
// (RFC 10017 5.1.3). A table says what script can read of an error page in place of the callback page; for the callback
// page, capabilities/callback_page.mjs of the engines says it. Pages without policies are the best conditions for an
// attacker.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { readAddress } from '../support/address_attacks.mjs'
import { giveConsent, startApp, waitUntil } from '../support/app.mjs'
import {
  CALLBACK_HEADERS,
  NO_HEADERS,
  NOTHING,
  PAGE_HEADERS,
  useCallbackPage,
} from '../support/callback_page.mjs'
import { ALL } from '../support/combinations.mjs'
import { eavesdrop, readTraces } from '../support/callback_traces.mjs'
import { expression, poll } from '../support/engines/driver.mjs'
import { ownRequest } from '../support/own_request.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }

/** The time in milliseconds in which script reads a code that it can read, even on a slow machine. */
const LIMIT = 30_000

let app

// The provider is on the same site as the app, so browsers send its cookies also in frames.
const provider = { host: `id.${VAULT_HOSTS.app.split('.').slice(1).join('.')}`, accessTokenSeconds: 60 }
const config = { scope: 'openid profile orders', callbackPage: true }

before(async () => {
  app = await startApp({ config, site: { host: VAULT_HOSTS.app }, provider })
  app.site.pageCsp = ''
  // A page of the app's origin without headers, such as an error page.
  app.site.files['/plain.html'] = 'Not found'
  app.site.headers['/plain.html'] = NOTHING
  app.site.routes['/plain'] = '/plain.html'
})
after(() => app?.close())

/**
 * Serves the callback page with these headers, to an app with this kind of worker. `pages` has the headers of the page on
 * which the attacks run.
 */
function serve(headers, kind, pages = {}) {
  app.setConfig(kind === 'dedicated' ? { session: { persist: 'sealed' } } : {})
  useCallbackPage(app, { kind })
  app.site.headers['/index.html'] = NOTHING
  app.site.headers['/empty.html'] = { ...NOTHING, ...pages }
  app.site.headers['/callback.html'] = { ...NO_HEADERS, ...headers }
}
afterEach(() => app.setConfig({}))

/** Signs in by redirect, in a page of the app. */
async function logIn(page) {
  await page.evaluate(() => boot)
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
  await page.evaluate(() => boot)
}

/** Lists the ways in which script reads a code, in the name of a test. */
const listed = (ways) => ways.join(', ') || 'no way'

/** Ways in which script must have shown the response, because no policy forbids it. */
const SHOWN = ['popup', 'opener', 'history']

/**
 * Script of the page at `from` shows the response of its own silent login, in the way of this name (see `readAddress()`).
 * Resolves when the script has begun to read. `places` then resolves with the places in which the script has read the
 * code, and `stop()` lets the script read a last time.
 */
async function attack(context, way, { from = '/empty', to = '/callback' } = {}) {
  const { url, state } = ownRequest(app, app.site.origin + to)
  const page = await context.newPage()
  const begin = async (where, name, address) => {
    const seen = where.evaluate(expression(readAddress, [name, address, LIMIT]))
    const places = seen.then((texts) => Object.keys(texts).filter((place) => texts[place].includes(state)))
    places.catch(() => {})
    await waitUntil(where, () => Boolean(globalThis.hasBegun))
    return { way, places, stop: () => where.evaluate(() => void (globalThis.isOver = true)) }
  }
  const opened = (address) =>
    Promise.all([page.waitForEvent('popup'), page.evaluate(expression(openWindow, [address]))])
  await page.goto(app.site.origin + from)
  const ways = {
    /** The page goes to the provider, and a window that it has opened looks at it. */
    async opener() {
      const [child] = await opened('/empty')
      await child.waitForURL('**/empty')
      const begun = await begin(child, 'opener')
      await page.goto(url)
      return begun
    },
    async history() {
      await page.goto(url)
      await page.goBack()
      return begin(page, 'history')
    },
  }
  /** Attacks in a document of the script's own, which has no response with headers. */
  const blob = async (name) => {
    const [child] = await opened('')
    await child.waitForURL('blob:**')
    return begin(child, name, url)
  }
  const [, inBlob] = /^blob (.*)/.exec(way) ?? []
  const begun = await (inBlob ? blob(inBlob) : (ways[way]?.() ?? begin(page, way, url)))
  const isShown = () =>
    app.site.requests.some(
      ({ path, query }) => path === to && query.includes('code=') && query.includes(state),
    )
  if (SHOWN.includes(way)) await poll(isShown, `${way}: the provider has issued a code`)
  return begun
}

/** Opens an address, or a document of the script's own. Runs in a page. */
function openWindow(address) {
  const blob = new Blob(['<!doctype html><title>Attack</title><body></body>'], { type: 'text/html' })
  open(address || URL.createObjectURL(blob))
}

/** Places in which script that has a reference to a window can read the window's address. */
const PLACES = ['location', 'navigation entries', 'navigation.activation', 'performance']

let signedIn

/** Resolves with a new context in which a user has signed in. The provider then has a session. */
async function contextOfUser() {
  if (!signedIn) {
    const context = await app.browser.newContext()
    await logIn(await app.open('/orders', context))
    signedIn = await context.storageState()
    await context.close()
  }
  return app.browser.newContext({ storageState: signedIn })
}

/**
 * Controls: script of a page without headers reads the response of its own silent login, which comes to another page
 * without headers. Resolves when script has read the code.
 */
async function assertNoticed(context) {
  const release = app.site.override('/', { body: 'A control', headers: NOTHING })
  const controls = await Promise.all(
    ['frame', 'popup'].map((way) => attack(context, way, { from: '/plain', to: '/' })),
  )
  for (const { way, places } of controls) assert.deepEqual((await places).sort(), [...PLACES].sort(), way)
  release()
}

/**
 * Signs a user in, replaces the file of this path, and runs the attacks. Asserts that script reads the code in these ways,
 * and in no other. The other attacks end when controls that began later have read their codes.
 */
async function assertReadable(ways, readable, path, replacement) {
  const context = await contextOfUser()
  const release = app.site.override(path, replacement)
  const attacks = await Promise.all(ways.map((way) => attack(context, way)))
  const others = attacks.filter(({ way }) => !readable.includes(way))
  if (others.length) await assertNoticed(context)
  for (const { stop } of others) await stop()
  const found = await Promise.all(attacks.map(async ({ way, places }) => [way, await places]))
  release()
  await context.close()
  const read = found.filter(([, places]) => places.length)
  assert.deepEqual(read.map(([way]) => way).sort(), [...readable].sort())
  for (const [way, places] of read) {
    if (/frame|popup|opener/.test(way)) assert.deepEqual(places.sort(), [...PLACES].sort(), way)
  }
}

const WAYS = ['frame', 'report', 'popup', 'opener']

/** Error pages at the address of the callback page, which have no headers of the app. */
const ERRORS = {
  // claim: callback-4
  '414 of the server': { status: 414, body: '<h1>414 Request-URI Too Large</h1>' },
  // claim: callback-4
  '403 of a firewall': { status: 403, body: '<h1>403 Forbidden</h1>' },
}

const ALL_WAYS = [...WAYS, 'embed', 'nested frame', 'history', 'blob popup', 'blob frame']
const BY_WINDOW = ['popup', 'opener', 'blob popup']
const BY_FRAME = ['frame', 'report', 'embed', 'nested frame', 'blob frame']
const { 'Content-Security-Policy': NO_FRAMES, ...COOP } = PAGE_HEADERS

/** For each set of headers of the app's pages, the ways in which script reads the code of an error page. */
const PAGES = {
  // claim: callback-4
  'COOP alone': [() => COOP, BY_FRAME],
  // claim: callback-4
  'no frames alone': [() => ({ 'Content-Security-Policy': NO_FRAMES }), BY_WINDOW],
  'the documented headers': [() => PAGE_HEADERS, []],
  // claim: callback-4
  'COOP and frames of the own origin': [
    () => ({ ...COOP, 'Content-Security-Policy': "frame-src 'self'; object-src 'none'" }),
    ['nested frame'],
  ],
  // claim: callback-4
  'COOP and frames of the provider': [
    () => ({ ...COOP, 'Content-Security-Policy': `frame-src ${app.provider.issuer}; object-src 'none'` }),
    ['report'],
  ],
  // claim: callback-5
  'the generated headers': [() => generated(), []],
  // claim: callback-5
  'the generated headers of allowPopups': [() => generatedFor('popups'), ['popup', 'blob popup']],
}

const generated = () => generatedFor('page')

/** Returns the generated headers of pages that keep references to windows (`popups`), or of the others (`page`). */
const generatedFor = (kind) =>
  securityHeaders(
    {
      issuer: app.provider.issuer,
      apis: [{ url: app.api.url }],
      redirectUri: '/callback',
      callbackPage: true,
    },
    { origin: app.site.origin, worker: '/auth.worker.js', allowPopups: ['/checkout'] },
  )[kind]

for (const [name, [headers, readable]] of Object.entries(PAGES)) {
  for (const [error, answer] of Object.entries(ERRORS).slice(0, ALL ? 2 : 1)) {
    test(`${error}, pages with ${name}: script reads the code by ${listed(readable)}`, time, async () => {
      serve(CALLBACK_HEADERS, 'shared', headers())
      // No header keeps the address out of the window's history.
      const ways = [...readable, 'history']
      await assertReadable(ALL_WAYS, ways, '/callback', { ...answer, headers: NOTHING })
    })
  }
}

/** Responses of the app's origin that may lack its headers, by path. */
const RESPONSES = {
  '/missing': { status: 404, body: '<h1>404 Not Found</h1>', type: 'text/html' },
  '/error': { status: 502, body: '<h1>502 Bad Gateway</h1>', type: 'text/html' },
  '/icon.png': { body: Buffer.from('iVBORw0KGgo=', 'base64'), type: 'image/png' },
  '/robots.txt': { body: 'User-agent: *', type: 'text/plain' },
  '/manifest.json': { body: '{}', type: 'application/json' },
}

const WINDOWS = { 'the generated headers': 'page', 'the generated headers of allowPopups': 'popups' }

for (const [name, kind] of Object.entries(WINDOWS)) {
  const inWindows = Object.keys(RESPONSES).map((path) => `report in a window at ${path}`)
  const readable = kind === 'popups' ? inWindows : []
  test(
    // claim: callback-5
    `responses without headers, pages with ${name}: script reads the code in ${readable.length} windows`,
    time,
    async () => {
      serve(CALLBACK_HEADERS, 'shared', generatedFor(kind))
      for (const [path, { type, ...response }] of Object.entries(RESPONSES)) {
        app.site.override(path, { ...response, headers: { ...NOTHING, 'Content-Type': type } })
      }
      await assertReadable([...WAYS, ...inWindows], readable, '/callback.js', { body: '' })
    },
  )
}

for (const kind of ['shared', 'dedicated']) {
  // claim: callback-6
  test(`a login of the app leaves no code for later script: ${kind}, no headers`, time, async () => {
    serve({}, kind)
    const context = await app.browser.newContext()
    await context.addInitScript(eavesdrop)
    const listening = await app.open('/empty', context)
    const page = await app.open('/orders', context)
    await logIn(page)
    const seen = await page.evaluate(readTraces)
    const { value: code } = app.ledger.newest('authorization_code')
    assert.ok(!seen.includes(code), seen)
    const overheard = await listening.evaluate(() => overheard.join())
    assert.ok(!overheard.includes(code), overheard)
    await context.close()
  })
}
