// Tests with bad networks and bad providers. Proxies delay, cut and refuse real connections. The tests check the
// results of calls, the survival of the session, and the number of requests to the token endpoint.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { leftOut, rows } from '../support/combinations.mjs'
import { setOffline } from '../support/device.mjs'
import { createReport } from '../support/report.mjs'

const time = { timeout: 60_000 }

/** Seconds during which a provider with leeway accepts a rotated refresh token again. */
const LEEWAY = 60

/** Lifetime of an access token in seconds. */
const LIFETIME = 2

const report = createReport('What goes wrong', ['the call', 'the session', 'token requests'])

/** The tests mostly wait, so several run side by side. Each has an app of its own, with its own servers and proxies. */
const AT_ONCE = 3

const idle = []

/** Returns a test that uses an app of its own. */
const scene = (run) => async () => {
  const app = idle.pop()
  try {
    await run(app)
  } finally {
    // A vault whose refresh has failed tries again later. Its request would count as a request of another test.
    await Promise.all(app.contexts.splice(0).map((context) => context.close()))
    for (const { faults } of Object.values(app.proxies)) faults.clear()
    Object.assign(app.provider.settings, { leewaySeconds: 0, accessTokenSeconds: LIFETIME })
    app.setConfig({})
    idle.push(app)
  }
}

const PORTAL = '<!doctype html><title>Hotel</title><p>Please accept the terms of use.'
const OK = 200

/** Opens a page of the app, in a new browser context. */
async function open(app) {
  const context = await app.browser.newContext()
  app.contexts.push(context)
  return app.open('/', context)
}

/**
 * Signs in and waits until the access token has expired. New tokens are valid for longer, so that no second refresh
 * becomes necessary. `count` returns the number of token requests since then.
 */
async function expired(app) {
  const { provider } = app.proxies
  const page = await open(app)
  await signIn(page)
  await app.provider.letAccessTokenExpire()
  const since = provider.requests.length
  const tokenRequests = () => provider.requests.slice(since).filter(({ endpoint }) => endpoint === 'token')
  return { page, tokenRequests, count: () => tokenRequests().length }
}

/** Resolves with the result of a call: the status, the error's code, or for network errors the error's name. */
const outcome = async (app, page) => {
  const { value, error } = await call(page, `${app.api.url}orders`)
  return value?.status ?? error.code ?? error.name
}

const endReason = (page) => page.evaluate(() => auth.session === null && auth.endReason)

/** Waits until the vault has refreshed the access token without a call of the page. */
const renewed = (page) =>
  page.waitForFunction(() => auth.session?.accessTokenExpiresAt > Date.now(), null, { polling: 50 })

async function goesOn(app, page) {
  app.proxies.provider.faults.clear()
  await renewed(page)
  assert.equal(await outcome(app, page), OK)
  assert.equal(await endReason(page), false)
}

describe('faults', { concurrency: AT_ONCE }, () => {
  before(async () => {
    const options = { proxied: true, provider: { accessTokenSeconds: LIFETIME } }
    const apps = await Promise.all(Array.from({ length: AT_ONCE }, () => startApp(options)))
    idle.push(...apps.map((app) => Object.assign(app, { contexts: [] })))
  })
  after(async () => {
    await Promise.all(idle.map((app) => app.close()))
    report.print()
  })

  // Controls: clients without strongroom also see the proxies' faults.

  test(
    'control: undisturbed, the proxies pass on every byte',
    time,
    scene(async (app) => {
      const { proxies } = app
      const discovery = '/.well-known/openid-configuration'
      const direct = await (await fetch(app.provider.origin + discovery)).json()
      const proxied = await (await fetch(app.provider.issuer + discovery)).json()
      assert.equal(proxied.issuer, app.provider.issuer)
      assert.deepEqual(Object.keys(proxied), Object.keys(direct))
      assert.equal(proxied.token_endpoint, `${proxies.provider.origin}/token`)
    }),
  )

  test(
    'control: plain fetch sees each fault',
    time,
    scene(async ({ proxies }) => {
      const { faults, origin, requests } = proxies.provider
      const ask = (init) => fetch(`${origin}/jwks`, init)
      faults.add('jwks', { times: 2, answer: { status: 503, body: 'Busy' } })
      assert.deepEqual([(await ask()).status, (await ask()).status, (await ask()).status], [503, 503, OK])
      faults.add('jwks', { answer: { status: 429, headers: { 'Retry-After': '2' } } })
      assert.equal((await ask()).headers.get('Retry-After'), '2')
      faults.add('jwks', { answer: { body: PORTAL } })
      assert.match(await (await ask()).text(), /terms of use/)

      const before = performance.now()
      faults.add('jwks', { delay: 300 })
      assert.equal((await ask()).status, OK)
      assert.ok(performance.now() - before >= 300)
      faults.add('jwks', { hold: new Promise(() => {}) })
      await assert.rejects(ask({ signal: AbortSignal.timeout(200) }), { name: 'TimeoutError' })

      const whole = (await (await ask()).text()).length
      faults.add('jwks', { cutAfter: 20 })
      const cut = await ask()
      assert.ok(Number(cut.headers.get('Content-Length')) === whole && whole > 20)
      await assert.rejects(cut.text())
      faults.add('jwks', { drop: true })
      await assert.rejects(ask(), TypeError)
      faults.add('jwks', { drop: true, when: 'after' })
      await assert.rejects(ask(), TypeError)

      await proxies.provider.refuse()
      await assert.rejects(ask(), ({ cause }) => cause.code === 'ECONNREFUSED')
      await proxies.provider.accept()
      assert.equal((await ask()).status, OK)
      assert.ok(requests.filter(({ endpoint }) => endpoint === 'jwks').length >= 12)
    }),
  )

  // Faults that end after a few requests.

  const PASSING = [
    {
      what: '503 twice, then fine',
      fault: { times: 2, answer: { status: 503, body: 'Busy' } },
      requests: 3,
    },
    {
      what: 'a captive portal’s page that the browser hides (no CORS), twice',
      fault: { times: 2, answer: { body: PORTAL, cors: false } },
      requests: 3,
    },
    {
      what: 'the connection is cut before the provider has the request',
      fault: { drop: true },
      // A browser repeats a request by itself if the connection that it reused was closed.
      requests: [2, 3],
    },
    {
      what: 'the response is cut in the middle, provider with leeway',
      fault: { cutAfter: 100 },
      leeway: LEEWAY,
      requests: 2,
    },
  ]

  for (const { what, fault, leeway = 0, requests } of rows(PASSING)) {
    // claim: everyday-3
    test(
      `${what}: the call succeeds, the session continues`,
      time,
      scene(async (app) => {
        const { proxies } = app
        app.provider.settings.leewaySeconds = leeway
        const { page, count } = await expired(app)
        proxies.provider.faults.add('token', fault)
        const came = await outcome(app, page)
        report.add(what, came, 'goes on', count())
        assert.equal(came, OK)
        assert.equal(await endReason(page), false)
        const [least, most] = [requests].flat()
        assert.ok(count() >= least && count() <= (most ?? least), `${count()} token requests`)
      }),
    )
  }

  const AN_HOUR_AGO = Date.now() - 3_600_000
  const ofHourAgo = (seconds) => new Date(AN_HOUR_AGO + seconds * 1000).toUTCString()
  leftOut(
    "429 with Retry-After by the provider's clock: the next attempt waits that long",
    time,
    scene(async (app) => {
      const { proxies } = app
      const { page, tokenRequests } = await expired(app)
      const headers = { Date: ofHourAgo(0), 'Retry-After': ofHourAgo(3) }
      const answer = { status: 429, headers, body: { error: 'slow_down' } }
      proxies.provider.faults.add('token', { answer })
      assert.equal(await outcome(app, page), OK)
      const [first, second] = tokenRequests()
      assert.ok(second.at - first.at >= 3000, `${second.at - first.at} ms`)
    }),
  )

  // Faults that last until the end of the test.

  const LASTING = [
    {
      what: 'a response after 4 s, time limit 1 s, provider with leeway',
      config: { requestTimeout: 1, refreshTimeout: 1 },
      leeway: LEEWAY,
      fault: { delay: 4000, when: 'after' },
      // The calls wait 1 s for the second attempt together with its probe, so its request has not timed out by then. If the
      // vault's timer is late, it has, and the calls also wait for the third attempt.
      requests: [2, 3],
    },
  ]

  for (const { what, fault, requests, leeway = 0, config = {} } of LASTING) {
    // claim: everyday-3
    test(
      `${what}: all calls are refused, and the session continues`,
      time,
      scene(async (app) => {
        const { proxies } = app
        app.setConfig(config)
        app.provider.settings.leewaySeconds = leeway
        const { page, count } = await expired(app)
        proxies.provider.faults.add('token', { times: Infinity, ...fault })
        const calls = await Promise.all(Array.from({ length: 50 }, () => outcome(app, page)))
        const made = count()
        report.add(what, [...new Set(calls)].join(), 'goes on', `${made} for 50 calls`)
        assert.deepEqual([...new Set(calls)], ['provider_unavailable'])
        assert.ok(requests.includes(made), `${made} token requests`)
        await goesOn(app, page)
      }),
    )
  }

  leftOut(
    '429 for a number of seconds over 64 bits: calls are refused without a request',
    time,
    scene(async (app) => {
      const { proxies } = app
      const { page, count } = await expired(app)
      const headers = { 'Retry-After': '9'.repeat(22) }
      proxies.provider.faults.add('token', { answer: { status: 429, headers, body: { error: 'slow_down' } } })
      const calls = []
      for (let n = 0; n < 20; n++) calls.push(await outcome(app, page))
      report.add('429, long Retry-After', [...new Set(calls)].join(), 'goes on', `${count()} for 20 calls`)
      assert.deepEqual([...new Set(calls)], ['provider_unavailable'])
      assert.equal(count(), 1)
      assert.equal(await endReason(page), false)
    }),
  )

  // The provider cannot be reached.

  leftOut(
    'offline and back: with a valid token, calls fail as fetch does',
    time,
    scene(async (app) => {
      const { proxies } = app
      app.provider.settings.accessTokenSeconds = 60
      const page = await open(app)
      await signIn(page)
      const since = proxies.provider.requests.length
      await setOffline(page, true)
      const came = await outcome(app, page)
      await setOffline(page, false)
      report.add('offline, with a valid token', came, 'goes on', proxies.provider.requests.length - since)
      assert.equal(came, 'TypeError')
      assert.equal(await outcome(app, page), OK)
      assert.equal(proxies.provider.requests.length, since)
    }),
  )

  // claim: everyday-3
  test(
    'offline and back: an expired token is refreshed when the device is online',
    time,
    scene(async (app) => {
      const { page, count } = await expired(app)
      await setOffline(page, true)
      const came = await outcome(app, page)
      assert.equal(count(), 0, 'the worker was not offline')
      await setOffline(page, false)
      const back = await outcome(app, page)
      report.add('offline, with an expired token', came, 'goes on', count())
      assert.equal(came, 'provider_unavailable')
      assert.equal(back, OK, 'the first call after that')
      assert.equal(count(), 1)
    }),
  )

  // A provider that has restarted with new keys replaces the first provider.

  // claim: everyday-3
  test(
    'a provider that restarts with new signing keys',
    time,
    scene(async (app) => {
      const { proxies } = app
      const { page, tokenRequests } = await expired(app)
      await proxies.provider.refuse()
      assert.equal(await outcome(app, page), 'provider_unavailable')
      await app.provider.changeKeys()
      await proxies.provider.accept()
      await renewed(page)
      const came = await outcome(app, page)
      report.add('a restart, with new signing keys', came, 'goes on', tokenRequests().length)
      assert.equal(came, OK)
      assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
      assert.ok(tokenRequests().length <= 2)
      // The vault fetches the new keys for the new ID token, and verifies a later login with them.
      const keys = proxies.provider.requests.filter(({ endpoint }) => endpoint === 'jwks').length
      assert.ok(keys >= 2, `the keys were fetched ${keys} times`)
      const next = await open(app)
      assert.deepEqual(await signIn(next), { value: { returnTo: '/' } })
      await booted(next)
    }),
  )
})
