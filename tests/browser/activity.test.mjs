// A user's action extends the idle timeout. An event that script dispatches or a background call does not. The page is
// warned before the session ends.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp()
})
after(() => app.close())
afterEach(() => app.setConfig({}))

/**
 * Signs in with this idle limit in seconds. The page's variable `events` collects its events, each with the seconds
 * since the login.
 */
async function signedIn(idle) {
  app.setConfig({ session: { idle } })
  const page = await app.open()
  await booted(page)
  await signIn(page)
  await page.evaluate(() => {
    const start = performance.now()
    globalThis.events = []
    const note = (what) => events.push({ what, at: (performance.now() - start) / 1000 })
    auth.on('expiring', ({ at }) => note(at > Date.now() ? 'expiring' : 'expiring too late'))
    addEventListener('mousedown', () => (globalThis.clicked = (performance.now() - start) / 1000))
    globalThis.over = new Promise((resolve) => {
      auth.on('change', ({ session, reason }) => {
        note(session ? 'session' : reason)
        if (!session) resolve()
      })
    })
  })
  return page
}

const ended = (page) => page.evaluate(() => over.then(() => events))

test('a click extends the idle timeout, and expiring precedes its end', time, async () => {
  const page = await signedIn(12)
  await page.waitForTimeout(3000)
  await page.mouse.click(10, 10)
  const events = await ended(page)
  const names = events.map(({ what }) => what)
  assert.deepEqual(names, ['expiring', 'idle'])
  const [{ at: warned }, { at: idle }] = events
  const waited = idle - (await page.evaluate(() => clicked))
  assert.ok(waited > 11.5 && waited < 14.9, `it ended ${waited} s after the click`)
  assert.ok(idle - warned > 0.3, `it was announced ${idle - warned} s ahead`)
})

test('synthetic events and polls are not activity', time, async () => {
  const page = await signedIn(4)
  await page.evaluate((url) => {
    setInterval(() => {
      dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }))
      auth.fetch(url, { background: true }).catch(() => {})
    }, 300)
  }, `${app.api.url}orders`)
  const events = await ended(page)
  assert.equal(events.at(-1).what, 'idle')
  assert.ok(events.at(-1).at < 10, `it ended after ${events.at(-1).at} s`)
})

test('an expiring token is refreshed for an active user', time, async () => {
  app.provider.settings.accessTokenSeconds = 20
  const page = await signedIn(600)
  app.provider.settings.accessTokenSeconds = 10
  await page.waitForTimeout(18_500)
  const refreshed = app.ledger.until(({ type }) => type === 'token_request')
  await page.mouse.click(10, 10)
  await refreshed
  assert.equal(app.ledger.generation(), 2)
})
