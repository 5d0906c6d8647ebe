// Tests of the rule that a refresh token is not sent over a line that may be about to change: see src/vault/refresh.rs. The
// provider has no leeway, so a lost response to a refresh ends the session. A proxy is the network of a device that has
// just come online. The tests check the order of requests at the proxy, not how long the vault waits.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'
import { leftOut, rows } from '../support/combinations.mjs'
import { CLOCK, setClocks } from '../support/device.mjs'

const time = { timeout: 60_000 }
/** Lifetime of the first access token in seconds, for tests that wait until it has expired. */
const LIFETIME = 2
/** Lifetime of an access token in seconds, for the test that moves the clock. */
const LONG = 300

let app
let provider

before(async () => {
  app = await startApp({ proxied: true, provider: { accessTokenSeconds: LIFETIME } })
  provider = app.proxies.provider
  app.site.files['/clock.js'] = CLOCK
  app.setWorker(`
import '/clock.js'
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
`)
})
after(() => app?.close())

/** Runs a test in a new browser context. */
const scene = (run) => async (t) => {
  const page = await app.open()
  try {
    await run(page, t)
  } finally {
    await page.context().close()
    for (const { faults } of Object.values(app.proxies)) faults.clear()
    app.provider.settings.accessTokenSeconds = LIFETIME
  }
}

/**
 * Signs in and waits until the access token has expired. Returns a function that returns the names of the requests to the
 * provider since then.
 */
async function expired(page) {
  await signIn(page)
  await app.provider.letAccessTokenExpire()
  const since = provider.requests.length
  return () => provider.requests.slice(since).map(({ endpoint }) => endpoint)
}

const orders = async (page) => {
  const { value, error } = await call(page, `${app.api.url}orders`)
  return value?.status ?? error.code ?? error.name
}

/** Takes the page offline and back online. Its shared worker stays online, as a worker does whose page tells too late. */
async function comeOnline(page) {
  await page.evaluate(() => {
    globalThis.isOnline = new Promise((resolve) =>
      addEventListener('online', () => resolve(), { once: true }),
    )
  })
  await page.context().setOffline(true)
  await page.context().setOffline(false)
  await page.evaluate(() => isOnline)
}

const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000))

/** Checks that the session continues, and that the provider has received one refresh token, directly after a probe. */
async function survived(page, names) {
  assert.deepEqual(names.slice(-2), ['discovery', 'token'], `${names}`)
  assert.equal(names.filter((name) => name === 'token').length, 1, `${names}`)
  assert.equal(await page.evaluate(() => auth.session === null && auth.endReason), false)
  assert.equal(app.ledger.familyRevoked(), false)
}

describe('a call with an expired token', () => {
  for (const [when, isOver] of rows([
    ['for 2 s after a wake', () => seconds(2)],
    [
      'until a probe was lost',
      async (first) => {
        await first
        await Promise.all(provider.requests.slice(-1).map(({ closed }) => closed))
      },
    ],
  ])) {
    // claim: everyday-5
    test(
      `while every response is lost ${when}: no refresh token is sent in this time`,
      time,
      scene(async (page) => {
        const names = await expired(page)
        provider.faults.add('*', { when: 'after', drop: true, times: Infinity })
        await comeOnline(page)
        const first = provider.faults.taken()
        const calling = orders(page)
        await isOver(first)
        const lost = names()
        provider.faults.clear()
        assert.equal(await calling, 200)
        assert.ok(!lost.includes('token'), `lost: ${lost}`)
        await survived(page, names())
      }),
    )
  }

  leftOut(
    'the network works after a wake, and changes once, 1.5 s later: the refresh token is sent after that',
    time,
    scene(async (page, t) => {
      const names = await expired(page)
      let change
      const hold = new Promise((resolve) => (change = resolve))
      // The provider rotates the token at once. The change comes before the response has arrived.
      provider.faults.add('token', { when: 'after', hold, drop: true, times: Infinity })
      const awake = Date.now()
      await comeOnline(page)
      const calling = orders(page)
      await seconds(1.5)
      const before = names()
      if (Date.now() - awake > 2800)
        return t.skip('this machine was too slow for a change before the vault’s 3 s')
      provider.faults.clear()
      change()
      provider.cut()
      assert.equal(await calling, 200)
      assert.deepEqual(before, [])
      await survived(page, names())
    }),
  )

  leftOut(
    'of an event source, after a wake: a user waits for it, so it opens before the time limit of a call',
    time,
    scene(async (page) => {
      const names = await expired(page)
      app.api.on('stream', ({ response }) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.write('data: first\n\n')
      })
      await comeOnline(page)
      const event = await page.evaluate(
        (address) =>
          new Promise((resolve) => {
            const source = auth.eventSource(address)
            source.onopen = source.onerror = ({ type }) => {
              source.close()
              resolve(type)
            }
          }),
        `${app.api.url}on/stream`,
      )
      assert.equal(event, 'open')
      await survived(page, names())
    }),
  )

  // claim: everyday-5
  test(
    'without a sign of a change: it is refreshed at once, and nothing is probed',
    time,
    scene(async (page) => {
      const names = await expired(page)
      assert.equal(await orders(page), 200)
      assert.deepEqual(names(), ['token'])
    }),
  )
})

leftOut(
  'a call in the last third of the token’s lifetime is answered first, and then followed by a refresh',
  time,
  scene(async (page) => {
    app.provider.settings.accessTokenSeconds = LONG
    await signIn(page)
    const since = provider.requests.length
    const later = (part) => {
      const ahead = part * LONG * 1000
      return setClocks(page, { wall: ahead, monotonic: ahead })
    }

    await later(0.4)
    assert.equal(await orders(page), 200)
    assert.equal(provider.requests.length, since)

    // The last tenth, in which a call may cause a refresh beside it, has not begun.
    await later(0.8)
    let answer
    app.proxies.api.faults.add('api', { hold: new Promise((resolve) => (answer = resolve)) })
    const held = app.proxies.api.faults.taken()
    const expiry = await page.evaluate(() => auth.session.accessTokenExpiresAt)
    const calling = orders(page)
    await held
    const answered = Date.now()
    answer()
    assert.equal(await calling, 200)
    await page.waitForFunction((known) => auth.session.accessTokenExpiresAt > known, expiry)
    const [{ endpoint, at }, ...more] = provider.requests.slice(since)
    assert.deepEqual([endpoint, more], ['token', []])
    assert.ok(at >= answered, `${answered - at} ms before the response`)
    assert.equal(await orders(page), 200)
    assert.equal(app.api.requests.at(-1).authorization, `Bearer ${app.ledger.newest('access_token').value}`)
  }),
)
