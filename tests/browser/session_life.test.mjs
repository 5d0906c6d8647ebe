// A session whose timers are late, and one whose organization changes. tests/engines tests the main behaviors of a session.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app
let orders

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 4 } })
  orders = `${app.api.url}orders`
})
after(() => app?.close())

const status = async (page) => (await call(page, orders)).value?.status

/** Opens the address in this many new tabs of the page's user. Resolves with all tabs. */
async function withTabs(page, count) {
  const tabs = Array.from({ length: count }, () => app.open('/', page.context()))
  const opened = [page, ...(await Promise.all(tabs))]
  await Promise.all(opened.map(booted))
  return opened
}

/** Makes timers of this page or worker a minute late, as browsers do in a background tab. */
const LATE_TIMERS = `
const { setTimeout: later } = globalThis
globalThis.setTimeout = (action, ms = 0, ...more) => later(action, ms + 60_000, ...more)
globalThis.requestIdleCallback = (action) => setTimeout(action)
globalThis.fired = false
setTimeout(() => (fired = true))`

// claim: end-26
test('a session whose timers are a minute late', time, async () => {
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

// claim: end-30
test('a session whose organization changes', time, async () => {
  app.setConfig({ sameClaims: ['org_id'], claims: ['org_id'] })
  app.provider.settings.organization = 'acme'
  const page = await app.open('/', await app.browser.newContext())
  await signIn(page)
  await app.ledger.accessTokenExpired()
  assert.equal(await status(page), 200, 'a control: a refresh of the same organization')
  const family = app.ledger.families()
  const revocations = app.ledger.revocations().length
  app.provider.settings.organization = 'globex'
  await app.ledger.accessTokenExpired()
  const { error } = await call(page, orders)
  assert.equal(error.code, 'session_ended')
  assert.deepEqual(await page.evaluate(() => [auth.session, auth.endReason]), [null, 'claims_changed'])
  assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
  assert.equal(await page.evaluate(() => auth.session.claims.org_id), 'globex')
  assert.equal(await status(page), 200)
  assert.equal(app.ledger.revocations().length, revocations)
  assert.ok(!app.ledger.familyRevoked(family))
  await page.context().close()
})
