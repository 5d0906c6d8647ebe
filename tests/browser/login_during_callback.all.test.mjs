// A route guard calls login() when it finds no session. The guard may do this while handleCallback() is still
// exchanging the code.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ALL } from '../support/combinations.mjs'
import { booted, deny, giveConsent, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated', 'vaultOrigin']
const apps = {}
const pages = {}

before(async () => {
  // The scope does not contain offline_access, because the provider would then require consent, and no login would be
  // silent.
  const config = { scope: 'openid profile orders' }
  const options = {
    shared: { config },
    dedicated: { config, kind: 'dedicated' },
    vaultOrigin: { config, vaultOrigin: true },
  }
  await Promise.all(KINDS.map(async (kind) => (apps[kind] = await startApp(options[kind]))))
  for (const kind of KINDS) pages[kind] = apps[kind].site.files['/page.js']
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))
afterEach(() => {
  for (const kind of KINDS) {
    apps[kind].provider.faults.clear()
    apps[kind].setConfig({})
    apps[kind].site.files['/page.js'] = pages[kind]
  }
})

const trips = (app) => app.ledger.authorizationRequests().length

/** Makes the app's pages run `script` immediately after they have called `handleCallback()`. */
function guardBy(app, kind, script) {
  replaceStart(app, kind, `const finished = auth.handleCallback()\n${script}\nreturn finished`)
}

function replaceStart(app, kind, script) {
  const started = 'return auth.handleCallback()'
  assert.ok(pages[kind].includes(started))
  app.site.files['/page.js'] = pages[kind].replace(started, script)
}

/**
 * Returns the script of a guard. The page's variable `guarded` is the result of the guard's login, or `null` if the
 * guard found a session.
 */
const guard = (options) =>
  `globalThis.guarded = auth.session ? null : settle(auth.login(${JSON.stringify(options)}))`

/**
 * Opens a page. Its script, by default a guard, sends the user to the provider. `made` returns the number of
 * authorization requests.
 */
async function openGuarded(kind, script = guard({ returnTo: '/orders?a#b' })) {
  const app = apps[kind]
  guardBy(app, kind, script)
  const before = trips(app)
  const page = await app.open('/empty')
  await page.goto(`${app.site.origin}/`)
  await page.waitForSelector('form')
  return { app, page, made: () => trips(app) - before }
}

const back = (page) =>
  page.waitForFunction(() => location.pathname === '/callback' && globalThis.guarded, null, { polling: 20 })

for (const kind of KINDS) {
  test(`guard’s login waits for the callback and does not navigate, ${kind}`, time, async () => {
    const { page, made } = await openGuarded(kind)
    await giveConsent(page)
    await back(page)
    const { value } = await page.evaluate(() => guarded)
    assert.equal(value?.claims.sub, 'alice')
    assert.deepEqual(await booted(page), { value: { returnTo: '/orders?a#b' } })
    assert.equal(made(), 1)
    await page.context().close()
  })

  if (!ALL && kind !== 'shared') continue
  test(`login() rejects with the error of the callback, once, ${kind}`, time, async () => {
    const { page, made } = await openGuarded(kind)
    await deny(page)
    await back(page)
    const { error } = await page.evaluate(() => guarded)
    assert.equal(error.code, 'login_denied')
    assert.equal(error.returnTo, '/orders?a#b')
    assert.deepEqual(await booted(page), { error })
    assert.equal(made(), 1)
    // The user tries again.
    await page.evaluate((returnTo) => void auth.login({ returnTo }), error.returnTo)
    await page.waitForSelector('form')
    await giveConsent(page)
    await back(page)
    assert.deepEqual(await booted(page), { value: { returnTo: '/orders?a#b' } })
    assert.equal(made(), 2)
    await page.context().close()
  })
}

// React runs the effects of child components first. The login() of a guard in a child therefore precedes the
// handleCallback() of its parent.
test('guard’s login waits for a callback that begins after it', time, async () => {
  const app = apps.shared
  replaceStart(app, 'shared', `${guard({ returnTo: '/orders' })}\nreturn auth.handleCallback()`)
  const before = trips(app)
  const page = await app.open('/empty')
  await page.goto(`${app.site.origin}/`)
  await page.waitForSelector('form')
  await giveConsent(page)
  await back(page)
  const { value } = await page.evaluate(() => guarded)
  assert.equal(value?.claims.sub, 'alice')
  assert.deepEqual(await booted(page), { value: { returnTo: '/orders' } })
  assert.equal(trips(app) - before, 1)
  await page.context().close()
})

test('guard that asks for a step-up each time navigates once', time, async () => {
  const options = { maxAge: 3600, acrValues: 'gold', loginHint: 'alice' }
  const { page, made } = await openGuarded('shared', guard(options))
  await giveConsent(page)
  await back(page)
  const { value } = await page.evaluate(() => guarded)
  assert.equal(value?.claims.sub, 'alice')
  assert.equal(made(), 1)
  // The page's storage contains nothing that identifies the user.
  const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage }))
  assert.ok(!kept.includes('alice'), kept)
  await page.context().close()
})

test('step-up login during a callback navigates after it succeeds', time, async () => {
  const app = apps.shared
  guardBy(app, 'shared', `if (location.pathname === '/callback') void auth.login({ prompt: 'login' })`)
  const page = await app.open()
  const exchanges = app.ledger.tokenRequests().length
  await booted(page)
  const asked = app.ledger.until(
    ({ type, parameters }) => type === 'authorization_request' && parameters.prompt === 'login',
  )
  await page.evaluate(() => void auth.login())
  await giveConsent(page)
  await asked
  await page.waitForSelector('#username')
  assert.equal(app.ledger.tokenRequests().length - exchanges, 1)
  await page.context().close()
})

test('login() of another connection waits for the callback too', time, async () => {
  const { app, page, made } = await openGuarded(
    'shared',
    `globalThis.guarded = connect(create.shared()).then((other) => {
      globalThis.isGuarding = true
      return other.session ? null : settle(other.login())
    })`,
  )
  // The code exchange waits until the second connection has found no session.
  const gate = deferred()
  app.provider.faults.add('token', { times: 1, hold: gate.promise })
  await giveConsent(page)
  await page.waitForURL(/\/callback/)
  await page.waitForFunction(() => globalThis.isGuarding)
  gate.resolve()
  const { value } = await page.evaluate(() => guarded)
  assert.equal(value?.claims.sub, 'alice')
  assert.equal(made(), 1)
  await page.context().close()
})

/**
 * Resolves with a page at the callback. The provider has not responded to the code exchange yet, and responds after
 * `release()`.
 */
async function exchanging(config = {}, kind = 'shared', options = {}) {
  const app = apps[kind]
  app.setConfig(config)
  const page = await app.open()
  await booted(page)
  const gate = deferred()
  app.provider.faults.add('token', { times: 10, hold: gate.promise })
  await page.evaluate((given) => void auth.login(given), options)
  await giveConsent(page)
  await page.waitForFunction(() => location.pathname === '/callback' && globalThis.auth, null, {
    polling: 20,
  })
  return { app, page, release: gate.resolve }
}

test('popup opens in the task of its click during a callback', time, async () => {
  const { page, release } = await exchanging()
  await page.evaluate(() => {
    const button = document.createElement('button')
    button.onclick = () => {
      globalThis.opened = 0
      const open = window.open
      window.open = (...given) => (opened++, open.apply(window, given))
      globalThis.given = new AbortController()
      globalThis.popup = settle(auth.login({ mode: 'popup', signal: given.signal }))
      globalThis.openedAtOnce = opened
    }
    document.body.replaceChildren(button)
  })
  await Promise.all([page.waitForEvent('popup'), page.click('button')])
  assert.equal(await page.evaluate(() => openedAtOnce), 1)
  await page.evaluate(() => given.abort())
  assert.equal((await page.evaluate(() => popup)).error.code, 'login_canceled')
  release()
  await page.context().close()
})

test('login() that waits for a callback ends with its signal and its time limit', time, async () => {
  const { app, page, release } = await exchanging()
  const before = trips(app)
  const [aborted, late] = await page.evaluate(() =>
    Promise.all([
      settle(auth.login({ signal: AbortSignal.timeout(50) })),
      settle(auth.login({ timeout: 0.05 })),
    ]),
  )
  assert.equal(aborted.error.code, 'login_canceled')
  assert.equal(late.error.code, 'timeout')
  release()
  assert.deepEqual(await booted(page), { value: { returnTo: '/' } })
  assert.equal(trips(app), before)
  await page.context().close()
})

test('login() waits no longer than the exchange may take', time, async () => {
  const { page, release } = await exchanging({ requestTimeout: 1 })
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'provider_unavailable')
  release()
  await page.context().close()
})

test('login() navigates immediately without a callback in flight', time, async () => {
  const app = apps.shared
  const page = await app.open()
  await signIn(page)
  const before = trips(app)
  await page.evaluate(() => void auth.login({ prompt: 'select_account' }))
  await page.waitForURL((url) => url.origin !== app.site.origin)
  assert.equal(trips(app) - before, 1)
  await page.context().close()
})

for (const kind of ['shared', 'dedicated']) {
  test(`reload during a callback leads to the login’s returnTo, ${kind}`, time, async () => {
    const { page, release } = await exchanging({}, kind, { returnTo: '/orders?a#b' })
    await page.reload()
    assert.deepEqual(await booted(page), { value: { returnTo: '/orders?a#b' } })
    release()
    // The note counts once, and only at the redirect URI.
    await page.reload()
    assert.deepEqual(await booted(page), { value: null })
    await page.context().close()
  })
}

test('page at another address than the interrupted callback goes nowhere', time, async () => {
  const { app, page, release } = await exchanging({}, 'dedicated', { returnTo: '/orders' })
  await page.goto(`${app.site.origin}/?elsewhere`)
  assert.deepEqual(await booted(page), { value: null })
  release()
  await page.context().close()
})

/** Creates a promise with its resolve function. */
function deferred() {
  let resolve
  const promise = new Promise((settle) => (resolve = settle))
  return { promise, resolve }
}
