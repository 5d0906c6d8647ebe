// Tests with devices that sleep, and with devices whose clock is wrong.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { CLOCK, fallAsleep, setClocks } from '../support/device.mjs'
import { createReport } from '../support/report.mjs'

const time = { timeout: 60_000 }
const MINUTE = 60_000
/** Lifetime of an access token in seconds. */
const LIFETIME = 2
/** Lifetime of the tokens of a refresh, if the test calls the API only after the refresh. */
const LONG = 60
const REFRESH_LIFETIME = 14 * 24 * 3600

const report = createReport('Event of the device', ['the call', 'the session', 'token requests'])

let app
let proxies
let orders

before(async () => {
  app = await startApp({ proxied: true, provider: { accessTokenSeconds: LIFETIME } })
  app.site.files['/clock.js'] = CLOCK
  proxies = app.proxies
  orders = `${app.api.url}orders`
})
after(async () => {
  await app?.close()
  report.print()
})
afterEach(() => {
  for (const { faults } of Object.values(proxies)) faults.clear()
  Object.assign(app.provider.settings, {
    leewaySeconds: 0,
    accessTokenSeconds: LIFETIME,
    refreshTokenSeconds: REFRESH_LIFETIME,
  })
  app.setConfig({})
})

/** Signs in. `count` returns the number of token requests since then. */
async function signedIn() {
  const page = await app.open()
  assert.ok((await signIn(page)).value, 'the login')
  const since = proxies.provider.requests.length
  const asked = () => proxies.provider.requests.slice(since)
  return { page, count: () => asked().filter(({ endpoint }) => endpoint === 'token').length }
}

const outcome = async (page) => {
  const { value, error } = await call(page, orders)
  return value?.status ?? error.code ?? error.name
}

const end = (page) => page.evaluate(() => auth.session === null && auth.endReason)

/** Resolves when the newest token of this kind has expired, by the provider's clock. */
async function over(kind) {
  const left = app.ledger.newest(kind).expiresAt - Date.now()
  await new Promise((resolve) => setTimeout(resolve, left + 1))
}

/**
 * Sets a worker file in which a test can set the clocks. From the start, the wall clock is ahead by `wall`
 * milliseconds.
 */
const withClock = (wall, config = {}) =>
  app.setWorker(`
import { set } from '/clock.js'
import { vault } from '/strongroom/worker.js'
set({ wall: ${wall} })
vault(${JSON.stringify({ ...app.config, ...config })})
`)

test('control: nothing runs while the device sleeps', time, async () => {
  const page = await app.open()
  await booted(page)
  await page.evaluate(() => {
    globalThis.ticks = []
    setInterval(() => ticks.push(Date.now()), 10)
  })
  await page.waitForFunction(() => ticks.length > 10)
  const wake = await fallAsleep(app.browser)
  const since = Date.now()
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const until = Date.now()
  wake()
  await page.waitForFunction((then) => ticks.at(-1) > then, until)
  // A timer that was due when the processes stopped may still have fired.
  const asleep = await page.evaluate(
    ([from, to]) => ticks.filter((at) => at > from + 50 && at < to).length,
    [since, until],
  )
  assert.equal(asleep, 0)
})

// claim: everyday-5
test('asleep past the access token’s expiry: the next call refreshes once', time, async () => {
  const { page, count } = await signedIn()
  const wake = await fallAsleep(app.browser)
  await app.ledger.accessTokenExpired()
  app.provider.settings.accessTokenSeconds = LONG
  // Servers close connections to a sleeping device.
  for (const proxy of Object.values(proxies)) proxy.cut()
  wake()
  const calls = await Promise.all(Array.from({ length: 20 }, () => outcome(page)))
  report.add('asleep past the access token’s expiry', [...new Set(calls)].join(), 'goes on', count())
  assert.deepEqual([...new Set(calls)], [200])
  assert.equal(await end(page), false)
  assert.equal(count(), 1)
})

leftOut(
  'asleep past the refresh token’s expiry: the session ends with the provider’s reason',
  time,
  async () => {
    app.provider.settings.refreshTokenSeconds = LIFETIME + 1
    const { page, count } = await signedIn()
    const wake = await fallAsleep(app.browser)
    await over('refresh_token')
    for (const proxy of Object.values(proxies)) proxy.cut()
    wake()
    const came = await outcome(page)
    const reason = await end(page)
    report.add('asleep past the refresh token’s expiry', came, `ends: ${reason}`, count())
    assert.deepEqual([came, reason], ['session_ended', 'provider_ended'])
    assert.equal(count(), 1)
    assert.equal(await outcome(page), 'login_required')
  },
)

for (const { leewaySeconds, came, reason } of [
  { leewaySeconds: 60, came: 200, reason: false },
  { leewaySeconds: 0, came: 'session_ended', reason: 'provider_ended' },
]) {
  const what = `asleep in the middle of a refresh whose response is lost, leeway ${leewaySeconds} s`
  leftOut(`${what}: ${came}`, time, async () => {
    app.provider.settings.leewaySeconds = leewaySeconds
    const { page, count } = await signedIn()
    await app.ledger.accessTokenExpired()
    app.provider.settings.accessTokenSeconds = LONG
    proxies.provider.faults.add('token', { when: 'after', hold: new Promise(() => {}) })
    const rotated = app.ledger.until(({ type }) => type === 'token_request')
    const calling = outcome(page)
    await rotated
    const wake = await fallAsleep(app.browser)
    for (const proxy of Object.values(proxies)) proxy.cut()
    wake()
    const got = await calling
    const ended = await end(page)
    report.add(what, got, ended ? `ends: ${ended}` : 'goes on', count())
    assert.deepEqual([got, ended], [came, reason])
    assert.ok(count() <= 3, `${count()} token requests`)
  })
}

for (const [what, wall] of [
  ['ahead', 10 * MINUTE],
  ['behind', -10 * MINUTE],
]) {
  leftOut(`a clock that is ten minutes ${what}: a login fails with an explanation`, time, async () => {
    withClock(wall)
    const page = await app.open()
    const { error } = await signIn(page)
    report.add(`the clock is 10 minutes ${what}`, error.code, 'does not begin', 1)
    assert.equal(error.code, 'id_token_invalid')
    assert.match(error.message, /clock/)
  })

  for (const [how, config, fault] of [
    ['clockTolerance: 600', { clockTolerance: 600 }],
    ['the provider exposes Date', {}, { times: Infinity, add: { 'Access-Control-Expose-Headers': 'Date' } }],
  ]) {
    const name = `a clock that is ten minutes ${what}, ${how}`
    leftOut(`${name}: login, calls and refreshes work`, time, async () => {
      withClock(wall, config)
      if (fault) proxies.provider.faults.add('token', fault)
      const { page, count } = await signedIn()
      const calls = [await outcome(page)]
      for (let n = 0; n < 2; n++) {
        await app.ledger.accessTokenExpired()
        calls.push(await outcome(page))
      }
      report.add(name, [...new Set(calls)].join(), 'goes on', `${count()} for 2 expired tokens`)
      assert.deepEqual([...new Set(calls)], [200])
      assert.equal(await end(page), false)
      // Each of the two tokens may cause two refreshes: one for the calls, and one before the expiry because the user
      // is active.
      assert.ok(count() <= 4, `${count()} token requests`)
    })
  }

  leftOut(`a clock that is set ten minutes ${what} during a session`, time, async () => {
    app.provider.settings.accessTokenSeconds = 60
    withClock(0)
    const { page, count } = await signedIn()
    await setClocks(page, { wall })
    const calls = []
    for (let n = 0; n < 5; n++) calls.push(await outcome(page))
    report.add(`the clock is set 10 minutes ${what}`, [...new Set(calls)].join(), 'goes on', count())
    assert.deepEqual([...new Set(calls)], [200])
    assert.equal(await end(page), false)
    assert.ok(count() <= 1, `${count()} token requests`)
  })
}

leftOut('control: the worker’s clock is the one that was set', time, async () => {
  withClock(0)
  const { page } = await signedIn()
  // The idle limit is half an hour, which has passed by this clock.
  await setClocks(page, { wall: 40 * MINUTE })
  assert.equal(await outcome(page), 'login_required')
  assert.equal(await end(page), 'idle')
})

leftOut('a sleep of twenty minutes without a tick of the monotonic clock', time, async () => {
  app.provider.settings.accessTokenSeconds = 60
  withClock(0)
  const { page, count } = await signedIn()
  await setClocks(page, { wall: 20 * MINUTE, monotonic: 0 })
  const calls = await Promise.all(Array.from({ length: 20 }, () => outcome(page)))
  report.add('20 minutes asleep, by the wall clock only', [...new Set(calls)].join(), 'goes on', count())
  assert.deepEqual([...new Set(calls)], [200])
  assert.equal(count(), 1)
})
