// The callback page (`strongroom/callback`): a page of its own at the redirect URI, which finishes the login and goes on
// to the app. callback_attacks.test.mjs has the attacks of script on the app's other pages.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { clickLogin, giveConsent, deny, startApp } from '../support/app.mjs'
import { useCallbackPage } from '../support/callback_page.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

let app

const config = { callbackPage: true, scope: 'openid profile offline_access orders' }
const SEALED = { session: { persist: 'sealed' } }

before(async () => {
  app = await startApp({ config, provider: { accessTokenSeconds: 60 } })
  useCallbackPage(app)
})
after(() => app?.close())
afterEach(() => {
  app.setConfig({})
  useCallbackPage(app)
  app.provider.faults.clear()
})

/** Opens the app, and begins a login by redirect. Resolves when the page is at the provider. */
async function atProvider(path = '/orders?open=1#top', options = {}) {
  const page = await app.open(path)
  await page.evaluate(() => boot)
  await page.evaluate((given) => void auth.login(given).catch(() => {}), options)
  await page.waitForSelector('form')
  return page
}

/** Waits until the app has started again after the login. Resolves with the app's state. */
async function back(page) {
  await page.waitForFunction(() => globalThis.boot)
  return page.evaluate(() => boot)
}

async function signIn(path, options) {
  const page = await atProvider(path, options)
  await giveConsent(page)
  return { page, outcome: await back(page) }
}

const ALICE = { value: { user: 'alice', code: null } }
const failed = (code) => ({ value: { user: null, code } })
const session = (page) => page.evaluate(() => auth.state.session?.claims.sub)
/** Returns true if the app runs in the document of the callback page. */
const isCallbackDocument = (page) =>
  page.evaluate(() => new URL(performance.getEntriesByType('navigation')[0].name).pathname === '/callback')

const call = (page) =>
  page.evaluate((url) => auth.fetch(url).then(({ status }) => status), `${app.api.url}orders`)

/** Everything of the login that script of the page can read. */
const traces = (page) =>
  page.evaluate(() =>
    JSON.stringify([
      location.href,
      document.referrer,
      performance.getEntries().map(({ name }) => name),
      navigation.entries().map(({ url }) => url),
      navigation.activation?.from?.url,
      navigation.activation?.entry?.url,
      { ...sessionStorage },
      { ...localStorage },
    ]),
  )

leftOut('the app’s own page at the redirect URI says what the server should send', time, async () => {
  app.site.routes['/callback'] = '/index.html'
  const page = await atProvider()
  const printed = []
  page.on('console', (message) => printed.push(message.text()))
  await giveConsent(page)
  assert.deepEqual(await back(page), ALICE)
  const [line, ...others] = printed.filter((text) => text.includes('callbackPage'))
  assert.match(line, /the server sends a page of the app at \/callback, although callbackPage: true/)
  assert.deepEqual(others, [])
  await page.context().close()
})

const SURVIVING = {
  'a sealed session': [SEALED, { extendedLifetime: false, hasApp: false }],
  'a shared worker with extendedLifetime': [{}, { extendedLifetime: true, hasApp: false }],
}

for (const [name, [changes, options]] of Object.entries(SURVIVING)) {
  test(`the browser goes on to the target, without a trace of the code: ${name}`, time, async () => {
    app.setConfig(changes)
    useCallbackPage(app, options)
    const { page, outcome } = await signIn()
    assert.deepEqual(outcome, ALICE)
    assert.equal(page.url(), `${app.site.origin}/orders?open=1#top`)
    assert.equal(await isCallbackDocument(page), false)
    assert.deepEqual(await page.evaluate(() => returned), ['/orders?open=1#top'])
    assert.ok(!(await traces(page)).includes(app.ledger.newest('authorization_code').value))
    assert.equal(await call(page), 200)
    // The callback page has replaced its entry of the history.
    await page.goBack()
    assert.notEqual(new URL(page.url()).pathname, '/callback')
    await page.context().close()
  })
}

leftOut('the page is not left before a warning of the vault is printed', time, async () => {
  app.setConfig({ ...SEALED, consent: undefined })
  useCallbackPage(app, { extendedLifetime: false, hasApp: false })
  const page = await atProvider()
  const printed = []
  page.on('console', (line) => printed.push(line.text()))
  await page.route('**/error-messages.js', async (route) => {
    // Without the wait, the page is left within this time.
    await page.waitForURL('**/orders**', { timeout: 500 }).catch(() => {})
    await route.continue().catch(() => {})
  })
  await giveConsent(page)
  await back(page)
  assert.match(printed.join('\n'), /^strongroom: refresh_token_missing: /m)
  await page.context().close()
})

// claim: callback-6
test('the app starts in the same document: a shared worker without extendedLifetime', time, async () => {
  useCallbackPage(app, { extendedLifetime: false })
  const { page, outcome } = await signIn()
  assert.deepEqual(outcome, ALICE)
  assert.equal(page.url(), `${app.site.origin}/orders?open=1#top`)
  assert.equal(await isCallbackDocument(page), true)
  assert.equal(await call(page), 200)
  const { value } = app.ledger.newest('authorization_code')
  const entries = await page.evaluate(() => navigation.entries().map(({ url }) => url))
  assert.ok(!entries.join().includes(value), 'only the performance entries have the code, which is redeemed')
  await page.context().close()
})

for (const [kind, isOneDocument] of [
  ['shared', false],
  ['dedicated', true],
]) {
  leftOut(`the login ends in the account that began it: ${kind}`, time, async () => {
    app.setConfig({ accounts: 3, ...(kind === 'shared' && SEALED) })
    useCallbackPage(app, { kind, account: 2 })
    const { page, outcome } = await signIn()
    assert.deepEqual(outcome, ALICE)
    assert.equal(await isCallbackDocument(page), isOneDocument)
    assert.equal(await call(page), 200)
    // The first account has no session.
    useCallbackPage(app, { kind })
    const other = await app.open('/', page.context())
    assert.deepEqual(await back(other), { value: { user: null, code: null } })
    await page.context().close()
  })
}

leftOut(
  'the app without accounts takes over the worker to which it gives a name of its own',
  time,
  async () => {
    useCallbackPage(app, { kind: 'dedicated', name: "'auth'" })
    const { page, outcome } = await signIn()
    assert.deepEqual(outcome, ALICE)
    assert.equal(await isCallbackDocument(page), true)
    assert.equal(await call(page), 200)
    await page.context().close()
  },
)

leftOut('memory of a worker that another page holds: the browser goes on to the target', time, async () => {
  useCallbackPage(app, { extendedLifetime: false })
  const page = await atProvider()
  const other = await app.open('/', page.context())
  await other.evaluate(() => boot)
  await giveConsent(page)
  assert.deepEqual(await back(page), ALICE)
  assert.equal(await isCallbackDocument(page), false)
  assert.equal(await session(other), 'alice')
  await page.context().close()
})

leftOut('without app, a session that cannot survive is reported', time, async () => {
  useCallbackPage(app, { extendedLifetime: false, hasApp: false })
  const page = await atProvider()
  const printed = []
  page.on('console', (line) => line.type() === 'error' && printed.push(line.text()))
  await giveConsent(page)
  assert.deepEqual(await back(page), failed(null))
  assert.match(printed.join(), /the session is lost.*the option app/)
  await page.context().close()
})

/** Asserts that the app has the error, in a document of its own, and no trace of this value. */
async function assertFailed(page, code, secret) {
  assert.deepEqual(await back(page), failed(code))
  assert.equal(await isCallbackDocument(page), false)
  if (secret) assert.ok(!(await traces(page)).includes(secret))
  // A reload does not show the error again.
  await page.reload()
  assert.deepEqual(await back(page), failed(null))
  await page.context().close()
}

/** Asserts that the app works in a document of its own, and that script finds no trace of the code. */
async function assertLeft(page) {
  assert.equal((await back(page)).value.user, null)
  assert.equal(await isCallbackDocument(page), false)
  assert.ok(!(await traces(page)).includes('SECRET-CODE'))
  await page.context().close()
}

test('a login that the user denies: the app has the error, at the target', time, async () => {
  const page = await atProvider()
  const printed = []
  page.on('console', (line) => printed.push(line.text()))
  await deny(page)
  await page.waitForURL(`${app.site.origin}/orders?open=1#top`)
  await assertFailed(page, 'login_denied')
  assert.deepEqual(printed, [], 'the console shows no error that the user has chosen')
})

// claim: callback-7
test('a provider that cannot be reached: a code that may be alive is in no entry', time, async () => {
  useCallbackPage(app, { extendedLifetime: false })
  app.provider.faults.add('token', { times: 10, drop: true })
  const page = await atProvider()
  await giveConsent(page)
  await assertFailed(page, 'provider_unavailable', app.ledger.newest('authorization_code')?.value)
})

// claim: callback-7
test('an unknown response: the address is cleaned, and the app starts at its home', time, async () => {
  useCallbackPage(app, { extendedLifetime: false })
  const page = await app.open('/callback?code=SECRET-CODE&state=forged')
  await page.waitForURL(`${app.site.origin}/`)
  await assertFailed(page, 'login_unknown', 'SECRET-CODE')
})

// claim: callback-7
test('a worker whose file is missing: the address is cleaned', time, async () => {
  useCallbackPage(app, { kind: 'dedicated' })
  const release = app.site.override('/auth.worker.js', { status: 404, body: '' })
  const page = await app.open('/callback?code=SECRET-CODE&state=forged')
  await page.waitForURL(`${app.site.origin}/`)
  release()
  await page.reload()
  await assertLeft(page)
})

leftOut('a worker that does not respond: the address is cleaned', time, async () => {
  useCallbackPage(app, { kind: 'dedicated' })
  const release = app.site.override('/auth.worker.js', { body: 'onmessage = () => {}' })
  const page = await (await app.browser.newContext()).newPage()
  await page.clock.install()
  await page.goto(`${app.site.origin}/callback?code=SECRET-CODE&state=forged`)
  await page.clock.fastForward(10_000)
  await page.waitForURL(`${app.site.origin}/`)
  release()
  // With this clock, the page has no performance entries.
  const entries = await page.evaluate(() => navigation.entries().map(({ url }) => url))
  assert.ok(!entries.join().includes('SECRET-CODE'))
  assert.equal(await page.evaluate(() => navigation.activation.from?.url.includes('code=')), false)
  await page.context().close()
})

// claim: callback-7
test('a response that is opened again: the target, and no error', time, async () => {
  app.setConfig(SEALED)
  const page = await atProvider()
  let response
  page.on('request', (request) => {
    if (/\/callback\?.*code=/.test(request.url())) response = request.url()
  })
  await giveConsent(page)
  assert.deepEqual(await back(page), ALICE)
  await page.goto(response)
  await page.waitForURL(`${app.site.origin}/orders?open=1#top`)
  assert.deepEqual(await back(page), ALICE)
  assert.equal(await isCallbackDocument(page), false)
  await page.context().close()
})

leftOut('without a response, the browser continues to the app', time, async () => {
  const page = await app.open('/callback')
  await page.waitForURL(`${app.site.origin}/`)
  assert.deepEqual(await back(page), failed(null))
  await page.context().close()
})

leftOut('a home that is no other page of the app becomes its root', time, async () => {
  for (const home of ['/callback', '?', 'https://evil.example/', 'javascript:boot=1']) {
    useCallbackPage(app, { home })
    const page = await app.open('/callback')
    await page.waitForURL(`${app.site.origin}/`)
    assert.deepEqual(await back(page), failed(null))
    await page.context().close()
  }
})

leftOut('a guard that demands a sign-in each time does not loop', time, async () => {
  app.setConfig(SEALED)
  const page = await atProvider('/orders', { prompt: 'login' })
  // The guard runs at the start of the page to which its login returns.
  await page.context().addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      globalThis.guarded =
        globalThis.auth && settle(auth.login({ prompt: 'login' }).then(({ claims }) => claims.sub))
    })
  })
  await giveConsent(page)
  await back(page)
  assert.deepEqual(await page.evaluate(() => guarded), { value: 'alice' })
  assert.equal(page.url(), `${app.site.origin}/orders`)
  await page.context().close()
})

leftOut('resume by redirect works with the page, and resume by iframe is refused', time, async () => {
  app.setConfig({})
  useCallbackPage(app, { connect: { resume: 'redirect' } })
  const page = await app.open('/orders')
  // The provider has no session: the failed attempt is no error of the app.
  await page.waitForFunction(() => globalThis.boot && location.pathname === '/orders')
  assert.deepEqual(await back(page), failed(null))
  assert.ok(app.ledger.authorizationRequests().at(-1).parameters.prompt === 'none')
  await page.context().close()

  useCallbackPage(app, { connect: { resume: 'iframe' } })
  const framing = await app.open('/orders')
  const { error } = await framing.evaluate(() => boot)
  assert.equal(error.code, 'unsupported')
  assert.match(error.message, /Use 'redirect'/)
  await framing.context().close()
})

/** Signs in by popup. Resolves with the login's result, and with the messages on the package's channel. */
async function byPopup() {
  const page = await app.open('/')
  await page.evaluate(() => boot)
  await page.evaluate(() => {
    globalThis.overheard = []
    new BroadcastChannel('strongroom').onmessage = ({ data }) => overheard.push(JSON.stringify(data))
  })
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
  const closed = popup.waitForEvent('close')
  await giveConsent(popup)
  const outcome = await page.evaluate(() => login)
  await closed
  const overheard = await page.evaluate(() => overheard.join('\n'))
  await page.context().close()
  return { outcome, overheard }
}

const POPUPS = {
  'a shared worker': [{}, {}],
  'a dedicated worker with a sealed session': [SEALED, { kind: 'dedicated' }],
}

for (const [name, [changes, options]] of Object.entries(POPUPS)) {
  // claim: callback-8
  test(`no response of a popup is on a channel: ${name}`, time, async () => {
    app.setConfig(changes)
    useCallbackPage(app, options)
    const { outcome, overheard } = await byPopup()
    assert.equal(outcome.value.claims.sub, 'alice')
    assert.ok(overheard.length, 'the test does hear the channel')
    assert.doesNotMatch(overheard, /code=/)
    assert.ok(!overheard.includes(app.ledger.newest('authorization_code').value))
  })

  leftOut(`a popup’s login that fails, fails in the opener: ${name}`, time, async () => {
    app.setConfig(changes)
    useCallbackPage(app, options)
    app.provider.faults.add('token', { answer: { status: 400, body: { error: 'invalid_grant' } } })
    const { outcome } = await byPopup()
    assert.equal(outcome.error.code, 'code_rejected')
  })
}

leftOut('popup, a dedicated worker whose session is in memory: refused, with what works', time, async () => {
  useCallbackPage(app, { kind: 'dedicated' })
  const page = await app.open('/')
  await page.evaluate(() => boot)
  await clickLogin(page)
  const { error } = await page.evaluate(() => login)
  assert.equal(error.code, 'unsupported')
  assert.match(error.message, /'redirect' or a shared worker/)
  await page.context().close()
})

/** Opens the callback page, and resolves with its warnings. */
async function warnings(headers, prepare = async () => {}) {
  if (headers) app.site.headers['/callback.html'] = headers
  const page = await app.open('/empty')
  await prepare(page)
  const printed = []
  page.on('console', (line) => line.type() === 'warning' && printed.push(line.text()))
  const checked = page.waitForResponse((response) => response.request().method() === 'HEAD').catch(() => {})
  await page.goto(`${app.site.origin}/callback?code=a&state=b`)
  await checked
  await page.waitForURL(`${app.site.origin}/`)
  await back(page)
  await page.context().close()
  return printed.filter((text) => /callback page/.test(text))
}

// claim: callback-10
test('on loopback, one request finds missing headers, and prints them once', time, async () => {
  assert.deepEqual(await warnings(), [])
  const before = app.site.requests.length
  const [text, ...more] = await warnings({ 'Referrer-Policy': null, 'Cache-Control': null })
  assert.match(
    text,
    /lacks Content-Security-Policy, Cross-Origin-Opener-Policy, Referrer-Policy, Cache-Control/,
  )
  assert.deepEqual(more, [])
  const heads = app.site.requests.slice(before).filter(({ method }) => method === 'HEAD')
  assert.deepEqual(
    heads.map(({ path, query }) => path + query),
    ['/callback'],
  )
})

// claim: callback-9
test('a service worker that controls the page is reported', time, async () => {
  app.site.serviceWorkers.push('/sw.js')
  app.site.files['/sw.js'] = 'addEventListener("activate", (event) => event.waitUntil(clients.claim()))'
  const csp = app.site.pageCsp
  app.site.pageCsp = ''
  const [text] = await warnings(undefined, (page) =>
    page.evaluate(async () => {
      const controlled = new Promise((resolve) => (navigator.serviceWorker.oncontrollerchange = resolve))
      await navigator.serviceWorker.register('/sw.js')
      await controlled
    }),
  )
  app.site.pageCsp = csp
  assert.match(text, /a service worker controls the callback page/)
})
