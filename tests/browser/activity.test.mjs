// A user's action extends the idle timeout. An event that script dispatches or a background call does not. The page is
// warned before the session ends. The tests mostly wait, so they run side by side, each with an app of its own.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/**
 * Starts an app, and signs in with this idle limit in seconds. The page's variable `events` collects its events, each
 * with the seconds since the login.
 */
async function signedIn(t, idle) {
  const app = await startApp({ config: { session: { idle } } })
  t.after(() => app.close())
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
  return { app, page }
}

const ended = (page) => page.evaluate(() => over.then(() => events))

describe('activity', { concurrency: true }, () => {
  // claim: everyday-6
  test('a click extends the idle timeout, and expiring precedes its end', time, async (t) => {
    const { page } = await signedIn(t, 12)
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

  // claim: everyday-6
  test('synthetic events and polls are not activity', time, async (t) => {
    const { app, page } = await signedIn(t, 4)
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
})
