// Script of the page sees the URL to which a login navigates, and can navigate the window elsewhere. These tests show
// which changes the script can make with and without pushed requests (RFC 9126), which changes the vault notices, and
// what happens at a provider that does not support pushed requests.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, giveConsent, signIn, signInByPopup, startApp, startLogin } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** The scope in the configuration. The provider would also grant `orders` if a request asked for it. */
const NARROW = 'openid profile offline_access'

let app
/** Another app with the same options, except that its vault has its own origin. */
let framed

before(async () => {
  const options = { config: { scope: NARROW }, provider: { accessTokenSeconds: 60 } }
  app = await startApp(options)
  framed = await startApp({ ...options, vaultOrigin: true })
})
after(() => Promise.all([app?.close(), framed?.close()]))
afterEach(() => {
  for (const { setConfig, provider } of [app, framed]) {
    setConfig({})
    provider.faults.clear()
  }
})

const lastRequest = ({ ledger } = app) => ledger.authorizationRequests().at(-1)

/** Opens a page whose console output is recorded. */
const openPage = async (path, of = app) => {
  const page = await of.open(path)
  const warnings = []
  page.on('console', (line) => line.type() === 'warning' && warnings.push(line.text()))
  const warningsOf = (code) => warnings.filter((line) => line.startsWith(`strongroom: ${code}: `))
  /** Waits for the warning. It may come later than the session, because the file of messages must be loaded first. */
  const warned = async (code) => {
    if (warningsOf(code).length) return
    await page.waitForEvent('console', (line) => line.text().startsWith(`strongroom: ${code}: `))
  }
  return { page, warningsOf, warned }
}

/**
 * Starts a login like a malicious script that connects to the worker without the package. Then navigates to the login's
 * URL with these changes.
 *
 * @param {string} [frame] The URL of the vault's frame, if the vault has its own origin. The script then loads the
 *   frame a second time.
 */
const attack = async (page, changes, frame) => {
  await booted(page)
  await page.evaluate(
    async ([changed, frameUrl]) => {
      const { port1: port, port2 } = new MessageChannel()
      const connectFrame = async () => {
        const element = document.createElement('iframe')
        element.src = frameUrl
        document.body.append(element)
        await new Promise((resolve) => (element.onload = resolve))
        const { port1: frame, port2: given } = new MessageChannel()
        const isHere = new Promise((resolve) => (frame.onmessage = ({ data }) => resolve(data.t)))
        element.contentWindow.postMessage('strongroom frame 1', new URL(frameUrl).origin, [given])
        if ((await isHere) !== 'here') throw new Error('the frame refuses this page')
        frame.postMessage({ t: 'connect' }, [port2])
      }
      const address = new Promise((resolve) => {
        port.onmessage = ({ data }) => {
          const message = Array.isArray(data) ? JSON.parse(data[0]) : {}
          if (message.t === 'navigate') resolve(message.url)
        }
      })
      if (frameUrl) await connectFrame()
      else create.shared().port.postMessage('strongroom', [port2])
      port.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
      port.postMessage([JSON.stringify({ t: 'login', id: 1, mode: 'redirect' })])
      const url = new URL(await address)
      for (const [name, value] of Object.entries(changed)) url.searchParams.set(name, value)
      setTimeout(() => location.assign(url))
    },
    [changes, frame],
  )
  await giveConsent(page)
  await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
  return booted(page)
}

const CHANGES = { scope: `${NARROW} orders`, prompt: 'login consent', acr_values: 'phr' }

// claim: url-4
test('without pushed requests a changed scope is granted with a warning', time, async () => {
  app.setConfig({ par: false })
  const { page, warningsOf, warned } = await openPage()
  assert.deepEqual(await attack(page, CHANGES), { value: { returnTo: '/' } })
  assert.equal(lastRequest().parameters.acr_values, 'phr')
  const { scopes } = await page.evaluate(() => auth.session)
  assert.deepEqual(scopes, [...NARROW.split(' '), 'orders'])
  await warned('scope_exceeded')
  assert.equal(warningsOf('scope_exceeded').length, 1)
  assert.match(warningsOf('scope_exceeded')[0], /did not request: orders\. Add the scopes/)
  await page.context().close()
})

// claim: url-1
test('with pushed requests, the default, added parameters have no effect', time, async () => {
  const { page, warningsOf } = await openPage()
  assert.deepEqual(await attack(page, CHANGES), { value: { returnTo: '/' } })
  assert.deepEqual(Object.keys(lastRequest().query).sort(), [
    'acr_values',
    'client_id',
    'prompt',
    'request_uri',
    'scope',
  ])
  const { scope, acr_values, prompt } = lastRequest().parameters
  assert.deepEqual({ scope, acr_values, prompt }, { scope: NARROW, acr_values: undefined, prompt: 'consent' })
  const { scopes } = await page.evaluate(() => auth.session)
  assert.deepEqual(scopes, NARROW.split(' '))
  assert.equal(warningsOf('scope_exceeded').length, 0)
  await page.context().close()
})

const frameOf = ({ vault }) => `${vault.origin}/frame.html`

// claim: url-4
test('a vault on its own origin refuses a changed scope: unrequestedScopes: ’refuse’', time, async () => {
  framed.setConfig({ par: false, unrequestedScopes: 'refuse' })
  const { page } = await openPage('/', framed)
  const { error } = await attack(page, CHANGES, frameOf(framed))
  assert.equal(error.code, 'scope_exceeded')
  const { acr_values, redirect_uri } = lastRequest(framed).parameters
  assert.equal(acr_values, 'phr')
  assert.equal(redirect_uri, `${framed.vault.origin}/callback`)
  assert.equal(await page.evaluate(() => auth.session), null)
  await page.context().close()
})

/** Returns true if the app's page printed this line, and not the vault's frame. */
const isOfApp = (line) => line.location().url.startsWith(framed.site.origin)

for (const [name, login] of [
  ['redirect', signIn],
  ['popup', signInByPopup],
]) {
  // claim: url-4
  test(`the app prints the warnings of a vault on its own origin: ${name}`, time, async () => {
    framed.setConfig({ consent: undefined })
    const { page, warningsOf, warned } = await openPage('/', framed)
    const places = []
    page.on('console', (line) => line.text().startsWith('strongroom: ') && places.push(isOfApp(line)))
    await login(page)
    await warned('refresh_token_missing')
    assert.equal(warningsOf('refresh_token_missing').length, 1)
    assert.match(warningsOf('refresh_token_missing')[0], /consent: 'always'/)
    assert.deepEqual(places, [true])
    await page.context().close()
  })
}

// claim: url-1
test('a vault on its own origin pushes its requests: added parameters have no effect', time, async () => {
  const { page, warningsOf } = await openPage('/', framed)
  assert.deepEqual(await attack(page, CHANGES, frameOf(framed)), { value: { returnTo: '/' } })
  const { query, parameters } = lastRequest(framed)
  assert.ok(query.request_uri)
  assert.equal(query.acr_values, 'phr', 'the address was changed')
  const { scope, acr_values, prompt } = parameters
  assert.deepEqual({ scope, acr_values, prompt }, { scope: NARROW, acr_values: undefined, prompt: 'consent' })
  const { scopes } = await page.evaluate(() => auth.session)
  assert.deepEqual(scopes, NARROW.split(' '))
  assert.equal(warningsOf('scope_exceeded').length, 0)
  await page.context().close()
})

test('a popup opens within the click although its request is pushed', time, async () => {
  app.provider.faults.add('push', { delay: 2000 })
  const { page } = await openPage()
  const { value } = await signInByPopup(page)
  assert.equal(value.claims.sub, 'alice')
  assert.ok(lastRequest().query.request_uri)
  await page.context().close()
})

// claim: url-3
test('login_not_pushed: CORS hides the refusal: logins go on without, with one warning', time, async () => {
  const answer = { status: 401, body: { error: 'invalid_client' }, cors: false }
  app.provider.faults.add('push', { answer, times: 2 })
  const { page, warningsOf, warned } = await openPage()
  await signIn(page)
  await warned('login_not_pushed')
  assert.equal(lastRequest().query.scope, NARROW)
  await signIn(page, { loginHint: 'alice' })
  assert.equal(lastRequest().query.scope, NARROW)
  assert.equal(warningsOf('login_not_pushed').length, 1)
  assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
  await page.context().close()
})

/** Begins a login that is not pushed. `route` handles the page's request for the texts of warnings. */
const unpushed = async (route) => {
  app.provider.faults.add('push', { answer: { status: 403, body: 'no' }, times: 1 })
  const opened = await openPage()
  await opened.page.route('**/strongroom/error-messages.js', (request) => route(request, opened.page))
  return opened
}

test('a login waits until its warning is printed', time, async () => {
  const { page, warningsOf } = await unpushed(async (route, page) => {
    // Without the wait, the page is left within this time.
    await page.waitForEvent('framenavigated', { timeout: 500 }).catch(() => {})
    await route.continue().catch(() => {})
  })
  await signIn(page)
  assert.equal(warningsOf('login_not_pushed').length, 1)
  await page.context().close()
})

test('a login does not wait for texts of warnings that never arrive', time, async () => {
  const { page, warningsOf } = await unpushed(() => {})
  await signIn(page)
  assert.equal(warningsOf('login_not_pushed').length, 0)
  await page.context().close()
})

test('an error without state counts only at the redirect URI, for a tab that has left', time, async () => {
  const page = await app.open()
  const opened = async (path) => {
    await page.goto(app.site.origin + path)
    return booted(page)
  }
  await startLogin(page, { returnTo: '/orders' })
  const { error } = await opened('/callback?error=access_denied&lang=de')
  assert.deepEqual([error.code, error.returnTo], ['login_denied', '/orders'])
  assert.match(error.message, /access_denied/)
  assert.equal(page.url(), `${app.site.origin}/callback?lang=de`)
  await startLogin(page)
  assert.equal((await opened('/callback?code=SUMMER')).error.code, 'callback_invalid')
  // Everywhere else, and for later pages, such a parameter is the app's own.
  for (const path of ['/callback?error=access_denied', '/callback?code=SUMMER', '/?code=SUMMER']) {
    assert.deepEqual(await opened(path), { value: null })
    assert.equal(page.url(), app.site.origin + path)
  }
  await startLogin(page)
  assert.deepEqual(await opened('/?error=SUMMER'), { value: null })
  await page.context().close()
})
