// Tests of the limits of a persisted session. A reload with its new worker moves neither limit, and calls do not move
// the absolute limit. At the absolute limit the vault revokes the refresh token. The tests mostly wait, so they run side by
// side, each with an app of its own.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** Starts an app for a test. */
async function start(t) {
  const app = await startApp({ kind: 'dedicated', provider: { accessTokenSeconds: 3 } })
  t.after(() => app.close())
  return app
}

/**
 * Signs in and reloads the page. Resolves with the page, and with the session that the first and the second worker
 * reported.
 */
async function reloaded(app, session) {
  app.setConfig({ session: { persist: 'sealed', ...session } })
  const page = await app.open()
  await signIn(page)
  const seen = () => page.evaluate(() => auth.session)
  const before = await seen()
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  return { page, before, after: await seen() }
}

/**
 * Resolves when the page has no session any more, with the reason for the session's end, and with the time in
 * milliseconds since the Unix epoch.
 */
const ended = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const tell = (reason) => resolve({ reason, at: Date.now() })
        if (!auth.session) tell(auth.endReason)
        auth.on('change', ({ session, reason }) => session || tell(reason))
      }),
  )

/** Asserts that a session did not end before its limit, and at most as much later as a busy machine needs. */
function assertOnTime(at, limit) {
  const late = at - limit
  assert.ok(late > -1000 && late < 5000, `it ended ${late} ms late`)
}

/** Calls the API until the session ends. Checks the reason and the time of the end, and that it revokes the grant. */
async function endsOnTime(app, page, { expiresAt }, expected) {
  await page.evaluate((url) => {
    setInterval(() => auth.fetch(url).catch(() => {}), 500)
  }, `${app.api.url}orders`)
  const revoked = app.ledger.until(({ type }) => type === 'revocation')
  const { reason, at } = await ended(page)
  assert.equal(reason, expected)
  assertOnTime(at, expiresAt)
  await revoked
  assert.ok(app.ledger.familyRevoked())
}

/** Makes the stored session a new one, with the stored key, as a script of the page could. */
const rejuvenate = () =>
  new Promise((resolve) => {
    indexedDB.open('strongroom').onsuccess = ({ target: { result: db } }) => {
      const reading = db.transaction(['keys', 'logins'])
      const keys = reading.objectStore('keys').getAll()
      const records = reading.objectStore('logins').getAll()
      reading.oncomplete = async () => {
        const record = records.result.find(({ name }) => name.startsWith('session '))
        const additionalData = new TextEncoder().encode(record.name)
        const algorithm = { name: 'AES-GCM', iv: record.iv, additionalData }
        const key = keys.result.find((one) => one instanceof CryptoKey)
        const plain = await crypto.subtle.decrypt(algorithm, key, record.sealed)
        const session = { ...JSON.parse(new TextDecoder().decode(plain)), age: 0, kept_at: Date.now() }
        record.sealed = await crypto.subtle.encrypt(
          algorithm,
          key,
          new TextEncoder().encode(JSON.stringify(session)),
        )
        const writing = db.transaction('logins', 'readwrite')
        writing.objectStore('logins').put(record)
        writing.oncomplete = () => resolve(db.close())
      }
    }
  })

/** Resolves with the milliseconds by which the session's end moves if `tamper` runs in the page before a reload. */
async function moved(app, tamper) {
  const { page, before } = await reloaded(app, { absolute: 900 })
  await page.waitForFunction((at) => Date.now() > at, before.expiresAt - 899_000)
  await page.evaluate(tamper)
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  const { expiresAt } = await page.evaluate(() => auth.session)
  return expiresAt - before.expiresAt
}

describe('limits', { concurrency: true }, () => {
  // claim: script-29
  test('absolute: calls and reloads do not extend it, and the end revokes', time, async (t) => {
    const app = await start(t)
    const { page, before, after } = await reloaded(app, { absolute: 9 })
    assert.ok(
      Math.abs(after.expiresAt - before.expiresAt) < 100,
      `${before.expiresAt} became ${after.expiresAt}`,
    )
    await endsOnTime(app, page, before, 'absolute')
    const { error } = await call(page, `${app.api.url}orders`)
    assert.equal(error.code, 'login_required')
  })

  test('idle: a reload is not activity', time, async (t) => {
    const { page, before, after } = await reloaded(await start(t), { idle: 6 })
    assert.ok(
      after.idleExpiresAt - before.idleExpiresAt < 100,
      `${before.idleExpiresAt} became ${after.idleExpiresAt}`,
    )
    const { reason, at } = await ended(page)
    assert.equal(reason, 'idle')
    assertOnTime(at, before.idleExpiresAt)
  })

  // claim: script-29
  test('script with the key of a sealed session extends its absolute limit', time, async (t) => {
    const app = await start(t)
    const [extended, untouched] = [await moved(app, rejuvenate), await moved(app, () => {})]
    assert.ok(extended > 900, `${extended} ms`)
    assert.ok(Math.abs(untouched) < 100, `${untouched} ms without a changed record`)
  })
})
