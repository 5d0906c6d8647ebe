// Sessions that are bound to a key of the browser (Device Bound Session Credentials), in a Chromium with keys in software.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { booted } from '../../support/app.mjs'
import { launchBrowser } from '../../support/browser.mjs'
import { ALL, leftOut, rows } from '../../support/combinations.mjs'
import {
  BOUND,
  boundCookie,
  IN_FLIGHT,
  LIFE,
  RENEWAL,
  startBound,
  trustingArgs,
} from '../../support/edge/bound.mjs'

const time = { timeout: 60_000 }

/** Each case is a platform, a coordinator and a storage. */
const CASES = rows([
  ['node', 'in-isolate', 'sealed-in-cookie'],
  ['workerd', 'durable-object', 'in-store'],
  ...(ALL
    ? [
        ['node', 'node-redis', 'in-store'],
        ['workerd', 'durable-object', 'sealed-in-cookie'],
        ['deno', 'deno-kv', 'sealed-in-cookie'],
        ['deno', 'node-redis', 'in-store'],
      ]
    : []),
])
const apps = {}

before(async () => {
  for (const [platform, coordinator, storage] of CASES) {
    apps[platform + storage] = await startBound(platform, { coordinator, session: { storage } })
  }
}, time)
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

for (const [platform, , storage] of CASES) {
  const name = `${platform}, ${storage}`
  const use = async (run) => {
    const app = apps[platform + storage]
    const page = await app.open()
    try {
      await app.signInBound(page)
      await run(app, page)
    } finally {
      await app.setClock(0)
      await page.context().close()
    }
  }

  test(`a login binds the session, and calls go on: ${name}`, time, () =>
    use(async (app, page) => {
      assert.equal((await app.call(page)).value, 200)
      await app.setClock(IN_FLIGHT)
      assert.equal((await app.call(page)).value, 200)
    }),
  )

  // claim: handler-78
  test(`the browser renews the bound cookie before a call: ${name}`, time, () =>
    use(async (app, page) => {
      await app.setClock(LIFE)
      await app.expire(page)
      const before = app.requestsTo(RENEWAL).length
      assert.equal((await app.call(page)).value, 200)
      assert.ok(app.requestsTo(RENEWAL).length > before)
    }),
  )

  // The native tests check the rules. A run without `--all` tests the rest of the browser's part on one platform.
  if (!ALL && platform !== 'node') continue

  leftOut(`a slow registration is the only one: ${name}`, time, async () => {
    const app = apps[platform + storage]
    const page = await app.open()
    const before = app.requestsTo('/auth/bind').length
    // The page has asked for its session when this resolves.
    await app.hold('/auth/bind', () => app.signIn(page))
    await boundCookie(page)
    assert.equal((await app.call(page)).value, 200)
    assert.equal(app.requestsTo('/auth/bind').length - before, 1)
    await page.context().close()
  })

  leftOut(`two tabs with six calls cause one renewal: ${name}`, time, () =>
    use(async (app, page) => {
      const other = await app.open('/', page.context())
      await booted(other)
      await app.setClock(LIFE)
      await app.expire(page)
      const before = app.renewals().length
      const six = await Promise.all([page, other, page, other, page, other].map((tab) => app.call(tab)))
      assert.deepEqual(
        six.map(({ value }) => value),
        Array(6).fill(200),
      )
      const renewals = app.renewals()
      assert.equal(renewals.length - before, 1)
    }),
  )

  leftOut(`a failed renewal is renewal_failed, and the session goes on: ${name}`, time, () =>
    use(async (app, page) => {
      await app.setClock(LIFE)
      await app.expire(page)
      app.failing.set(RENEWAL, 503)
      const { error } = await app.call(page)
      app.failing.clear()
      assert.equal(error.code, 'renewal_failed')
      assert.ok(await page.evaluate(() => auth.session))
      assert.equal((await app.call(page)).value, 200)
    }),
  )

  leftOut(`a browser that has lost the key signs in again: ${name}`, time, () =>
    use(async (app, page) => {
      const session = await page.context().newCDPSession(page)
      await session.send('Network.enable')
      const added = once(session, 'Network.deviceBoundSessionsAdded')
      await session.send('Network.enableDeviceBoundSessions', { enable: true })
      const [{ sessions }] = await added
      for (const { key } of sessions) await session.send('Network.deleteDeviceBoundSession', { key })
      await app.setClock(LIFE)
      await app.expire(page)
      const { error } = await app.call(page)
      assert.equal(error.code, 'bound_cookie_missing')
      await page.waitForFunction(() => !auth.session)
      // The provider's clock is the real one, and the handler verifies its ID tokens.
      await app.setClock(0)
      await app.signInBound(page)
      assert.equal((await app.call(page)).value, 200)
    }),
  )

  leftOut(`a logout ends the browser’s bound session: ${name}`, time, () =>
    use(async (app, page) => {
      await page.evaluate(() => auth.logout())
      const names = (await page.context().cookies(app.site.origin)).map(({ name }) => name)
      assert.ok(!names.includes(BOUND), names.join())
      await app.signInBound(page)
      assert.equal((await app.call(page)).value, 200)
    }),
  )

  leftOut(`a second login is bound, too: ${name}`, time, () =>
    use(async (app, page) => {
      await app.signIn(page, { prompt: 'login' })
      await app.setClock(LIFE)
      await app.expire(page)
      assert.equal((await app.call(page)).value, 200)
    }),
  )
}

/** Runs a test on a page of an app of its own. */
const alone = async (options, run) => {
  const app = await startBound('node', { coordinator: 'in-isolate', ...options })
  try {
    await run(app)
  } finally {
    await app.close()
  }
}

/** Signs in with a browser that binds no sessions. */
const signInUnbound = async (app, run) => {
  const browser = await launchBrowser({ args: trustingArgs(app.tls.spki) })
  try {
    const page = await app.open('/', await browser.newContext())
    await app.signIn(page)
    await run(page)
  } finally {
    await browser.close()
  }
}

// claim: handler-78
test('a browser without support goes on as before', time, () =>
  alone({}, (app) =>
    signInUnbound(app, async (page) => {
      await app.setClock(LIFE)
      assert.equal((await app.call(page)).value, 200)
      assert.deepEqual(app.requestsTo('/auth/bind'), [])
    }),
  ),
)

test('required: a browser without support waits for the second offer, and is then refused', time, () =>
  // Refused calls are not activity.
  alone({ session: { bind: 'required', idle: 7200 } }, (app) =>
    signInUnbound(app, async (page) => {
      await app.setClock(60_000)
      assert.equal((await app.call(page)).value, 200)
      for (const [seconds, code] of [
        [72, 'renewal_failed'],
        [605, 'renewal_failed'],
        [3730, 'bound_cookie_missing'],
      ]) {
        await app.setClock(seconds * 1000)
        assert.equal((await app.call(page)).error.code, code)
      }
    }),
  ),
)
