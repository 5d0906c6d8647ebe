// A browser without WebAssembly, in which no vault runs, uses the token handler of the app. Nothing else that a page lacks
// leads to the handler (docs/fallback.md).
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { booted, giveConsent } from '../../support/app.mjs'
import { launchBrowser, shareBrowser, together } from '../../support/browser.mjs'
import { leftOut, rows } from '../../support/combinations.mjs'
import { serveFallback } from '../../support/fallback.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }

/** What WebKit's Lockdown Mode removes. */
const LOCKDOWN = [
  'WebAssembly',
  'indexedDB',
  'caches',
  'SharedWorker',
  'navigator.locks',
  'navigator.serviceWorker',
]

let app, use
before(async () => {
  ;[app, use] = await together(serveFallback(), shareBrowser())
})
after(async () => {
  await use?.close()
  await app?.close()
})

beforeEach(() => {
  app.setPage()
  app.setConfig({})
  app.isHandlerDown = false
})

/** Opens a page of the app in a browser without these globals. */
async function open(without = [], { browser = use.browser, context } = {}) {
  const page = await (context ?? (await browser.newContext())).newPage()
  page.setDefaultTimeout(20_000)
  app.handled.length = 0
  await page.goto(`${app.site.origin}/orders?${without}`)
  return booted(page).then(() => page)
}

const user = (page) => page.evaluate(() => [auth.state.via, auth.state.session?.claims.sub ?? null])

/** Waits until a user is signed in. */
async function signedIn(page, via) {
  await page.waitForFunction(() => globalThis.auth?.state.session && auth.state.via)
  assert.deepEqual(await user(page), [via, 'alice'])
}

async function signIn(page, via) {
  assert.deepEqual(await user(page), [via, null])
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  await signedIn(page, via)
}

/** Resolves with a browser context in which a user has signed in through the handler. */
async function usedHandler(context) {
  const page = await open(['WebAssembly'], { context })
  await signIn(page, 'handler')
  await page.close()
  return page.context()
}

/** The same, and before that the user has signed in through a vault that stores its session. */
async function usedBoth(without, config) {
  app.setConfig({ session: { persist: 'sealed' }, ...config })
  const page = await open(without)
  await signIn(page, 'vault')
  await page.reload()
  await signedIn(page, 'vault')
  await page.close()
  return usedHandler(page.context())
}

/** Calls the API by its own address. */
async function callApi(page) {
  const url = `${app.api.url}orders`
  const seen = await page.evaluate(async (url) => {
    const response = await auth.fetch(url)
    return [response.status, response.url]
  }, url)
  assert.deepEqual(seen, [200, url])
}

for (const [name, without, launch] of rows([
  ['without WebAssembly', ['WebAssembly']],
  ['without all that Lockdown Mode removes', LOCKDOWN],
  ['without JIT', [], { args: ['--js-flags=--jitless'] }],
])) {
  test(`browser ${name} signs in through the handler`, time, async () => {
    const browser = launch && (await launchBrowser(launch))
    const { provider, ledger } = app
    const page = await open(without, { browser })
    provider.settings.accessTokenSeconds = 2
    await signIn(page, 'handler')
    await provider.letAccessTokenExpire()
    const before = ledger.refreshes().length
    await callApi(page)
    assert.equal(ledger.refreshes().length, before + 1)
    await page.reload()
    await signedIn(page, 'handler')
    await page.evaluate(() => auth.logout())
    assert.deepEqual(await user(page), ['handler', null])
    assert.ok(ledger.familyRevoked())
    assert.equal(await page.evaluate(() => starts), 0)
    await (browser ?? page.context()).close()
  })
}

for (const name of rows(LOCKDOWN.slice(1))) {
  // claim: script-45
  test(`page without ${name} uses the vault, and sends the handler no request`, time, async () => {
    const page = await open([name])
    await signIn(page, 'vault')
    await callApi(page)
    assert.deepEqual(app.handled, [])
    await page.context().close()
  })
}

// claim: script-45
test('vault that fails is not replaced, also if script removes WebAssembly', time, async () => {
  const undo = app.site.override('/strongroom/strongroom_bg.wasm', { status: 404 })
  const page = await open()
  assert.equal(await page.evaluate(() => auth.state.error.code), 'wasm_failed')
  await page.evaluate(() => {
    delete globalThis.WebAssembly
    return settle(auth.reconnect())
  })
  assert.deepEqual(app.handled, [])
  undo()
  await page.context().close()
})

/** Resolves with the handler's code, such as `login_required` without a session, or with the status of the API's response. */
const calledWithCookie = (page) =>
  page.evaluate(async () => {
    const { headers, status } = await fetch('/api/orders', { headers: { 'X-Strongroom': '1' } })
    return headers.get('x-strongroom') ?? status
  })

// claim: script-45
test('user who gets a vault is signed out of the handler, once', time, async () => {
  const page = await open(['WebAssembly'])
  const context = page.context()
  await signIn(page, 'handler')
  assert.equal(await calledWithCookie(page), 200)
  await page.close()
  const logouts = () => app.handled.filter((request) => request === 'POST /auth/logout').length
  const next = await open([], { context })
  assert.deepEqual(await user(next), ['vault', null])
  await until(() => app.ledger.familyRevoked())
  await until(() => next.evaluate(() => !Object.keys(localStorage).some((key) => key.includes('fallback'))))
  assert.equal(await calledWithCookie(next), 'login_required')
  await signIn(next, 'vault')
  assert.equal(logouts(), 1)
  await context.close()
})

leftOut('user of an earlier vault does not come back after the handler', time, async () => {
  const context = await usedBoth([], { requestTimeout: 120 })
  // The vault's session ends once, whether handler and provider respond or not.
  app.isHandlerDown = true
  let resolve
  app.provider.faults.add('revocation', { hold: new Promise((done) => (resolve = done)) })
  const next = await open([], { context })
  resolve()
  assert.deepEqual(await user(next), ['vault', null])
  await signIn(next, 'vault')
  await next.reload()
  await signedIn(next, 'vault')
  assert.equal(await calledWithCookie(next), 503)
  app.isHandlerDown = false
  await next.reload()
  await until(async () => (await calledWithCookie(next)) === 'login_required')
  await signedIn(next, 'vault')
  await context.close()
})

// claim: script-45
test('user of an earlier vault does not come back after a logout that has failed', time, async () => {
  // Each page has a worker of its own, which loads the module.
  const without = ['SharedWorker']
  const context = await usedBoth(without)
  const undo = app.site.override('/strongroom/strongroom_bg.wasm', { status: 404 })
  const page = await open(without, { context })
  const { error } = await page.evaluate(() => settle(auth.logout()))
  assert.equal(error.code, 'wasm_failed')
  await until(async () => (await calledWithCookie(page)) === 'login_required')
  undo()
  await page.reload()
  await booted(page)
  assert.deepEqual(await user(page), ['vault', null])
  await context.close()
})

// claim: script-45
test('user of an earlier vault does not come back if the first page is left', time, async () => {
  const context = await usedBoth()
  // The vault does not get the message, as when the page is left before.
  app.site.files['/page.js'] = `
    const { postMessage } = MessagePort.prototype
    MessagePort.prototype.postMessage = function (message, ...rest) {
      if (/"t":"logout"/.test(message)) globalThis.isLost = true
      else postMessage.call(this, message, ...rest)
    }
    ${app.site.files['/page.js']}`
  const page = await context.newPage()
  await page.goto(`${app.site.origin}/orders`)
  await page.waitForFunction(() => globalThis.isLost)
  app.setPage()
  await page.reload()
  await booted(page)
  assert.deepEqual(await user(page), ['vault', null])
  await until(async () => (await calledWithCookie(page)) === 'login_required')
  await context.close()
})

test('logout of the vault ends a session that another site began at the handler', time, async () => {
  const page = await open()
  const context = page.context()
  await signIn(page, 'vault')
  const other = await context.newPage()
  await other.setContent(`<a href="${app.site.origin}/auth/login?returnTo=/empty">x</a>`)
  await other.click('a')
  await giveConsent(other)
  await other.waitForURL('**/empty')
  assert.equal(await calledWithCookie(page), 200)
  await page.evaluate(() => auth.logout())
  await until(async () => (await calledWithCookie(page)) === 'login_required')
  await context.close()
})

// claim: script-45
test('logout of the vault counts at a handler that was down, also without the vault', time, async () => {
  const context = await usedHandler()
  app.isHandlerDown = true
  const page = await open([], { context })
  await page.evaluate(() => settle(auth.logout()))
  app.isHandlerDown = false
  await page.close()
  const next = await open(['WebAssembly'], { context })
  assert.deepEqual(await user(next), ['handler', null])
  assert.equal(await next.evaluate(() => auth.state.endReason), 'logged_out')
  await signIn(next, 'handler')
  await next.reload()
  await signedIn(next, 'handler')
  await context.close()
})

/** Lets the first logout at the handler get 502 after `act`. Resolves with the page, and with the status of the second one. */
async function leaveLate(context, act) {
  let attempts = 0
  await context.route('**/auth/logout', async (route) => {
    if (attempts++) return route.continue()
    await act?.()
    await route.fulfill({ status: 502 })
  })
  const again = context.waitForEvent(
    'response',
    (response) => /logout$/.test(response.url()) && response.ok(),
  )
  const page = await open([], { context })
  return [page, await (await again).json()]
}

// claim: script-45
test('logout at the handler that meets a 502 is sent again', time, async () => {
  const context = await usedHandler()
  const [page, { ended }] = await leaveLate(context)
  assert.ok(ended)
  assert.equal(await calledWithCookie(page), 'login_required')
  await until(() => page.evaluate(() => !Object.keys(localStorage).some((key) => key.includes('fallback'))))
  await context.close()
})

// claim: script-45
test('logout at the handler that is sent again spares a user who has signed in meanwhile', time, async () => {
  const context = await usedHandler()
  const [page, { ended, other }] = await leaveLate(context, async () => {
    const tab = await context.newPage()
    await tab.goto(`${app.site.origin}/empty`)
    await tab.evaluate(() => (location.href = '/auth/login?returnTo=/empty%3Fback&prompt=login'))
    await giveConsent(tab)
    await tab.waitForURL('**/empty?back')
  })
  assert.deepEqual([ended, other], [false, true])
  assert.equal(await calledWithCookie(page), 200)
  await context.close()
})

leftOut('older tab learns of the logout at the handler', time, async () => {
  const old = await open(['WebAssembly'])
  await signIn(old, 'handler')
  await old.goto(`${app.site.origin}/orders?WebAssembly`)
  await booted(old)
  const next = await open([], { context: old.context() })
  await old.waitForFunction(() => !auth.state.session)
  assert.equal(await old.evaluate(() => auth.state.endReason), 'logged_out')
  await next.context().close()
})

leftOut('older tab that has no message of the logout waits for its user, too', time, async () => {
  const old = await open(['WebAssembly'])
  await signIn(old, 'handler')
  // As if the page were left before the response.
  app.site.files['/page.js'] = `globalThis.BroadcastChannel = undefined\n${app.site.files['/page.js']}`
  const next = await open([], { context: old.context() })
  await until(async () => (await calledWithCookie(next)) === 'login_required')
  await old.evaluate(() => settle(auth.fetch('/api/orders')))
  // With `storage_lost`, a guard would sign the user in again.
  assert.equal(await old.evaluate(() => auth.state.endReason), 'logged_out')
  await next.context().close()
})

leftOut('response that is not from the handler does not count as its logout', time, async () => {
  const context = await usedHandler()
  const handler = app.site.below['/auth/']
  const responded = new Promise((resolve) => {
    app.site.below['/auth/'] = (_, response) => response.end('<!doctype html>', resolve)
  })
  const next = await open([], { context })
  await responded
  // The page has the response, too, when it has that of a later request.
  assert.equal(await calledWithCookie(next), 200)
  app.site.below['/auth/'] = handler
  await next.reload()
  await until(async () => (await calledWithCookie(next)) === 'login_required')
  await context.close()
})

leftOut('login at the handler that returns to a vault is signed out', time, async () => {
  const page = await open(['WebAssembly'])
  await page.evaluate(() => void auth.login({ returnTo: '/orders' }).catch(() => {}))
  await giveConsent(page)
  await page.waitForURL('**/orders')
  await booted(page)
  assert.equal(await page.evaluate(() => auth.state.via), 'vault')
  await until(async () => (await calledWithCookie(page)) === 'login_required')
  await page.context().close()
})

leftOut('resume does not begin a session that ends at once', time, async () => {
  const context = await usedHandler()
  app.setPage('', { resume: 'redirect' })
  const next = await open([], { context })
  assert.deepEqual(await user(next), ['vault', null])
  assert.equal(await next.evaluate(() => auth.state.endReason), null)
  await context.close()
})

leftOut('resume and account are ignored', time, async () => {
  app.setPage('account: 1', { resume: 'redirect' })
  const page = await open(['WebAssembly'])
  assert.deepEqual(await user(page), ['handler', null])
  await page.context().close()
})

leftOut('error names what the handler lacks', time, async () => {
  const page = await open(['WebAssembly'])
  const failures = await page.evaluate(async () => {
    const { inspect } = await auth.connect()
    const calls = {
      device: () => auth.login({ mode: 'device' }),
      custom: () => auth.login({ mode: 'custom', open: () => '' }),
      scope: () => auth.login({ scope: 'more' }),
      download: () => auth.download('/files/a'),
      inspect,
    }
    const outcomes = Object.entries(calls).map(async ([name, call]) => {
      const { error } = await settle(call())
      return [name, error?.code, error?.message.includes(name)]
    })
    return [await auth.media(), ...(await Promise.all(outcomes))]
  })
  const names = ['device', 'custom', 'scope', 'download', 'inspect']
  assert.deepEqual(failures, [false, ...names.map((name) => [name, 'unsupported', true])])
  await page.context().close()
})
