// Tests of authorization requests and responses beyond the default code flow: pushed requests, responses in the
// fragment, the choice of an account, and the parameters that a page may and may not set.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { booted, call, giveConsent, signIn, signInByPopup, startApp, startLogin } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 60 } })
})
after(() => app?.close())
afterEach(() => app.setConfig({}))

const session = (page) => page.evaluate(() => auth.session)
const lastRequest = () => app.ledger.authorizationRequests().at(-1).parameters
/** Returns the query parameters of the URL to which the browser last navigated for a login. */
const lastQuery = () => app.ledger.authorizationRequests().at(-1).query
const login = (page, options) => page.evaluate((given) => settle(auth.login(given)), options)

test('a pushed request puts only a reference into the URL', time, async () => {
  app.setConfig({ par: true })
  const page = await app.open()
  const { value } = await signIn(page, { returnTo: '/inbox' })
  assert.deepEqual(value, { returnTo: '/inbox' })
  assert.deepEqual(Object.keys(lastQuery()).sort(), ['client_id', 'request_uri'])
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  await page.context().close()
})

test('a response in the fragment is removed from the URL and completes the login', time, async () => {
  app.setConfig({ responseMode: 'fragment' })
  const page = await app.open()
  const [seen, since] = [[], app.site.requests.length]
  page.on('framenavigated', (frame) => seen.push(frame.url()))
  const { value } = await signIn(page, { returnTo: '/inbox?a=1#top' })
  assert.deepEqual(value, { returnTo: '/inbox?a=1#top' })
  assert.equal(lastRequest().response_mode, 'fragment')
  assert.ok(seen.some((url) => /\/callback#.*code=/.test(url)))
  assert.equal(page.url(), `${app.site.origin}/callback`)
  // The code was only in the fragment, so the app's server has not received it.
  assert.ok(app.site.requests.slice(since).every(({ query }) => !query.includes('code=')))
  await page.context().close()
})

test('a response in the fragment of a popup', time, async () => {
  app.setConfig({ responseMode: 'fragment', par: true })
  const page = await app.open()
  const { value } = await signInByPopup(page)
  assert.equal(value.claims.sub, 'alice')
  await page.context().close()
})

test('select_account with another account replaces the user', time, async () => {
  const page = await app.open()
  await signIn(page)
  assert.equal((await session(page)).claims.sub, 'alice')
  const before = app.ledger.tokens('refresh_token').at(-1).family
  await signIn(page, { prompt: 'select_account' }, ACCOUNTS[1])
  assert.equal(lastRequest().prompt, 'select_account consent')
  assert.equal((await session(page)).claims.sub, 'bob')
  const { value } = await call(page, `${app.api.url}me`)
  assert.equal(JSON.parse(value.text).sub, 'bob')
  // The vault has revoked the first user's tokens, because it no longer has a session that uses them.
  assert.equal(app.ledger.familyRevoked(before), true)
  await page.context().close()
})

test(
  'loginHint, uiLocales, acrValues and maxAge reach the provider, and maxAge is checked',
  time,
  async () => {
    const page = await app.open()
    const wishes = { loginHint: 'alice', uiLocales: 'de fr', maxAge: 1000 }
    await startLogin(page, wishes)
    assert.equal(await page.inputValue('#username'), 'alice')
    const { login_hint, ui_locales, max_age } = lastRequest()
    assert.deepEqual(
      { login_hint, ui_locales, max_age },
      { login_hint: 'alice', ui_locales: 'de fr', max_age: '1000' },
    )
    await giveConsent(page)
    await page.waitForURL(/\/callback/)
    assert.deepEqual(await booted(page), { value: { returnTo: '/' } })
    await page.context().close()
  },
)

// claim: script-21
test('invalid and disallowed login parameters are refused', time, async () => {
  app.setConfig({ loginParams: ['display'], loginScopes: ['orders'] })
  const page = await app.open()
  await booted(page)
  const before = app.ledger.authorizationRequests().length
  for (const options of [
    { prompt: 'none login' },
    { prompt: 'password' },
    { params: { client_id: 'another' } },
    { params: { redirect_uri: 'https://evil.example/' } },
    { params: { state: 'x', display: 'popup' } },
    { params: { display: 1 } },
    { params: 'display=popup' },
    { scope: 'admin' },
    { mode: 'password' },
    { mode: 'device' },
    { maxAge: -1 },
    { maxAge: 1.5 },
  ]) {
    const { error } = await login(page, options)
    const code = options.mode === 'device' ? 'unsupported' : 'message_invalid'
    assert.equal(error.code, code, JSON.stringify(options))
  }
  assert.equal(app.ledger.authorizationRequests().length, before)
  await page.context().close()
})
