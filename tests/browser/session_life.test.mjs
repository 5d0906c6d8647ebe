// The main behaviors of a session, with a session in memory and with a sealed session.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, signInByPopup, startApp } from '../support/app.mjs'
import { killWorkers } from '../support/device.mjs'
import { HEAP_ARGS } from '../support/heap.mjs'
import { collect, record, search } from '../support/leak.mjs'

const time = { timeout: 60_000 }

let app
let orders

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 4 }, launch: { args: HEAP_ARGS } })
  orders = `${app.api.url}orders`
})
after(() => app?.close())

const session = (page) => page.evaluate(() => auth.session)
const status = async (page) => (await call(page, orders)).value?.status

/** Opens the address in this many new tabs of the page's user. Resolves with all tabs. */
async function withTabs(page, count) {
  const tabs = Array.from({ length: count }, () => app.open('/', page.context()))
  const opened = [page, ...(await Promise.all(tabs))]
  await Promise.all(opened.map(booted))
  return opened
}

/** Returns the secrets without authorization codes, which arrive in the URL. leak.test.mjs searches for codes. */
const tokens = () => app.ledger.secrets().filter(({ kind }) => kind !== 'authorization_code')

for (const persist of ['memory', 'sealed']) {
  test(`a session from login to logout: ${persist}`, time, async (t) => {
    app.setConfig({ session: { persist } })
    const context = await app.browser.newContext()
    const log = await record(context)
    const page = await app.open('/', context)
    let tabs

    await t.test('login by redirect', async () => {
      assert.deepEqual(await signIn(page, { returnTo: '/inbox' }), { value: { returnTo: '/inbox' } })
      assert.equal((await session(page)).claims.sub, 'alice')
    })
    await t.test('a call has the token', async () => {
      app.api.clear()
      assert.equal(await status(page), 200)
      const [{ authorization }] = app.api.requests
      assert.equal(authorization, `Bearer ${app.ledger.newest('access_token').value}`)
    })
    await t.test('expired: three tabs refresh once', async () => {
      tabs = await withTabs(page, 2)
      await app.ledger.accessTokenExpired()
      const before = app.ledger.refreshes().length
      assert.deepEqual(await Promise.all([...tabs, ...tabs].map(status)), Array(6).fill(200))
      assert.equal(app.ledger.refreshes().length - before, 1)
    })
    await t.test('401: one refresh, one retry', async () => {
      app.api.clear()
      const before = app.ledger.refreshes().length
      assert.equal((await call(page, `${app.api.url}reject-once/${persist}`)).value.status, 200)
      assert.equal(app.ledger.refreshes().length - before, 1)
      assert.equal(app.api.requests.length, 2)
    })
    await t.test('no token is in the page', async () => {
      assert.deepEqual(search(await collect(page, log), tokens()), [])
      // Control experiment: the search finds a token in the page.
      const { value } = app.ledger.newest('access_token')
      await page.evaluate((token) => (globalThis.planted = { token }), value)
      const [found] = search(await collect(page, log), tokens())
      assert.equal(found?.kind, 'access_token')
    })
    await t.test('logout signs out each tab', async () => {
      await tabs[1].evaluate(() => auth.logout())
      for (const tab of tabs) {
        await tab.waitForFunction(() => auth.session === null, null, { polling: 20 })
        assert.equal((await call(tab, orders)).error.code, 'login_required')
      }
      assert.equal(app.ledger.familyRevoked(), true)
    })
    await t.test('login by popup', async () => {
      assert.equal((await signInByPopup(page)).value.claims.sub, 'alice')
      assert.equal(await status(page), 200)
    })
    await t.test('a reload of the only tab', async () => {
      await Promise.all(tabs.slice(1).map((tab) => tab.close()))
      await page.reload()
      await booted(page)
      assert.equal(await status(page), 200)
    })
    await t.test('a new worker has a session only if it was stored', async () => {
      await killWorkers(page)
      await page.reload()
      await booted(page)
      assert.equal((await session(page))?.claims.sub, persist === 'sealed' ? 'alice' : undefined)
    })
    await context.close()
  })
}

/** Makes timers of this page or worker a minute late, as browsers do in a background tab. */
const LATE_TIMERS = `
const { setTimeout: later } = globalThis
globalThis.setTimeout = (action, ms = 0, ...more) => later(action, ms + 60_000, ...more)
globalThis.requestIdleCallback = (action) => setTimeout(action)
globalThis.fired = false
setTimeout(() => (fired = true))`

test('a session whose timers are a minute late', time, async () => {
  app.setConfig({})
  app.site.files['/late.js'] = LATE_TIMERS
  app.setWorker(`import '/late.js'\n${app.site.files['/auth.worker.js']}`)
  const context = await app.browser.newContext()
  await context.addInitScript(LATE_TIMERS)
  const page = await app.open('/', context)
  assert.deepEqual(await signIn(page, { returnTo: '/inbox' }), { value: { returnTo: '/inbox' } })
  const tabs = await withTabs(page, 2)
  await app.ledger.accessTokenExpired()
  const before = app.ledger.refreshes().length
  assert.deepEqual(await Promise.all(tabs.map(status)), Array(3).fill(200))
  assert.equal(app.ledger.refreshes().length - before, 1)
  await page.evaluate(() => auth.logout())
  for (const tab of tabs) await tab.waitForFunction(() => auth.session === null, null, { polling: 20 })
  assert.equal(await page.evaluate(() => fired), false, 'a control: no timer has fired')
  await context.close()
})
