// Failures of a login in a browser: each has its own error code, and no promise hangs. The native tests of the vault have
// the other codes.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import {
  booted,
  call,
  clickLogin,
  deny,
  forgedState,
  giveConsent,
  signIn,
  signInByPopup,
  startApp,
  startLogin,
} from '../support/app.mjs'
import { comeBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'
import { listen } from '../support/listen.mjs'
import { played } from '../support/retries.mjs'

const time = { timeout: 40_000 }

const apps = {}
let app

/** The kinds of workers for tests whose result does not depend on the kind. A run without `--all` tests only one kind. */
const KINDS = ALL ? ['shared', 'dedicated'] : ['shared']

before(async () => {
  const [shared, dedicated] = await Promise.all([startApp(), startApp({ kind: 'dedicated' })])
  Object.assign(apps, { shared, dedicated })
  app = shared
})
after(() => Promise.all(Object.values(apps).map((each) => each.close())))
afterEach(() => {
  for (const each of Object.values(apps)) {
    each.provider.faults.clear()
    each.setConfig({})
  }
})

/** Resolves with the result of `handleCallback()` on a new page that is opened at this URL. */
async function callback(query, context, which = app) {
  const page = await which.open(`/callback${query}`, context)
  const outcome = await booted(page)
  assert.equal(new URL(page.url()).search.includes('state='), false, 'the response is still in the URL')
  return outcome
}

/**
 * Starts a login and stays at the provider. Resolves with the browser context, and with the function `query`, which
 * returns the query of a response to this login.
 */
async function begun() {
  const page = await app.open()
  const asked = app.ledger.until(({ type }) => type === 'authorization_request')
  await startLogin(page)
  const { parameters } = await asked
  const query = (answer) =>
    `?${new URLSearchParams({ state: parameters.state, iss: app.provider.issuer, ...answer })}`
  return { context: page.context(), query }
}

/** Signs in while the provider's token endpoint has this fault. */
async function exchange(fault) {
  const page = await app.open()
  app.provider.faults.add('token', { times: 10, ...fault })
  return signIn(page)
}

// claim: site-2
test('login_unknown: a callback in another browser', time, async () => {
  const { query } = await begun()
  const { error } = await callback(query({ code: 'abc' }))
  assert.equal(error.code, 'login_unknown')
})

for (const kind of ['shared', 'dedicated']) {
  leftOut(`a callback opened twice is login_replayed only without a session, ${kind}`, time, async () => {
    const page = await apps[kind].open()
    let address
    page.on('request', (request) => {
      if (request.url().includes('/callback?')) address = request.url()
    })
    await signIn(page, { returnTo: '/orders?a=1' })
    const outcome = await callback(new URL(address).search, page.context(), apps[kind])
    // In the shared worker, a user is signed in.
    if (kind === 'shared') assert.deepEqual(outcome, { value: { returnTo: '/orders?a=1' } })
    else assert.equal(outcome.error.code, 'login_replayed')
  })
}

for (const kind of KINDS) {
  test(`client is usable after a denied login, and the error has returnTo, ${kind}`, time, async () => {
    const page = await apps[kind].open()
    await startLogin(page, { returnTo: '/orders?a=1#b' })
    await deny(page)
    await page.waitForURL(/\/callback/)
    const { error } = await booted(page)
    assert.equal(error.code, 'login_denied')
    assert.equal(error.returnTo, '/orders?a=1#b')
    assert.equal((await call(page, `${apps[kind].api.url}orders`)).error.code, 'login_required')
    const { value } = await signIn(page, { returnTo: error.returnTo })
    assert.deepEqual(value, { returnTo: '/orders?a=1#b' })
    assert.equal((await call(page, `${apps[kind].api.url}orders`)).value.status, 200)
    await page.context().close()
  })
}

leftOut('code_rejected: the provider did not issue the code', time, async () => {
  const { context, query } = await begun()
  const { error } = await callback(query({ code: 'not-one-of-ours' }), context)
  assert.equal(error.code, 'code_rejected')
})

leftOut('other parameters are ignored', time, async () => {
  const others = ['?code=abc', '?error=x', '?code=abc&state=abc', '?error=x&state=abc&iss=i', '?iss=i']
  for (const query of ['', '?state=1', '?a=%20b&c', ...others]) {
    const page = await app.open(`/callback${query}`)
    assert.deepEqual(await booted(page), { value: null }, query)
    assert.equal(new URL(page.url()).search, query)
  }
})

leftOut('the rest of the URL is not changed', time, async () => {
  const state = forgedState(app.config)
  const page = await app.open(`/callback?a=%20b&code=1&c+d&state=${state}&%63ode=3&session_state=4#x`)
  await booted(page)
  assert.equal(page.url(), `${app.site.origin}/callback?a=%20b&c+d#x`)
})

leftOut('provider_unavailable: the token endpoint cuts the connection', time, async () => {
  const { error } = await exchange({ drop: true })
  assert.equal(error.code, 'provider_unavailable')
})

const BLOCKED = {
  'CORS headers are missing': () => {},
  'connect-src does not list it': (origins) => {
    const policy = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${origins.join(' ')}`
    return app.site.override('/auth.worker.js', { headers: { 'Content-Security-Policy': policy } })
  },
}

for (const [how, block] of Object.entries(BLOCKED)) {
  leftOut(`blocked call has a cause that names CORS and connect-src: ${how}`, time, async () => {
    // Like most APIs, this server sends no CORS headers by default.
    const api = await listen({ handler: (request, response) => response.end() })
    app.setConfig({ apis: [{ url: `${api.origin}/` }] })
    const release = block([app.provider.issuer])
    const page = await app.open()
    await signIn(page)
    const { error } = await call(page, `${api.origin}/orders?secret=1`)
    assert.ok(error.isTypeError)
    // The error has the same message as an error of `fetch`.
    assert.equal(error.message, 'Failed to fetch')
    assert.match(error.cause, /CORS headers/)
    assert.match(error.cause, new RegExp(`connect-src .* does not list ${api.origin}$`))
    release?.()
    await page.context().close()
    await api.close()
  })
}

// claim: script-13
test('errors quote nothing from the token endpoint', time, async () => {
  const secret = 'do-not-repeat-this-0123456789'
  const body = { error: 'invalid_grant', error_description: secret }
  const { error } = await exchange({ answer: { status: 400, body } })
  assert.doesNotMatch(JSON.stringify(error), new RegExp(secret))
})

// claim: site-5
test('returnTo of another origin is refused immediately', time, async () => {
  const page = await app.open()
  await booted(page)
  const addresses = [
    'https://attacker.example/',
    '//attacker.example/',
    String.raw`/\attacker.example/`,
    'javascript:alert(1)',
    'blob:http://localhost/x',
    'http://[',
  ]
  const outcomes = await page.evaluate(
    (all) => Promise.all(all.map((returnTo) => settle(auth.login({ returnTo })))),
    addresses,
  )
  // The last address is not a URL.
  for (const { error } of outcomes)
    assert.ok(error.code === 'message_invalid' || error.isTypeError, error.message)
})

leftOut('login_canceled: canceled by a signal', time, async () => {
  const page = await app.open()
  await booted(page)
  const outcomes = await page.evaluate(async () => {
    const before = settle(auth.login({ signal: AbortSignal.abort() }))
    const controller = new AbortController()
    const during = settle(auth.login({ mode: 'popup', signal: controller.signal }))
    controller.abort()
    return Promise.all([before, during])
  })
  for (const { error } of outcomes) assert.equal(error.code, 'login_canceled')
})

leftOut('timeout: nobody signs in', time, async () => {
  const page = await app.open()
  await booted(page)
  await page.clock.install()
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page, { timeout: 300 })])
  await popup.waitForSelector('#username')
  await page.clock.fastForward(300_000)
  const { error } = await page.evaluate(() => login)
  assert.equal(error.code, 'timeout')
  // The popup stays open at the provider. It closes when the user has finished there.
  const closed = popup.waitForEvent('close')
  await giveConsent(popup)
  await closed
})

for (const kind of KINDS) {
  // claim: site-9
  test(`the provider's page in a popup cannot navigate the app, ${kind}`, time, async () => {
    const page = await apps[kind].open()
    await booted(page)
    const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
    await popup.waitForSelector('#username')
    assert.equal(await popup.evaluate(() => opener), null)
    const closed = popup.waitForEvent('close')
    await giveConsent(popup)
    assert.equal((await page.evaluate(() => login)).value.claims.sub, 'alice')
    await closed
  })
}

leftOut(
  'login_canceled: back from the provider by the browser’s button',
  time,
  played(async () => {
    const withCache = await startApp({ launch: WITH_CACHE })
    try {
      const page = await withCache.open()
      await booted(page)
      await mark(page)
      await page.evaluate(() => {
        globalThis.login = settle(auth.login())
      })
      await page.waitForSelector('#username')
      await comeBack(page)
      assert.equal((await page.evaluate(() => login)).error.code, 'login_canceled')
      // The page has connected again on a new port.
      const { error } = await call(page, `${withCache.api.url}orders`)
      assert.equal(error.code, 'login_required')
    } finally {
      await withCache.close()
    }
  }),
)

for (const kind of KINDS) {
  test(`login_denied in a popup reaches the opener, and the popup closes, ${kind}`, time, async () => {
    const page = await apps[kind].open()
    await booted(page)
    const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
    const closed = popup.waitForEvent('close')
    await deny(popup)
    const { error } = await page.evaluate(() => login)
    assert.equal(error.code, 'login_denied')
    await closed
    const { value } = await signInByPopup(page)
    assert.equal(value.claims.sub, 'alice')
  })
}

test('popup_blocked', time, async () => {
  const { pageCsp } = app.site
  app.site.pageCsp += '; sandbox allow-scripts allow-same-origin'
  const page = await app.open()
  app.site.pageCsp = pageCsp
  await booted(page)
  const { error } = await page.evaluate(() => settle(auth.login({ mode: 'popup' })))
  assert.equal(error.code, 'popup_blocked')
})
