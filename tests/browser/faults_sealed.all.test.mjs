// Tests with bad networks and several tabs, whose vaults share one store. One vault at a time refreshes, and the other
// vaults take the new tokens from the store. If the tab of the refreshing vault is closed, another vault refreshes.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { createReport } from '../support/report.mjs'

const time = { timeout: 60_000 }
const TABS = 3
const CALLS = 10
/** Lifetime of an access token in seconds. */
const LIFETIME = 2

const report = createReport(`${TABS} tabs with a worker each, ${CALLS} calls of each`, [
  'the calls',
  'the session',
  'token requests',
])

let app
let proxies

before(async () => {
  app = await startApp({
    kind: 'dedicated',
    proxied: true,
    provider: { accessTokenSeconds: LIFETIME },
    config: { session: { persist: 'sealed' } },
  })
  proxies = app.proxies
})
after(async () => {
  await app?.close()
  report.print()
})
afterEach(() => {
  proxies.provider.faults.clear()
  Object.assign(app.provider.settings, { leewaySeconds: 0, accessTokenSeconds: LIFETIME })
})

/** Opens the tabs of a signed-in user, and waits until the access token has expired. */
async function expired() {
  const first = await app.open()
  await signIn(first)
  const others = Array.from({ length: TABS - 1 }, () => app.open('/', first.context()))
  const tabs = [first, ...(await Promise.all(others))]
  await Promise.all(tabs.map(booted))
  await app.provider.letAccessTokenExpire()
  const since = proxies.provider.requests.length
  const count = () =>
    proxies.provider.requests.slice(since).filter(({ endpoint }) => endpoint === 'token').length
  return { tabs, count }
}

const outcome = async (page) => {
  const { value, error } = await call(page, `${app.api.url}orders`)
  return value?.status ?? error.code ?? error.name
}

const callAll = async (tabs) => {
  const calls = tabs.flatMap((tab) => Array.from({ length: CALLS }, () => outcome(tab)))
  return [...new Set(await Promise.all(calls))]
}

const CASES = [
  { what: 'nothing goes wrong', most: 1 },
  {
    what: 'the response is lost after the rotation, provider with leeway',
    fault: { drop: true, when: 'after' },
    leewaySeconds: 60,
    most: 3,
  },
]

for (const { what, fault, leewaySeconds = 0, most } of CASES) {
  test(`${what}: every call succeeds, one vault at a time refreshes`, time, async () => {
    app.provider.settings.leewaySeconds = leewaySeconds
    const { tabs, count } = await expired()
    if (fault) proxies.provider.faults.add('token', fault)
    const came = await callAll(tabs)
    report.add(what, came.join(), 'goes on', count())
    assert.deepEqual(came, [200])
    assert.ok(count() <= most, `${count()} token requests`)
    assert.equal(app.ledger.familyRevoked(), false)
  })
}

test(
  'the refreshing tab is closed before the response: another one refreshes, provider with leeway',
  time,
  async () => {
    app.provider.settings.leewaySeconds = 60
    const { tabs, count } = await expired()
    const [first, ...others] = tabs
    proxies.provider.faults.add('token', { when: 'after', hold: new Promise(() => {}) })
    const rotated = app.ledger.until(({ type }) => type === 'token_request')
    void outcome(first).catch(() => {})
    await rotated
    const calling = callAll(others)
    await first.close()
    const came = await calling
    report.add('the refreshing tab is closed, provider with leeway', came.join(), 'goes on', count())
    assert.deepEqual(came, [200])
    assert.equal(count(), 2)
  },
)
