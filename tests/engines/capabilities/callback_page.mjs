/**
 * A callback page of its own (docs/callback-page.md): sessions that survive the page, sessions that do not, and what
 * script of the app's other pages can read of a login that it begins itself.
 */
import assert from 'node:assert/strict'
import { securityHeaders } from '../../../pkg/dist/headers.js'
import { readAddress } from '../../support/address_attacks.mjs'
import { callbackGroup, CONFIG, signIn } from '../../support/engines/callback.mjs'
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

/** Lets a click run `readAddress()`. Runs in a page, whose policy may forbid `eval()`. */
const begin = `(...given) => {
  const button = document.createElement('button')
  button.textContent = 'Attack'
  button.onclick = () => (globalThis.seen = (${readAddress})(...given))
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

async function clickAndRead(tab, ...given) {
  await tab.evaluate(begin, ...given)
  await tab.click('button')
  return tab.evaluate(() => globalThis.seen)
}

async function opened(tab, address) {
  await tab.evaluate(openOnClick, address)
  return tab.session.openedBy(() => tab.click('button'))
}

/** Ways to attack that need more than one page of the attacker. */
const SCENES = {
  async opener(tab, url, limit) {
    const child = await opened(tab, '/empty')
    const looking = child.evaluate(readAddress, 'opener', '', limit)
    await tab.goto(url)
    const seen = await looking
    await child.close()
    return seen
  },
  async 'blob popup'(tab, url, limit) {
    const child = await opened(tab, '')
    const seen = await clickAndRead(child, 'popup', url, limit)
    await child.close()
    return seen
  },
  async history(tab, url, limit) {
    await tab.goto(url)
    await tab.back()
    return tab.evaluate(readAddress, 'history', '', limit)
  },
}

/** Ways in which script must have shown the response, because no policy forbids it. */
const SHOWN = ['popup', 'opener', 'history']

/**
 * Resolves with the places in which script on `/empty` reads the address of a response to its own login, such as
 * `popup location`.
 */
async function readable(app, tab, ways, expected) {
  const found = []
  for (const way of ways) {
    const { url, state } = ownRequest(app, `${app.site.origin}/callback`)
    // A slow machine must not hide what script can read.
    const limit = expected.includes(way) ? 20_000 : 4000
    await tab.goto(`${app.site.origin}/empty`)
    const seen = await (SCENES[way]?.(tab, url, limit) ?? clickAndRead(tab, way, url, limit))
    const isShown = app.site.requests.some(({ query }) => query.includes('code=') && query.includes(state))
    assert.ok(isShown || !SHOWN.includes(way), `${way}: the provider has issued a code`)
    const places = Object.keys(seen).filter((place) => seen[place].includes(state))
    found.push(...places.map((place) => `${way} ${place}`))
  }
  await tab.goto(`${app.site.origin}/orders`)
  return found
}

/** Asserts that script reads the address in these windows, and in no other. */
async function assertReadable(app, tab, name, ways, windows) {
  const found = await readable(app, tab, ways, windows)
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
  name: 'callback page: script reads no response of its own login, by a frame, a popup or an opener',
  timeout: 180_000,
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    await signIn(tab)
    // The callback page's script would remove the response at once.
    const release = app.site.override('/callback.js', { body: '' })
    const { '/callback.html': documented } = app.site.headers
    for (const [name, windows] of Object.entries(WINDOWS)) {
      const alone = { ...NO_HEADERS }
      for (const header of name.split(', ').filter((known) => known in alone))
        alone[header] = documented[header]
      app.site.headers['/callback.html'] = name === 'documented' ? documented : alone
      await assertReadable(app, tab, name, ['frame', 'popup', 'opener'], windows)
    }
    app.site.headers['/callback.html'] = documented
    release()
  },
}

const report = {
  name: 'callback page: on a page without frame-src, the report of a policy tells script its address',
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    await signIn(tab)
    const found = await readable(app, tab, ['report'], [])
    await withPageHeaders(app, () => assertReadable(app, tab, 'generated', ['report'], []))
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
  name: 'callback page: with the headers of the app’s pages, script reads no response at an error page, by a frame, a report, a popup or an opener',
  timeout: 240_000,
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    await signIn(tab)
    const ways = ['frame', 'nested frame', 'popup', 'opener', 'blob popup']
    await withErrorPage(app, async () => {
      await assertReadable(app, tab, 'none', ways, ways)
      await withPageHeaders(app, () =>
        assertReadable(app, tab, 'generated', [...ways, 'report', 'embed'], []),
      )
    })
  },
}

const goingBack = {
  name: 'callback page: a user who goes back from an error page tells script its address',
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    await signIn(tab)
    let found
    // The headers of the app's pages change nothing here (tests/browser/callback_attacks.test.mjs).
    await withErrorPage(app, async () => (found = await readable(app, tab, ['history'], [])))
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
