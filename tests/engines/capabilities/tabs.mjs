/** Tests of several tabs that share a vault. */
import assert from 'node:assert/strict'
import { booted, call, ended, session, signIn } from '../../support/engines/app.mjs'
import { waitFor } from '../../support/engines/driver.mjs'

const CALLS = 10

const orders = (app) => `${app.api.url}orders`

/** Sends `CALLS` calls at once. Resolves with the status of each response. */
const calls = (tab, url) =>
  tab.evaluate(
    (address, count) =>
      Promise.all(Array.from({ length: count }, () => auth.fetch(address).then(({ status }) => status))),
    url,
    CALLS,
  )

async function signedInTabs({ app, visit }, count, accessTokenSeconds = 4) {
  app.provider.settings.accessTokenSeconds = accessTokenSeconds
  const { tab, another } = await visit()
  await signIn(tab)
  const all = [tab]
  while (all.length < count) {
    all.push(await another())
    await booted(all.at(-1))
  }
  return all
}

/**
 * The reason, by engine, why a test cannot check that the worker survives the end of a tab. The worker runs in the
 * process of one tab and may end with that tab, and a test cannot find out in which tab's process it runs.
 */
const HOSTED = {
  webkit:
    'WebKitGTK may end a `SharedWorker` when one of its tabs, or a popup, is closed; the other tabs get `vault_crashed`. With `new Worker(…)` each tab has its own',
}

const capabilities = [
  {
    name: `refresh: one for 3 tabs × ${CALLS} calls on an expired token`,
    async see(scene) {
      const { app } = scene
      const all = await signedInTabs(scene, 3)
      await app.provider.letAccessTokenExpire()
      const before = app.ledger.refreshes().length
      const answers = await Promise.all(all.map((tab) => calls(tab, orders(app))))
      assert.deepEqual(answers.flat(), Array(3 * CALLS).fill(200))
      assert.equal(app.ledger.refreshes().length - before, 1)
      assert.equal(app.ledger.familyRevoked(), false)
    },
  },
  {
    name: 'refresh after a 401: one, and one retry',
    async see(scene) {
      const { app } = scene
      const [tab] = await signedInTabs(scene, 1, 3600)
      const before = app.ledger.refreshes().length
      const { value } = await call(tab, `${app.api.url}reject-once/${before}`, { method: 'POST', body: 'x' })
      assert.equal(value.status, 200)
      assert.equal(app.ledger.refreshes().length - before, 1)
      const [first, second] = app.api.requests
      assert.equal(app.api.requests.length, 2)
      assert.notEqual(first.authorization, second.authorization)
    },
  },
  {
    name: 'a refresh that fails for a moment is tried again',
    async see(scene) {
      const { app } = scene
      const [tab] = await signedInTabs(scene, 1)
      await app.provider.letAccessTokenExpire()
      app.provider.faults.add('token', { answer: { status: 503, body: 'Busy' } })
      assert.equal((await call(tab, orders(app))).value.status, 200)
    },
  },
  {
    name: 'login, logout and their reasons appear in every tab',
    not: HOSTED,
    async see({ app, visit }) {
      const { tab, another } = await visit()
      await booted(tab)
      const second = await another()
      await booted(second)
      assert.equal(await session(second), null)
      await signIn(tab)
      await waitFor(second, () => auth.session?.claims.sub === 'alice')
      assert.equal((await call(second, orders(app))).value.status, 200)
      await second.evaluate(() => auth.logout())
      assert.deepEqual([await ended(tab), await ended(second)], ['logged_out', 'logged_out'])
    },
  },
  {
    name: 'closing a tab during a refresh does not affect the others',
    not: HOSTED,
    async see(scene) {
      const { app } = scene
      const [first, second, third] = await signedInTabs(scene, 3)
      await app.provider.letAccessTokenExpire()
      let answer
      app.provider.faults.add('token', { hold: new Promise((resolve) => (answer = resolve)) })
      const taken = app.provider.faults.taken()
      const before = app.ledger.refreshes().length
      // The call is not awaited, because its page is closed before the response.
      await second.evaluate((url) => void auth.fetch(url).catch(() => {}), orders(app))
      const waiting = [first, third].map((tab) => call(tab, orders(app)))
      await taken
      await second.close()
      answer()
      const answers = await Promise.all(waiting)
      assert.deepEqual(
        answers.map(({ value }) => value?.status),
        [200, 200],
      )
      assert.equal(app.ledger.refreshes().length - before, 1)
    },
  },
  {
    name: 'the provider ends the session: all tabs get the reason',
    async see(scene) {
      const { app } = scene
      const [first, second] = await signedInTabs(scene, 2)
      await app.provider.letAccessTokenExpire()
      app.provider.faults.add('token', { answer: { status: 400, body: { error: 'invalid_grant' } } })
      assert.equal((await call(first, orders(app))).error.code, 'session_ended')
      assert.deepEqual([await ended(first), await ended(second)], ['provider_ended', 'provider_ended'])
    },
  },
]

const [refresh, , , login, , end] = capabilities
const sealedTabs = [refresh, login, end].map(({ name, see }) => ({
  name: `with a \`Worker\` per tab, sealed: ${name}`,
  see,
}))

/** @type {import('../suite.mjs').Group[]} */
export const tabs = [
  { name: 'tabs on one worker', app: {}, capabilities },
  {
    name: 'tabs with a worker each',
    app: { kind: 'dedicated', config: { session: { persist: 'sealed' } } },
    capabilities: sealedTabs,
  },
]
