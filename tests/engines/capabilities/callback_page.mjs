/**
 * A callback page of its own (docs/callback-page.md): sessions that survive the page, sessions that do not, and what
 * script of the app's other pages can read of a login that it begins itself.
 */
import assert from 'node:assert/strict'
import { securityHeaders } from '../../../pkg/dist/headers.js'
import { readAddress } from '../../support/address_attacks.mjs'
import { callbackGroup, CONFIG, signIn } from '../../support/engines/callback.mjs'
import { poll, waitFor } from '../../support/engines/driver.mjs'
import { NO_HEADERS, NOTHING } from '../../support/callback_page.mjs'
import { ownRequest } from '../../support/own_request.mjs'
import { callbackTraces } from './callback_traces.mjs'

/** Returns true if the app runs in the document of the callback page. */
const isCallbackDocument = (tab) =>
  tab.evaluate(() => new URL(performance.getEntriesByType('navigation')[0].name).pathname === '/callback')

const ALICE = { value: { user: 'alice', code: null } }

const sealed = {
  name: 'callback page: the browser continues to the app if the session is sealed',
  async see({ visit }) {
    const { tab } = await visit('/orders')
    assert.deepEqual(await signIn(tab), ALICE)
    assert.equal(await isCallbackDocument(tab), false)
  },
}

const inMemory = {
  // claim: callback-6
  name: 'callback page: the app starts in the same document if the session is in memory',
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    assert.deepEqual(await signIn(tab), ALICE)
    assert.equal(await isCallbackDocument(tab), true)
    assert.equal(
      await tab.evaluate((url) => auth.fetch(url).then(({ status }) => status), `${app.api.url}orders`),
      200,
    )
  },
}

/** Sets the page's `seen` to the promise of `readAddress()`. Runs in a page whose policy may forbid `eval()`. */
const look = `(...given) => void (globalThis.seen = (${readAddress})(...given))`

/** Lets a click do this. */
const lookOnClick = `(...given) => {
  const button = document.createElement('button')
  button.textContent = 'Attack'
  button.onclick = () => (${look})(...given)
  document.body.replaceChildren(button)
}`

/** Lets a click open an address, or a document of the script's own. Runs in a page. */
function openOnClick(address) {
  const blob = new Blob(['<!doctype html><title>Attack</title><body></body>'], { type: 'text/html' })
  const button = document.createElement('button')
  button.textContent = 'Open'
  button.onclick = () => void open(address || URL.createObjectURL(blob))
  document.body.replaceChildren(button)
}

/** The time in milliseconds in which script reads an address that it can read, even on a slow machine. */
const LIMIT = 30_000

async function clickAndLook(tab, url, way) {
  await tab.evaluate(lookOnClick, way, url, LIMIT)
  await tab.click('button')
  return tab
}

async function opened(tab, address) {
  await tab.evaluate(openOnClick, address)
  return tab.session.openedBy(() => tab.click('button'))
}

/** Ways to attack that need more than a click on the attacker's page. Each resolves with the page that looks. */
const SCENES = {
  async opener(tab, url) {
    const child = await opened(tab, '/empty')
    await child.evaluate(look, 'opener', '', LIMIT)
    await tab.goto(url)
    return child
  },
  'blob popup': async (tab, url) => clickAndLook(await opened(tab, ''), url, 'popup'),
  async history(tab, url) {
    await tab.goto(url)
    await tab.back()
    await tab.evaluate(look, 'history', '', LIMIT)
    return tab
  },
}

/** Ways in which script must have shown the response, because no policy forbids it. */
const SHOWN = ['popup', 'opener', 'history']

/**
 * An attack: script of a page opens the response to its own login. Resolves when the script begins to look. `places()` then
 * resolves with the places in which the script has read the address, such as `popup location`. `stop()` lets the script look
 * a last time.
 */
async function attack(app, open, way, { from = '/empty', to = '/callback' } = {}) {
  const { url, state } = ownRequest(app, app.site.origin + to)
  const tab = await open(from)
  const reader = await (SCENES[way] ?? clickAndLook)(tab, url, way)
  await waitFor(reader, () => Boolean(globalThis.hasBegun))
  const isShown = () =>
    app.site.requests.some(({ query }) => query.includes('code=') && query.includes(state))
  if (SHOWN.includes(way)) await poll(isShown, `${way}: the provider has issued a code`)
  return {
    way,
    stop: () => reader.evaluate(() => void (globalThis.isOver = true)),
    async places() {
      const seen = await reader.evaluate(() => globalThis.seen)
      for (const each of new Set([reader, tab])) await each.close()
      return Object.keys(seen)
        .filter((place) => seen[place].includes(state))
        .map((place) => `${way} ${place}`)
    },
  }
}

/**
 * The controls: page and callback page have no headers, so script reads the response to its own login, in a frame and in a
 * popup. Resolves when the script has read both addresses.
 */
async function controls(app, open) {
  const release = app.site.override('/', { body: 'A control', headers: NOTHING })
  for (const way of ['frame', 'popup']) {
    const { places } = await attack(app, open, way, { from: '/plain', to: '/' })
    assert.ok((await places()).length, `a control: ${way}`)
  }
  release()
}

/**
 * Resolves with the places in which script on `/empty` reads the address of a response to its own login. Attacks that may
 * read nothing end when controls that began later have read their addresses.
 */
async function readable(app, open, ways, expected) {
  const attacks = []
  for (const way of ways) attacks.push(await attack(app, open, way))
  const others = attacks.filter(({ way }) => !expected.includes(way))
  if (others.length) await controls(app, open)
  for (const { stop } of others) await stop()
  const found = []
  for (const { places } of attacks) found.push(...(await places()))
  return found
}

/** Asserts that script reads the address in these windows, and in no other. */
async function assertReadable(app, open, name, ways, windows) {
  const found = await readable(app, open, ways, windows)
  // Each engine has these two places of a window. Without a header, script reads the code there.
  const places = windows.flatMap((window) => [`${window} location`, `${window} performance`])
  const others = found.filter((place) => !windows.some((window) => place.startsWith(`${window} `)))
  assert.deepEqual(
    { name, missing: places.filter((place) => !found.includes(place)), others },
    { name, missing: [], others: [] },
  )
}

/** The generated headers of the app's pages. */
const pageHeaders = (app) =>
  securityHeaders(
    { ...CONFIG, issuer: app.provider.issuer, apis: [{ url: app.api.url }], redirectUri: '/callback' },
    { origin: app.site.origin, worker: '/auth.worker.js' },
  ).page

/** Serves `/empty`, on which the attacks run, with the generated headers while `use` runs. */
async function withPageHeaders(app, use) {
  const { headers } = app.site
  const former = headers['/empty.html']
  headers['/empty.html'] = pageHeaders(app)
  await use()
  headers['/empty.html'] = former
}

/** For each set of headers, the windows whose addresses script can read. */
const WINDOWS = {
  documented: [],
  none: ['frame', 'popup', 'opener'],
  'Referrer-Policy, Cache-Control': ['frame', 'popup', 'opener'],
  'Content-Security-Policy': ['popup', 'opener'],
  'Cross-Origin-Opener-Policy': ['frame'],
}

const attacks = {
  // claim: callback-1, callback-2
  name: 'callback page: script reads no response of its own login, by a frame, a popup or an opener',
  timeout: 180_000,
  async see({ app, visit }) {
    const { tab, another } = await visit('/orders')
    await signIn(tab)
    // The callback page's script would remove the response at once.
    const release = app.site.override('/callback.js', { body: '' })
    const { '/callback.html': documented } = app.site.headers
    for (const [name, windows] of Object.entries(WINDOWS)) {
      const alone = { ...NO_HEADERS }
      for (const header of name.split(', ').filter((known) => known in alone))
        alone[header] = documented[header]
      app.site.headers['/callback.html'] = name === 'documented' ? documented : alone
      await assertReadable(app, another, name, ['frame', 'popup', 'opener'], windows)
    }
    app.site.headers['/callback.html'] = documented
    release()
  },
}

const report = {
  // claim: callback-3
  name: 'callback page: on a page without frame-src, the report of a policy tells script its address',
  async see({ app, visit }) {
    const { tab, another } = await visit('/orders')
    await signIn(tab)
    const found = await readable(app, another, ['report'], [])
    await withPageHeaders(app, () => assertReadable(app, another, 'generated', ['report'], []))
    return found.length ? 'yes' : 'no'
  },
}

/** Serves an error page without headers for the callback page while `use` runs. */
async function withErrorPage(app, use) {
  const answer = { status: 414, headers: NOTHING, body: '<h1>414 Request-URI Too Large</h1>' }
  const release = app.site.override('/callback', answer)
  await use()
  release()
}

const errorPages = {
  // claim: callback-4
  name: 'callback page: with the headers of the app’s pages, script reads no response at an error page, by a frame, a report, a popup or an opener',
  timeout: 240_000,
  async see({ app, visit }) {
    const { tab, another } = await visit('/orders')
    await signIn(tab)
    const ways = ['frame', 'nested frame', 'popup', 'opener', 'blob popup']
    await withErrorPage(app, async () => {
      await assertReadable(app, another, 'none', ways, ways)
      await withPageHeaders(app, () =>
        assertReadable(app, another, 'generated', [...ways, 'report', 'embed'], []),
      )
    })
  },
}

const goingBack = {
  // claim: callback-4
  name: 'callback page: a user who goes back from an error page tells script its address',
  async see({ app, visit }) {
    const { tab, another } = await visit('/orders')
    await signIn(tab)
    let found
    // The headers of the app's pages change nothing here (tests/browser/callback_attacks.test.mjs).
    await withErrorPage(app, async () => (found = await readable(app, another, ['history'], [])))
    return found.length ? 'yes' : 'no'
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const callbackPage = [
  callbackGroup('callback page, sealed', { session: { persist: 'sealed' } }, [
    sealed,
    attacks,
    report,
    errorPages,
    goingBack,
  ]),
  callbackGroup('callback page, in memory', {}, [inMemory]),
  ...callbackTraces,
]
