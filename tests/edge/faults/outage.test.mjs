// A coordinator rejects if its store cannot be reached or sends an unusable response. The coordinator does not retry.
import assert from 'node:assert/strict'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { test } from 'node:test'
import { denoKv, durableObject, redis, redisRest } from '../../../pkg/dist/edge.js'
import { startRedis, startRedisRest } from '../../support/edge/redis.mjs'

const CALLS = {
  read: (coordinator) => coordinator.read(['a', 'b']),
  swap: (coordinator) => coordinator.swap('a', null, 'x', 60),
  wait: (coordinator) => coordinator.wait('a', null, 60_000),
}

async function allReject(coordinator, expected) {
  for (const [name, call] of Object.entries(CALLS)) await assert.rejects(call(coordinator), expected, name)
}

test('unreachable Redis is an error in both clients', async (t) => {
  const server = await startRedis()
  const nodeRedis = createClient({ url: server.url, disableOfflineQueue: true }).on('error', () => {})
  await nodeRedis.connect()
  const ioredis = new Redis(server.url, { maxRetriesPerRequest: 0 }).on('error', () => {})
  t.after(() => {
    nodeRedis.destroy()
    ioredis.disconnect()
  })
  for (const client of [nodeRedis, ioredis])
    assert.deepEqual((await redis(client)({}).read(['a'])).entries, [null])
  await server.stop()
  for (const client of [nodeRedis, ioredis]) await allReject(redis(() => client)({}), Error)
})

// claim: handler-61
test('HTTP store error excludes the token', async (t) => {
  const server = await startRedis()
  const rest = await startRedisRest(server.url)
  t.after(async () => {
    await rest.stop()
    await server.stop()
  })
  // A platform's error about the header would contain it.
  const broken = redisRest({ url: rest.url, token: 'two\nlines' })
  assert.throws(
    () => broken({}),
    ({ message }) => /must be one line/.test(message) && !/two/.test(message),
  )
  const wrong = redisRest({ url: rest.url, token: 'a-wrong-token' })({})
  await allReject(
    wrong,
    ({ message }) => /401: Unauthorized/.test(message) && !message.includes('a-wrong-token'),
  )
})

test('HTTP store requires https except on loopback', () => {
  const at = (url) => () => redisRest({ url, token: 't' })({})
  for (const url of [
    'http://store.example.com',
    'http://127.0.0.1.evil.test',
    'ftp://127.0.0.1',
    '',
    undefined,
  ]) {
    assert.throws(at(url), /must be https/, url)
  }
  for (const url of ['https://store.example.com', 'http://127.0.0.1:9', 'http://localhost:9']) at(url)()
})

test('unreachable HTTP store rejects with the error of fetch', async () => {
  const gone = redisRest({ url: (env) => env.url, token: 't' })({ url: 'http://127.0.0.1:9' })
  await allReject(gone, TypeError)
})

const RESPONSES = {
  'a page': new Response('<html>', { status: 200 }),
  'no result': Response.json({}),
  'a redirect': new Response(null, { status: 302, headers: { location: 'https://evil.test/' } }),
  'an error of the server': Response.json({ error: 'x'.repeat(10_000) }, { status: 500 }),
  'an error with success': Response.json({ error: 'ERR' }),
}
for (const [what, response] of Object.entries(RESPONSES)) {
  test(`HTTP store that responds with ${what} is an error`, async () => {
    const asked = []
    const fetch = async (url, init) => {
      asked.push([url, init.redirect])
      return response.clone()
    }
    const coordinator = redisRest({ url: 'https://redis.test', token: 't', fetch })({})
    await allReject(coordinator, ({ message }) => /responded with/.test(message) && message.length < 300)
    assert.deepEqual(asked, Array(3).fill(['https://redis.test', 'manual']))
  })
}

test('refuses objects that are not a Redis client', () => {
  for (const client of [{}, { get() {} }, undefined])
    assert.throws(() => redis(client)({}), { code: 'config_invalid' })
})

test('Durable Object of another class is an error with advice', async () => {
  const object = { fetch: async () => new Response('no', { status: 404 }) }
  const namespace = { idFromName: (name) => name, get: () => object }
  await allReject(
    durableObject((env) => env.SESSIONS)({ SESSIONS: namespace }),
    /404: bind the class StrongroomSessions/,
  )
})

test('failed Deno KV is reported on first use', async () => {
  const source = denoKv(Promise.reject(new Error('cannot open')))
  await new Promise((resolve) => setImmediate(resolve))
  await allReject(source({}), /cannot open/)
})
