// Tests with a real Redis that is paused, so that connections stay open without replies. The handler responds within
// its time limit with the coordinator's error code, and continues the session after the pause.
import assert from 'node:assert/strict'
import { createClient } from '@redis/client'
import { after, before, describe, test } from 'node:test'
import { createTokenHandler, redis } from '../../../pkg/dist/edge.js'
import { rows } from '../../support/combinations.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { startRedis } from '../../support/edge/redis.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

/** The time limit in milliseconds for a response without the store. The handler waits three seconds for the store. */
const GIVES_UP = 30_000

/** The fault that the handler reports if the store does not reply. */
const SILENCE = /^the coordinator is down: it cannot be (read|written to): TimeoutError; /

const isCallback = ({ pathname }) => pathname === '/auth/callback'

for (const storage of rows(['in-store', 'sealed-in-cookie'])) {
  describe(`a paused Redis, ${storage}`, { timeout: 120_000 }, () => {
    let server, client, app, alice, bob, back
    const faults = []
    before(async () => {
      server = await startRedis()
      client = createClient({ url: server.url, disableOfflineQueue: true }).on('error', () => {})
      await client.connect()
      app = await startInProcess(createTokenHandler, {
        accessTokenSeconds: 2,
        handler: {
          session: { storage, recheck: 0 },
          coordinator: redis(client),
          log: (fault) => faults.push(fault),
        },
      })
      alice = new Visitor(app.place)
      await alice.signIn()
      bob = new Visitor(app.place)
      ;({ address: back } = await bob.signIn({ account: 'bob', until: isCallback }))
      await app.provider.ledger.accessTokenExpired()
      assert.deepEqual(faults, [])
      server.pause()
    })
    after(async () => {
      server?.goOn()
      client?.destroy()
      await app?.close()
      await server?.stop()
    })

    test("refresh fails in time with the coordinator's code", async () => {
      const refreshes = app.provider.ledger.refreshes().length
      const since = Date.now()
      const response = await alice.call('/auth/session')
      assert.ok(Date.now() - since < GIVES_UP, `${Date.now() - since} ms`)
      assert.equal(response.status, 503)
      assert.ok(Number(response.headers.get('retry-after')) > 0)
      const { error } = await response.json()
      assert.equal(error.code, 'coordinator_unavailable')
      assert.match(error.message, /^the coordinator cannot be reached: /)
      assert.match(faults[0].message, SILENCE)
      assert.deepEqual([...new Set(faults.map(({ code }) => code))], ['coordinator_unavailable'])
      assert.equal(
        app.provider.ledger.refreshes().length,
        refreshes,
        'no refresh is allowed without the store',
      )
      assert.ok(alice.cookies.size, 'the session is kept')
    })

    test('login reports if it needs the store', async () => {
      const { response } = await bob.go(back, { until: () => true })
      if (storage === 'sealed-in-cookie') return assert.equal(response.status, 303)
      assert.equal(response.status, 503)
      const page = await response.text()
      assert.match(page, /coordinator_unavailable/)
      assert.match(page, /none can begin/)
      // The outage was logged when it began.
      assert.equal(faults.filter(({ message }) => SILENCE.test(message)).length, 1)
    })

    // claim: handler-49
    test('session continues when the store resumes', async () => {
      server.goOn()
      const deadline = Date.now() + GIVES_UP
      let response
      do response = await alice.call('/auth/session')
      while (response.status === 503 && Date.now() < deadline)
      const { session } = await response.json()
      assert.equal(session?.claims.sub, 'alice')
      const last = app.provider.ledger.refreshes().at(-1)
      assert.equal(last.outcome, 'issued')
    })
  })
}
