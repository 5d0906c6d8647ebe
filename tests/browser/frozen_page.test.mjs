// Two tabs whose vaults share one store, of which one is frozen by the browser in the middle of a refresh. Its vault keeps
// the lock of the store, until the other vault takes the lock over.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }
/** Lifetime of an access token in seconds. */
const LIFETIME = 2

let app

before(async () => {
  app = await startApp({
    kind: 'dedicated',
    proxied: true,
    provider: { accessTokenSeconds: LIFETIME, leewaySeconds: 60 },
    // The lock is taken over after the longest refresh and five seconds.
    config: { session: { persist: 'sealed' }, requestTimeout: 2, refreshTimeout: 2 },
  })
})
after(() => app?.close())

const outcome = async (page) => {
  const { value, error } = await call(page, `${app.api.url}orders`)
  return value?.status ?? error.code ?? error.name
}

/** Calls the API until the call succeeds. Returns the errors before. */
async function persist(page) {
  const failures = []
  for (;;) {
    const came = await outcome(page)
    if (came === 200) return failures
    failures.push(came)
  }
}

test('another vault takes the lock of a frozen one over, and both go on', time, async () => {
  const provider = app.proxies.provider
  const frozen = await app.open()
  await signIn(frozen)
  const other = await app.open('/', frozen.context())
  await booted(other)
  await app.ledger.accessTokenExpired()
  const since = provider.requests.length
  const tokens = () => provider.requests.slice(since).filter(({ endpoint }) => endpoint === 'token').length

  let answer
  provider.faults.add('token', { when: 'after', hold: new Promise((resolve) => (answer = resolve)) })
  const rotated = app.ledger.until(({ type }) => type === 'token_request')
  void outcome(frozen).catch(() => {})
  await rotated
  const devtools = await frozen.context().newCDPSession(frozen)
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
  assert.deepEqual([...new Set(await persist(other))], ['provider_unavailable'])
  assert.ok(tokens() >= 2, 'the refresh token was sent once more')

  answer()
  await devtools.send('Page.setWebLifecycleState', { state: 'active' })
  await persist(frozen)
  // A vault that has kept a consumed token ends the session now.
  app.provider.settings.leewaySeconds = 0
  for (const page of [frozen, other, frozen]) {
    await app.ledger.accessTokenExpired()
    await persist(page)
  }
  assert.equal(app.ledger.familyRevoked(), false)
})
