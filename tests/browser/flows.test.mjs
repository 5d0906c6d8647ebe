// A session in a real browser from start to end. The page's view is compared with the records of the provider and the
// API.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { booted, call, giveConsent, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** Lifetime of an access token in seconds. */
const LIFETIME = 4

let app
let orders

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: LIFETIME } })
  orders = `${app.api.url}orders`
})
after(() => app?.close())
beforeEach(() => {
  app.api.clear()
  app.provider.settings.accessTokenSeconds = LIFETIME
})

const session = (page) => page.evaluate(() => auth.session)

test('login by redirect: session, clean URL, returnTo', time, async () => {
  const page = await app.open('/?tab=2#part')
  const outcome = await signIn(page, { loginHint: 'alice', returnTo: '/inbox?open=7#top' })
  assert.deepEqual(outcome, { value: { returnTo: '/inbox?open=7#top' } })
  assert.equal(page.url(), `${app.site.origin}/callback`)
  const { claims, scopes, state, startedAt, expiresAt, idleExpiresAt, accessTokenExpiresAt } =
    await session(page)
  assert.equal(claims.sub, 'alice')
  assert.ok(scopes.includes('orders'))
  assert.equal(state, 'active')
  assert.ok(Math.abs(Date.now() - startedAt) < 30_000)
  assert.ok(
    startedAt < accessTokenExpiresAt && accessTokenExpiresAt < idleExpiresAt && idleExpiresAt < expiresAt,
  )
})

test('returnTo defaults to the page’s URL', time, async () => {
  const page = await app.open('/?a=1&b=%20x#part')
  const { value } = await signIn(page)
  assert.deepEqual(value, { returnTo: '/?a=1&b=%20x#part' })
})

test('a page with a long address can sign in, and comes back to it', time, async () => {
  const address = `/?filter=${'a'.repeat(6000)}#part`
  const page = await app.open(address)
  const { value } = await signIn(page)
  assert.deepEqual(value, { returnTo: address })
})

test('a page with an address above the limit comes back to its path', time, async () => {
  const page = await app.open('/')
  await page.evaluate(() => history.replaceState(null, '', `/?filter=${'a'.repeat(200_000)}`))
  const { value } = await signIn(page)
  assert.deepEqual(value, { returnTo: '/' })
})

test('the event call has what monitoring needs, without query, header and body', time, async () => {
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => {
    globalThis.calls = []
    auth.on('call', (event) => calls.push(event))
  })
  assert.equal((await call(page, `${orders}?secret=1`, { headers: { 'X-Trace': 'abc' } })).value.status, 200)
  assert.equal(
    (await call(page, `${app.api.url}nothing`, { method: 'POST', body: 'text' })).value.status,
    404,
  )
  assert.equal((await call(page, 'https://elsewhere.test/?secret=1')).error.code, 'url_not_allowed')
  const calls = await page.evaluate(() => calls)
  for (const event of calls) {
    assert.ok(event.duration > 0 && event.duration < 20_000)
    delete event.duration
  }
  assert.deepEqual(calls, [
    { url: orders, method: 'GET', status: 200 },
    { url: `${app.api.url}nothing`, method: 'POST', status: 404 },
    { url: 'https://elsewhere.test/', method: 'GET', status: 0 },
  ])
})

test('the provider and the API get correct requests from the worker', time, async () => {
  const since = app.ledger.entries.length
  const page = await app.open()
  await signIn(page)
  const { value } = await call(page, orders, { headers: { 'X-Trace': 'abc' } })
  assert.equal(value.status, 200)

  const entries = app.ledger.entries.slice(since)
  const asked = entries.find(({ type }) => type === 'authorization_request').parameters
  assert.equal(asked.response_type, 'code')
  assert.equal(asked.code_challenge_method, 'S256')
  assert.ok(asked.state.length >= 22 && asked.nonce.length >= 22)
  const exchange = entries.find(
    ({ grant, type }) => type === 'token_request' && grant === 'authorization_code',
  )
  assert.equal(exchange.origin, app.site.origin)
  const challenge = createHash('sha256').update(exchange.codeVerifier).digest('base64url')
  assert.equal(asked.code_challenge, challenge)

  const [request] = app.api.requests
  assert.equal(request.authorization, `Bearer ${app.ledger.newest('access_token').value}`)
  assert.equal(request.claims.sub, 'alice')
  assert.equal(request.headers.origin, app.site.origin)
  assert.equal(request.headers['x-trace'], 'abc')
  assert.equal(request.headers.cookie, undefined)
})

// claim: script-28
test('a second tab joins without a login and without a refresh', time, async () => {
  const page = await app.open()
  await signIn(page)
  const since = app.ledger.entries.length
  const second = await app.open('/', page.context())
  assert.deepEqual(await booted(second), { value: null })
  assert.deepEqual((await session(second)).claims, (await session(page)).claims)
  assert.equal((await call(second, orders)).value.status, 200)
  const grants = app.ledger.entries.slice(since).filter(({ type }) => type === 'token_request')
  // The access token of the session may expire during this time, which causes a refresh.
  assert.ok(grants.every(({ grant }) => grant === 'refresh_token'))
  assert.equal(app.ledger.authorizationRequests().length, countAuthorizations(since))
})

const countAuthorizations = (until) =>
  app.ledger.entries.slice(0, until).filter(({ type }) => type === 'authorization_request').length

test('401: one refresh, one retry, with the same body', time, async () => {
  app.provider.settings.accessTokenSeconds = 60
  const page = await app.open()
  await signIn(page)
  const before = app.ledger.refreshes().length
  const body = JSON.stringify({ once: true })
  const { value } = await call(page, `${app.api.url}reject-once/post`, { method: 'POST', body })
  assert.equal(value.status, 200)
  assert.equal(JSON.parse(value.text).sha256, createHash('sha256').update(body).digest('hex'))
  assert.equal(app.ledger.refreshes().length - before, 1)
  const [first, second] = app.api.requests
  assert.equal(app.api.requests.length, 2)
  assert.notEqual(first.authorization, second.authorization)
})

test('logout at the provider leaves the page and ends the session there', time, async () => {
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => void auth.logout({ provider: true, returnTo: '/' }))
  await page.waitForURL(/\/session\/end/)
  await page.click('button[name=logout]')
  await page.waitForURL(`${app.site.origin}/**`)
  assert.ok(app.ledger.entries.some(({ type }) => type === 'sign_out'))
  await booted(page)
  assert.equal(await session(page), null)
})

test('logout with idTokenHint shows the provider an ID token of the session', time, async () => {
  app.setConfig({ idTokenHint: true })
  try {
    const page = await app.open()
    await signIn(page)
    const { sub } = (await session(page)).claims
    await page.evaluate(() => void auth.logout({ provider: true, returnTo: '/' }))
    await page.waitForURL(/\/session\/end/)
    const hint = new URL(page.url()).searchParams.get('id_token_hint')
    const claims = JSON.parse(Buffer.from(hint.split('.')[1], 'base64url'))
    assert.equal(claims.sub, sub)
    await page.click('button[name=logout]')
    await page.waitForURL(`${app.site.origin}/**`)
    // The address of the app has no token.
    assert.doesNotMatch(page.url(), /token/)
    await page.waitForFunction(() => globalThis.boot)
    await booted(page)
    assert.equal(await session(page), null)
  } finally {
    app.setConfig({})
  }
})

test('start-up code that runs twice finishes one login', time, async () => {
  const page = await app.open()
  await booted(page)
  const since = app.ledger.entries.length
  await page.evaluate(() => void auth.login().catch(() => {}))
  await page.waitForSelector('#username')
  await page.context().route('**/page.js', async (route) => {
    const response = await route.fetch()
    const twice =
      'const again = auth.handleCallback(); const first = await auth.handleCallback(); return [first, await again]'
    await route.fulfill({
      response,
      body: (await response.text()).replace('return auth.handleCallback()', twice),
    })
  })
  await giveConsent(page)
  await page.waitForURL(/\/callback/)
  assert.deepEqual(await booted(page), { value: [{ returnTo: '/' }, { returnTo: '/' }] })
  const exchanges = app.ledger.entries
    .slice(since)
    .filter(({ grant, type }) => type === 'token_request' && grant === 'authorization_code')
  assert.equal(exchanges.length, 1)
})

test('close() rejects pending calls', time, async () => {
  const page = await app.open()
  await signIn(page)
  const outcomes = await page.evaluate(async (api) => {
    const reading = (await auth.fetch(`${api}stream?n=1000&interval=100`)).text()
    const waiting = auth.fetch(`${api}slow?ms=20000`)
    const outcomes = Promise.all([settle(reading), settle(waiting)])
    auth.close()
    return outcomes
  }, app.api.url)
  assert.deepEqual(
    outcomes.map(({ error }) => error.code),
    ['closed', 'closed'],
  )
})
