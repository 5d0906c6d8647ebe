// Some providers send error responses without CORS headers, so the browser hides `invalid_grant` from the vault. The
// vault then suspects that the session has ended. Other failures that look the same to the vault must count as outages.
// Minutes pass only on the worker's clocks.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { CLOCK, setClocks } from '../support/device.mjs'

const time = { timeout: 60_000 }
const SECOND = 1000
/** A time that is longer than any wait between two attempts, as long as the session is not suspected. */
const LONG_WAIT = 80 * SECOND
/** A time that is longer than the wait between two attempts for a suspected session. */
const SUSPECTED_WAIT = 310 * SECOND

let app
let proxy
let orders

before(async () => {
  app = await startApp({ proxied: true, provider: { accessTokenSeconds: 2 } })
  app.site.files['/clock.js'] = CLOCK
  proxy = app.proxies.provider
  orders = `${app.api.url}orders`
})
after(() => app?.close())
afterEach(() => {
  proxy.faults.clear()
  Object.assign(app.provider.settings, { areAccountsBlocked: false, headers: {} })
})

/** Signs in and waits until the access token has expired. The test can set the clocks of the worker. */
async function expired({ first = '' } = {}) {
  app.setWorker(`
import '/clock.js'
import { vault } from '/strongroom/worker.js'
${first}
vault(${JSON.stringify({ ...app.config, session: { idle: 7200, absolute: 36_000 } })})
`)
  const page = await app.open()
  assert.ok((await signIn(page)).value, 'the login')
  await app.ledger.accessTokenExpired()
  const since = proxy.requests.length
  const requests = (...endpoints) =>
    proxy.requests.slice(since).filter(({ endpoint }) => endpoints.includes(endpoint))
  let ahead = 0
  return {
    page,
    attempts: () => requests('token').length,
    probes: () => requests('discovery'),
    hasProbed: () => requests('token', 'discovery').at(-1).endpoint === 'discovery',
    /** Lets this many milliseconds pass on the worker's clocks. */
    async advance(millis) {
      ahead += millis
      await setClocks(page, { wall: ahead, monotonic: ahead })
    },
  }
}

/**
 * Makes the provider reject each refresh with a real `invalid_grant`, without the CORS headers that would let the vault
 * read the response.
 */
function refuseHidden() {
  app.provider.settings.areAccountsBlocked = true
  proxy.faults.add('token', { times: Infinity, hideErrors: true })
}

const outcome = async (page) => {
  const { value, error } = await call(page, orders)
  return value?.status ?? error.code ?? error.name
}

const state = (page) => page.evaluate(() => auth.session?.state)

/** Resolves when the last attempt was followed by a probe, and all probes have ended. */
async function probed({ hasProbed, probes }) {
  const deadline = Date.now() + 10 * SECOND
  while (!hasProbed()) {
    if (Date.now() > deadline) throw new Error('no probe followed the last attempt')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await Promise.all(probes().map(({ closed }) => closed))
}

/** Calls for ten minutes, which causes many attempts. Asserts that the session does not become suspected. */
async function staysActive({ page, advance }) {
  for (let n = 0; n < 8; n++) {
    assert.equal(await outcome(page), 'provider_unavailable')
    assert.equal(await state(page), 'active')
    await advance(LONG_WAIT)
  }
}

/** Ends the fault. Asserts that after a wait a call succeeds, with the same refresh token as before. */
async function recovers({ page, advance }) {
  proxy.faults.clear()
  app.provider.settings.areAccountsBlocked = false
  await advance(SUSPECTED_WAIT)
  assert.equal(await outcome(page), 200)
  assert.equal(await state(page), 'active')
  const family = app.ledger.families()
  const own = app.ledger.refreshes().filter((refresh) => refresh.family === family)
  assert.equal(own.find(({ outcome: came }) => came === 'issued').presented, 1)
}

// claim: end-6
test('hidden refusals over two minutes require interaction', time, async () => {
  const device = await expired()
  const { page, advance, attempts, probes } = device
  refuseHidden()
  assert.equal(await outcome(page), 'provider_unavailable')
  assert.equal(attempts(), 3)
  // There are more than five attempts, but all within two minutes.
  for (const wait of [10, 20, 40]) {
    await probed(device)
    await advance(wait * SECOND)
    assert.equal(await outcome(page), 'provider_unavailable')
    assert.equal(await state(page), 'active')
  }
  assert.equal(attempts(), 6)
  await probed(device)
  await advance(LONG_WAIT)
  await outcome(page)
  await page.waitForFunction(() => auth.session?.state === 'interaction_required')
  const made = attempts()
  assert.deepEqual(await Promise.all([outcome(page), outcome(page)]), Array(2).fill('interaction_required'))
  assert.equal(attempts(), made, 'a suspected session is tried every five minutes')
  // The response to each probe was readable, and each probe had its own URL.
  assert.deepEqual([...new Set(probes().map(({ status }) => status))], [200])
  assert.equal(new Set(probes().map(({ path }) => path)).size, probes().length)
  // A repeat after more than two seconds begins with a further probe.
  assert.ok(probes().length >= made && probes().length < 2 * made, `${probes().length} probes`)
  const refusals = app.ledger.refreshes().slice(-made)
  assert.deepEqual([...new Set(refusals.map(({ outcome: code }) => code))], ['invalid_grant'])
  assert.deepEqual([...new Set(refusals.map(({ presented }) => presented))], [1])
  await recovers(device)
})

test('control: the same refusal ends the session if readable', time, async () => {
  const { page, attempts } = await expired()
  app.provider.settings.areAccountsBlocked = true
  assert.equal(await outcome(page), 'session_ended')
  assert.equal(attempts(), 1)
})

// claim: end-7
test('not suspected: a 502 without CORS headers', time, async () => {
  // A probe must not take cached metadata for a response of the provider.
  app.provider.settings.headers = { 'Cache-Control': 'public, max-age=86400' }
  const device = await expired()
  proxy.faults.add('*', { times: Infinity, answer: { status: 502, body: 'Bad gateway', cors: false } })
  await staysActive(device)
  // No probe is answered, so the refresh token is sent again only after five minutes.
  assert.ok(device.attempts() <= 2, `${device.attempts()} attempts`)
  assert.ok(device.probes().length >= 8, `${device.probes().length} probes`)
  await recovers(device)
})

leftOut('not suspected: hidden refusals while the browser says that it is offline', time, async () => {
  const first = "Object.defineProperty(WorkerNavigator.prototype, 'onLine', { get: () => false })"
  const device = await expired({ first })
  refuseHidden()
  await staysActive(device)
  assert.ok(device.attempts() >= 8, `${device.attempts()} attempts`)
  // Each repeat begins with a probe, and none follows an attempt.
  assert.ok(device.probes().length < device.attempts(), `${device.probes().length} probes`)
  await recovers(device)
})
