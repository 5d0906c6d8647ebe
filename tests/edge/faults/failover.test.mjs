// Two Redis servers: the replica lacks the last writes, and is promoted during refreshes. Two Node processes
// serve the sessions. The provider accepts each refresh token once.
import { createClient } from '@redis/client'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALL } from '../../support/combinations.mjs'
import { startAddress } from '../../support/edge/address.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { startRedis } from '../../support/edge/redis.mjs'
import { platform } from '../../support/edge/start.mjs'

const SESSIONS = 10

/** Resolves with a client of the Redis at this URL. */
async function connected(url) {
  const client = createClient({ url }).on('error', () => {})
  await client.connect()
  return client
}

/**
 * Starts the address of the store for one process.
 *
 * @param {string} primary
 * @returns `haveRead(sessions, times)` resolves when the process has sent commands for so many sessions, so many times
 *   for each. `turnTo(url)` cuts the connections, forgets these commands, and makes another Redis the primary.
 */
async function startWatched(primary) {
  let reads = new Map()
  let watcher = () => {}
  const address = await startAddress(primary, (data) => {
    for (const [key] of data.toString('latin1').matchAll(/strongroom:session[^\r]+/g)) {
      reads.set(key, (reads.get(key) ?? 0) + 1)
    }
    watcher()
  })
  return {
    ...address,
    haveRead: (sessions, times) =>
      new Promise((resolve) => {
        watcher = () => {
          const often = [...reads.values()].filter((count) => count >= times)
          if (often.length >= sessions) resolve()
        }
        watcher()
      }),
    turnTo(url) {
      reads = new Map()
      address.turnTo(url)
    },
  }
}

for (const storage of ALL ? ['in-store', 'sealed-in-cookie'] : ['in-store']) {
  // claim: handler-47
  test(`no session is lost with Redis's last writes, ${storage}`, { timeout: 120_000 }, async (t) => {
    const replica = await startRedis()
    t.after(replica.stop)
    const addresses = []
    let primary
    const node = platform({
      coordinators: ['node-redis'],
      entry: ({ imports, handler }) => `
        import { createServer } from 'node:http'
        import { toNodeListener } from 'strongroom/edge/node'
        ${imports}
        const server = createServer(toNodeListener(${handler}))
        server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))`,
      bundling: { name: 'entry.mjs', platform: 'node', conditions: ['node', 'import', 'module'] },
      async serve({ folder, file, env, isolates }) {
        primary = env.REDIS_URL
        const started = []
        for (let i = 0; i < isolates; i++) {
          const address = await startWatched(primary)
          addresses.push(address)
          const own = { ...env, REDIS_URL: address.url }
          started.push(await startServer(process.execPath, [file], { env: own, cwd: folder }))
        }
        return {
          urls: started.map(({ said }) => `http://127.0.0.1:${said.port}`),
          async stop() {
            for (const server of started) await server.stop()
            for (const address of addresses) address.close()
          },
        }
      },
    })
    const app = await startApp(node, {
      handler: { session: { storage } },
      provider: { accessTokenSeconds: 2 },
    })
    t.after(app.stop)
    const { faults, ledger } = app.provider
    const [first, second] = [await connected(primary), await connected(replica.url)]
    t.after(() => [first, second].forEach((client) => client.destroy()))
    await second.sendCommand(['REPLICAOF', '127.0.0.1', new URL(primary).port])

    const visitors = Array.from({ length: SESSIONS }, () => app.visitor())
    await Promise.all(visitors.map((visitor) => visitor.signIn()))
    await app.provider.letAccessTokenExpire()
    // From now on, the replica receives no writes.
    await first.sendCommand(['SET', 'last', 'write'])
    await first.sendCommand(['WAIT', '1', '0'])
    await second.sendCommand(['REPLICAOF', 'NO', 'ONE'])

    const since = ledger.refreshes().length
    const refreshes = () => ledger.refreshes().slice(since)
    let release
    const hold = new Promise((resolve) => (release = resolve))
    t.after(() => release())
    faults.add('token', { hold, times: SESSIONS })
    /** Calls the API, and again during an outage of the store. Resolves with the status. */
    const call = async (visitor, isolate) => {
      for (;;) {
        const { status } = await visitor.copy().call('/api/me', { isolate })
        if (status !== 503) return status
      }
    }
    // The first process refreshes all sessions, and the second one waits for it.
    const calls = visitors.map((visitor) => call(visitor, 0))
    for (let i = 0; i < SESSIONS; i++) await faults.taken()
    calls.push(...visitors.map((visitor) => call(visitor, 1)))
    await addresses[1].haveRead(SESSIONS, 2)
    for (const address of addresses) address.turnTo(replica.url)
    await app.store.stop()
    // The second process reads the records without the first one's intents.
    await addresses[1].haveRead(SESSIONS, 2)
    release()
    assert.deepEqual([...new Set(await Promise.all(calls))], [200])
    const outcomes = refreshes().map(({ outcome }) => outcome)
    assert.deepEqual(outcomes, Array(SESSIONS).fill('issued'))
    assert.equal(ledger.familyRevoked(), false)
    for (const visitor of visitors) {
      for (const isolate of [0, 1]) assert.equal((await visitor.call('/api/me', { isolate })).status, 200)
    }
    assert.deepEqual(
      (await app.told()).filter(({ code }) => code !== 'coordinator_unavailable'),
      [],
    )
  })
}
