// A real Redis whose memory is full. With `noeviction` it refuses writes, and no session ends.
import assert from 'node:assert/strict'
import { createClient } from '@redis/client'
import { after, before, test } from 'node:test'
import { createTokenHandler, redis } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { startRedis } from '../../support/edge/redis.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const time = { timeout: 60_000 }
const faults = []
const ends = []
let server, client, app, alice

before(async () => {
  server = await startRedis()
  client = createClient({ url: server.url, disableOfflineQueue: true }).on('error', () => {})
  await client.connect()
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 2,
    handler: {
      session: { storage: 'in-store', recheck: 0 },
      coordinator: redis(client),
      log: ({ code, message }) => faults.push(`${code}: ${message}`),
      onSessionEnd: ({ reason, sub }) => ends.push([reason, sub]),
    },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
  await app.provider.ledger.accessTokenExpired()
}, time)
after(async () => {
  await app?.close()
  client?.destroy()
  await server?.stop()
})

// claim: handler-49
test('full Redis refuses writes and keeps sessions', time, async () => {
  await client.configSet('maxmemory-policy', 'noeviction')
  await client.configSet('maxmemory', '1')
  const response = await alice.call('/auth/session')
  assert.equal(response.status, 503)
  assert.equal((await response.json()).error.code, 'coordinator_unavailable')
  assert.ok(
    faults.every((fault) => /^coordinator_unavailable: .*\bOOM\b/.test(fault)),
    `${faults}`,
  )
  await client.configSet('maxmemory', '0')
  const again = await poll(() => alice.session())
  assert.equal(again.session.claims.sub, 'alice')
  assert.deepEqual(ends, [])
})

test('evicted session is reported as lost', time, async () => {
  faults.length = 0
  // After a refresh, the isolate would restore the record from its cache.
  const bob = new Visitor(app.place)
  await bob.signIn({ account: 'bob' })
  await client.flushAll()
  const { session, reason } = await bob.session()
  assert.deepEqual([session, reason], [null, 'storage_lost'])
  assert.deepEqual(
    faults.map((fault) => /^session_ended: storage_lost/.test(fault)),
    [true],
  )
  assert.deepEqual(ends, [['storage_lost', '']])
})

/** Asks until there is a session: for a second after a failure, the handler does not ask the store. */
async function poll(ask) {
  const end = Date.now() + 20_000
  for (;;) {
    const answer = await ask()
    if (answer.session || Date.now() > end) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
