import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { setClocks } from '../../support/clocks.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

/** The lifetime of access tokens, in seconds. */
const LIFETIME = 600

/**
 * Creates a store that replies to several calls at the same moment, as when several replies of Redis arrive in one
 * packet.
 */
const together = () => {
  const store = inIsolate()()
  let waiting = []
  const batched = (work) =>
    new Promise((resolve, reject) => {
      if (!waiting.length) {
        setTimeout(() => {
          const all = waiting
          waiting = []
          for (const one of all) one()
        }, 20)
      }
      waiting.push(() => work().then(resolve, reject))
    })
  return {
    read: (keys) => batched(() => store.read(keys)),
    swap: (...args) => batched(() => store.swap(...args)),
    wait: (...args) => store.wait(...args),
  }
}

for (const storage of ['sealed-in-cookie', 'in-store']) {
  describe(`parallel users, ${storage}`, { timeout: 60_000 }, () => {
    let app
    before(async () => {
      const coordinator = together()
      app = await startInProcess(createTokenHandler, {
        accessTokenSeconds: LIFETIME,
        handler: { session: { storage, recheck: 0 }, coordinator: () => coordinator },
      })
    })
    after(() => app?.close())

    const who = async (visitor) => (await visitor.session()).session?.claims.sub
    const home = ({ pathname }) => pathname === '/home'

    // claim: handler-80
    test('each user gets their own session', async (t) => {
      t.after(() => setClocks(0))
      const accounts = Array.from({ length: 4 }, () => ACCOUNTS.map(({ username }) => username)).flat()
      const visitors = accounts.map(() => new Visitor(app.place))
      const callback = ({ pathname }) => pathname === '/auth/callback'
      const callbacks = []
      for (const [i, visitor] of visitors.entries()) {
        callbacks.push(await visitor.signIn({ account: accounts[i], returnTo: '/home', until: callback }))
      }
      await Promise.all(visitors.map((visitor, i) => visitor.go(callbacks[i].address, { until: home })))
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      setClocks(LIFETIME * 1000)
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      assert.equal(app.provider.ledger.refreshes().length, accounts.length)
    })
  })
}
