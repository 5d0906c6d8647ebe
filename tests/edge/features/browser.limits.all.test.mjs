// Tests the limits of sessions without activity in the page, and changes of a session while its page is inactive.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { booted, call } from '../../support/app.mjs'
import { goBack, mark, WITH_CACHE } from '../../support/bfcache.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { played } from '../../support/retries.mjs'

const time = { timeout: 60_000 }

// These tests mostly wait.
describe('limits', { concurrency: true }, () => {
  let app
  before(async () => {
    app = await startPage('node', {
      coordinator: 'in-isolate',
      provider: { accessTokenSeconds: 600 },
      handler: { session: { idle: 12, absolute: 3600 } },
    })
  })
  after(() => app?.close())

  const signedIn = async () => {
    const page = await app.open()
    await app.signIn(page)
    await page.evaluate(() => {
      globalThis.warnings = []
      auth.on('expiring', (warning) => warnings.push(warning))
    })
    return page
  }
  const idle = (page) => page.evaluate(() => auth.session.idleExpiresAt)

  test('page is warned before its session ends', time, async () => {
    const page = await signedIn()
    const at = await idle(page)
    // A background call is not activity of the user.
    const { value } = await call(page, `${app.api.url}me`, { background: true })
    assert.equal(value.status, 200)
    await page.waitForFunction(() => warnings.length)
    assert.deepEqual(await page.evaluate(() => warnings), [{ at }])
    assert.equal(await page.evaluate(() => auth.session.idleExpiresAt), at)
    await page.waitForFunction(() => auth.session === null)
    const [reason, change] = await page.evaluate(() => [auth.endReason, changes.at(-1)])
    assert.equal(reason, 'idle')
    assert.deepEqual(change, { session: null, reason: 'idle' })
  })

  test('activity in the page extends the session', time, async () => {
    const page = await signedIn()
    const before = await idle(page)
    // The handler records activity only from time to time, so an earlier click would change nothing.
    await page.waitForFunction((at) => at - Date.now() < 10_000, before)
    await page.mouse.click(5, 5)
    await page.waitForFunction((at) => auth.session.idleExpiresAt > at, before)
  })

  test('calls extend the session before the warning', time, async () => {
    const page = await signedIn()
    const before = await idle(page)
    await page.waitForFunction((at) => at - Date.now() < 6000, before)
    assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
    await page.waitForFunction((at) => auth.session.idleExpiresAt > at, before)
    assert.deepEqual(await page.evaluate(() => warnings), [])
  })
})

describe('away', () => {
  let app
  before(async () => {
    app = await startPage('node', {
      coordinator: 'in-isolate',
      provider: { accessTokenSeconds: 600 },
      launch: WITH_CACHE,
    })
  })
  after(() => app?.close())

  test(
    'page from the back-forward cache notices a logout',
    time,
    played(async () => {
      const page = await app.open()
      await app.signIn(page)
      await mark(page)
      await page.goto(`${app.site.origin}/empty`)
      const status = await page.evaluate(async () => {
        const response = await fetch('/auth/logout', { method: 'POST', headers: { 'x-strongroom': '1' } })
        return response.status
      })
      assert.equal(status, 200)
      await goBack(page)
      await page.waitForFunction(() => auth.session === null)
    }),
  )

  test(
    'returning from the provider cancels the login',
    time,
    played(async () => {
      const page = await app.open()
      await booted(page)
      await mark(page)
      await page.evaluate(() => {
        globalThis.login = settle(auth.login())
      })
      await page.waitForURL((url) => url.origin === app.provider.origin)
      await goBack(page)
      const { error } = await page.evaluate(() => login)
      assert.equal(error.code, 'login_canceled')
      // The canceled login does not affect a later login.
      await app.signIn(page)
      assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
    }),
  )
})
