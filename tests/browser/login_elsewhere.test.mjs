// A login that another site begins (OpenID Connect Core 1.0 4) needs no code of the app. No other site can switch the
// user, sign in a user who has signed out, or choose where the login leads.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { giveConsent, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

const [ALICE, BOB] = ACCOUNTS

let app

const PAGE = `
import '/tools.js'
globalThis.auth = createAuth(
  { shared: create.shared },
  { resume: new URL(location.href).searchParams.has('resume') ? 'redirect' : undefined },
)
const script = new URL(location.href).searchParams
if (script.has('guard')) globalThis.guarded = settle(auth.requireSession({ returnTo: location.href }))
if (script.has('fresh')) globalThis.login = settle(auth.login({ maxAge: 0 }))
globalThis.stop = auth.subscribe((state) => (globalThis.connected = state.status === 'connected'))
`

before(async () => {
  app = await startApp({ config: { initiateLoginUri: '/start' } })
  for (const path of ['/start', '/orders']) app.site.routes[path] = '/index.html'
  app.site.files['/page.js'] = PAGE
})
after(() => app?.close())

const trips = () => app.ledger.authorizationRequests().length

/** Returns the address that a portal opens. */
const start = (parameters = {}) =>
  '/start?' + new URLSearchParams({ iss: app.provider.issuer, ...parameters })

/** Opens an address of the app, which may lead to the provider. */
async function visit(path, context) {
  const page = await (context ?? (await app.browser.newContext())).newPage()
  page.setDefaultTimeout(15_000)
  page.warnings = []
  page.on('console', (message) => message.type() === 'warning' && page.warnings.push(message.text()))
  await page.goto(app.site.origin + path)
  return page
}

const connected = (page) => page.waitForFunction(() => globalThis.connected)

/** Returns the address and the state of a page that has connected. */
async function seen(page) {
  await connected(page)
  return page.evaluate(() => ({
    address: location.pathname + location.search,
    user: auth.state.session?.claims.sub ?? null,
    error: auth.state.error?.code ?? null,
  }))
}

/** Signs in at the portal's address. */
async function signedIn(user = ALICE, parameters = { target_link_uri: '/orders?page=2' }) {
  const page = await visit(start(parameters))
  await giveConsent(page, user)
  await page.waitForURL((url) => url.origin === app.site.origin)
  await page.waitForFunction(() => globalThis.auth?.state.session)
  return page
}

test('a portal signs the user in, with its hint, and the app opens its target', time, async () => {
  const before = trips()
  const hint = { login_hint: BOB.username, target_link_uri: `${app.site.origin}/orders?page=2` }
  const page = await signedIn(BOB, hint)
  assert.deepEqual(await seen(page), { address: '/orders?page=2', user: BOB.username, error: null })
  assert.equal(trips() - before, 1)
  assert.equal(app.ledger.authorizationRequests().at(-1).parameters.login_hint, BOB.username)
  await page.context().close()
})

// claim: site-8
test('a session is kept, and its user is not switched', time, async () => {
  const page = await signedIn()
  const before = trips()
  const other = await visit(start({ login_hint: BOB.username, target_link_uri: '/orders' }), page.context())
  assert.deepEqual(await seen(other), { address: '/orders', user: ALICE.username, error: null })
  assert.equal(trips(), before)
  await page.context().close()
})

// claim: site-8
test('after a sign-out the app waits for a click', time, async () => {
  const page = await signedIn()
  await page.evaluate(() => auth.logout())
  const before = trips()
  const other = await visit(start({ target_link_uri: '/orders' }), page.context())
  assert.deepEqual(await seen(other), { address: '/orders', user: null, error: null })
  // The guard has decided when the module that it needs is loaded.
  await other.evaluate(() => auth.requireSession())
  assert.equal(trips(), before)
  await other.evaluate(() => void auth.login())
  await other.waitForSelector('#username, button[value=allow]')
  await page.context().close()
})

leftOut('a target outside the app is dropped, with a warning', time, async () => {
  const page = await signedIn()
  const other = await visit(start({ target_link_uri: 'https://evil.test/' }), page.context())
  assert.deepEqual(await seen(other), { address: '/', user: ALICE.username, error: null })
  assert.match(other.warnings.join('\n'), /target_link_uri is not a page of this app/)
  await page.context().close()
})

leftOut('a guard of the page shares the login, with hint and target', time, async () => {
  const before = trips()
  const hint = { login_hint: BOB.username, target_link_uri: '/orders', guard: '' }
  const page = await signedIn(BOB, hint)
  assert.deepEqual(await seen(page), { address: '/orders', user: BOB.username, error: null })
  assert.equal(trips() - before, 1)
  assert.equal(app.ledger.authorizationRequests().at(-1).parameters.login_hint, BOB.username)
  await page.context().close()
})

leftOut('a login that the app demands is not taken for finished', time, async () => {
  const page = await signedIn()
  await page.evaluate(() => void auth.login({ maxAge: 0 }))
  await giveConsent(page)
  await page.waitForURL((url) => url.origin === app.site.origin)
  await page.waitForFunction(() => globalThis.auth?.state.session)
  const before = trips()
  await page.goto(app.site.origin + start({ target_link_uri: '/orders', fresh: '' }))
  await page.waitForSelector('#username, button[value=allow]')
  assert.equal(trips() - before, 1)
  await page.context().close()
})

leftOut('another issuer begins no login, and its parameters leave the URL', time, async () => {
  const before = trips()
  const page = await visit(start({ iss: 'https://evil.test', target_link_uri: '/orders', own: '1' }))
  assert.deepEqual(await seen(page), { address: '/start?own=1', user: null, error: 'issuer_mismatch' })
  assert.equal(trips(), before)
  await page.context().close()
})

// claim: site-8
test('a fourth login within a minute does not begin', time, async () => {
  const page = await visit('/')
  await connected(page)
  const before = trips()
  for (const count of [1, 2, 3]) {
    await page.goto(app.site.origin + start({ target_link_uri: '/orders' }))
    await page.waitForSelector('#username')
    assert.equal(trips() - before, count)
  }
  await page.goto(app.site.origin + start({ target_link_uri: '/orders' }))
  assert.deepEqual(await seen(page), { address: '/orders', user: null, error: null })
  await page.evaluate(() => auth.requireSession())
  assert.equal(trips() - before, 3)
  await page.context().close()
})

// claim: site-8
test('a page in a frame begins no login', time, async () => {
  const before = trips()
  app.site.pageCsp += "; frame-src 'self'"
  app.site.routes['/framing'] = '/framing.html'
  app.site.files['/framing.html'] =
    `<!doctype html><title>Frame</title><iframe src="${start({ target_link_uri: '/orders' }).replaceAll('&', '&amp;')}"></iframe>`
  const page = await visit('/framing')
  const frame = await (await page.waitForSelector('iframe')).contentFrame()
  await frame.waitForFunction(() => globalThis.connected)
  await frame.evaluate(() => auth.connect())
  assert.equal(await frame.evaluate(() => location.pathname), '/orders')
  assert.equal(trips(), before)
  await page.context().close()
})

leftOut('with resume, the login is not a silent one', time, async () => {
  const before = trips()
  const page = await visit(start({ target_link_uri: '/orders', resume: '' }))
  await page.waitForSelector('#username')
  assert.equal(trips() - before, 1)
  assert.equal(app.ledger.authorizationRequests().at(-1).parameters.prompt, 'consent')
  await page.context().close()
})

leftOut('with resume, a code of the app does not keep from a silent login', time, async () => {
  const before = trips()
  const page = await visit('/orders?resume&code=invitation')
  await connected(page)
  assert.equal(trips() - before, 1)
  assert.equal(app.ledger.authorizationRequests().at(-1).parameters.prompt, 'none')
  await page.context().close()
})

leftOut('with resume, an own parameter iss does not keep from a silent login', time, async () => {
  const before = trips()
  const page = await visit('/orders?resume&iss=own')
  await connected(page)
  assert.equal(trips() - before, 1)
  await page.context().close()
})

leftOut('other parameters are ignored, also state', time, async () => {
  const page = await visit(start({ target_link_uri: '/orders', state: 'x' }))
  await page.waitForSelector('#username')
  await page.context().close()
})

leftOut('other addresses with iss are the app’s own', time, async () => {
  const before = trips()
  app.site.routes['/callback'] = '/index.html'
  const parameters = { iss: app.provider.issuer, target_link_uri: '/x' }
  for (const own of [
    '/?' + new URLSearchParams(parameters),
    '/orders?' + new URLSearchParams(parameters),
    '/callback?' + new URLSearchParams(parameters),
    '/callback?state=own',
  ]) {
    const page = await visit(own)
    assert.deepEqual(await seen(page), { address: own, user: null, error: null }, own)
    await page.context().close()
  }
  assert.equal(trips(), before)
})
