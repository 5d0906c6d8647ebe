// A browser without WebAssembly, in which no vault runs, uses the token handler of the app. Nothing else that a page lacks
// leads to the handler (docs/fallback.md).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, giveConsent } from '../support/app.mjs'
import { launchBrowser, shareBrowser, together } from '../support/browser.mjs'
import { serveFallback } from '../support/fallback.mjs'
import { until } from '../support/until.mjs'

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
  await page.waitForFunction(() => globalThis.auth?.state.session)
  assert.deepEqual(await user(page), [via, 'alice'])
}

async function signIn(page, via) {
  assert.deepEqual(await user(page), [via, null])
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  await signedIn(page, via)
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

for (const [name, without, launch] of [
  ['without WebAssembly', ['WebAssembly']],
  ['without all that Lockdown Mode removes', LOCKDOWN],
  ['without JIT', [], { args: ['--js-flags=--jitless'] }],
]) {
  test(`browser ${name} signs in through the handler`, time, async () => {
    const browser = launch && (await launchBrowser(launch))
    const page = await open(without, { browser })
    await signIn(page, 'handler')
    await callApi(page)
    await app.ledger.accessTokenExpired()
    const before = app.ledger.refreshes().length
    await callApi(page)
    assert.equal(app.ledger.refreshes().length, before + 1)
    await page.reload()
    await signedIn(page, 'handler')
    await page.evaluate(() => auth.logout())
    assert.deepEqual(await user(page), ['handler', null])
    assert.ok(app.ledger.familyRevoked())
    assert.equal(await page.evaluate(() => starts), 0)
    await (browser ?? page.context()).close()
  })
}

for (const name of LOCKDOWN.slice(1)) {
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
test('vault that fails is not replaced by the handler', time, async () => {
  const undo = app.site.override('/strongroom/strongroom_bg.wasm', { status: 404 })
  const page = await open()
  const { status, error, via } = await page.evaluate(() => auth.state)
  assert.deepEqual([status, via], ['failed', null])
  assert.equal(await page.evaluate(() => auth.state.error.code), 'wasm_failed', error)
  assert.deepEqual(app.handled, [])
  undo()
  await page.context().close()
})

// claim: script-45
test('user who gets a vault is signed out of the handler, once', time, async () => {
  const page = await open(['WebAssembly'])
  const context = page.context()
  await signIn(page, 'handler')
  await page.close()
  const logouts = () => app.handled.filter((request) => request === 'POST /auth/logout').length
  const next = await open([], { context })
  assert.deepEqual(await user(next), ['vault', null])
  await until(logouts)
  await until(() => app.ledger.familyRevoked())
  await until(() => next.evaluate(() => !Object.keys(localStorage).some((key) => key.includes('fallback'))))
  const names = (await context.cookies(app.site.origin)).map((cookie) => cookie.name)
  assert.ok(!names.includes('strongroom'), names)
  await signIn(next, 'vault')
  assert.equal(logouts(), 1)
  await context.close()
})

test('resume and account are ignored', time, async () => {
  app.setPage('account: 1', { resume: 'redirect' })
  const page = await open(['WebAssembly'])
  assert.deepEqual(await user(page), ['handler', null])
  app.setPage()
  await page.context().close()
})

test('error names what the handler lacks', time, async () => {
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
