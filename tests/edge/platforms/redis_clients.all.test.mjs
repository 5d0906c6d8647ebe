// `redis()` with the clients of two libraries, each for a server, a cluster and a sentinel. All of them are real.
import assert from 'node:assert/strict'
import { createClient, createCluster, createSentinel } from '@redis/client'
import { Cluster, Redis } from 'ioredis'
import { after, before, describe, test } from 'node:test'
import { redis } from '../../../pkg/dist/edge.js'
import { conformance } from '../../../pkg/dist/edge/conformance.js'
import { startRedis, startRedisCluster, startRedisSentinel } from '../../support/edge/redis.mjs'

const time = { timeout: 120_000 }
const PREFIX = '{strongroom}:'
const ignore = () => {}
let single, cluster, sentinel
const ends = []

before(async () => {
  single = await startRedis()
  ends.push(single.stop)
  cluster = await startRedisCluster()
  ends.push(cluster.stop)
  sentinel = await startRedisSentinel()
  ends.push(sentinel.stop)
}, time)
after(async () => {
  while (ends.length) await ends.pop()()
})

/** Connects a client of node-redis, which the end of the tests closes. */
const connected = async (client) => {
  client.on('error', ignore)
  await client.connect()
  ends.push(() => client.destroy())
  return client
}
/** Returns a client of ioredis, which the end of the tests closes. */
const closing = (client) => {
  client.on('error', ignore)
  ends.push(() => client.disconnect())
  return client
}
const address = ({ port }) => ({ host: '127.0.0.1', port })

const CLIENTS = {
  'node-redis': () => connected(createClient({ url: single.url })),
  'node-redis, cluster': () =>
    connected(
      createCluster({ rootNodes: cluster.ports.map((port) => ({ url: `redis://127.0.0.1:${port}` })) }),
    ),
  'node-redis, sentinel': () =>
    connected(createSentinel({ name: sentinel.name, sentinelRootNodes: [address(sentinel)] })),
  ioredis: () => closing(new Redis(single.url)),
  'ioredis, cluster': () => closing(new Cluster(cluster.ports.map((port) => address({ port })))),
  'ioredis, sentinel': () => closing(new Redis({ name: sentinel.name, sentinels: [address(sentinel)] })),
}

for (const [name, connect] of Object.entries(CLIENTS)) {
  describe(`${name} passes the conformance checks`, { concurrency: true, ...time }, () => {
    let coordinators
    const connectAll = async () => {
      const clients = await Promise.all([connect(), connect()])
      return clients.map((client) => redis(client, { prefix: PREFIX })({}))
    }
    let turn = 0
    const make = async () => (await (coordinators ??= connectAll()))[turn++ % 2]
    for (const check of conformance(make)) test(check.name, check.run)
  })
}

test('a cluster keeps keys with different hash tags on different nodes', time, async () => {
  const client = await CLIENTS['node-redis, cluster']()
  const nodes = await Promise.all(
    ['{a}', '{b}', '{c}'].map(async (prefix) => {
      const coordinator = redis(client, { prefix })({})
      await coordinator.swap('key', null, prefix, 60)
      const { entries } = await coordinator.read(['key'])
      assert.equal(entries[0].value, prefix)
      return cluster.nodeOf(`${prefix}key`)
    }),
  )
  assert.ok(new Set(nodes).size > 1)
})
