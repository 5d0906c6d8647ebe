// What an operator sees of a token handler over HTTP: events, lines of the log, request IDs, and health.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, afterEach, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { publicClient, startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { freePort, listen } from '../../support/listen.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }
const [events, lines, forwarded] = [[], [], []]
let app, handler, api, alice
/** What the observer does after it has noted an event. */
let react = () => {}

const observe = (event) => {
  events.push(event)
  return react()
}

before(async () => {
  api = await listen({
    handler(request, response) {
      forwarded.push(request.headers['x-request-id'])
      response.end('[]')
    },
  })
  app = await startInProcess((config) => (handler = createTokenHandler(config)), {
    accessTokenSeconds: 2,
    handler: {
      coordinator: inIsolate(),
      routes: [
        { prefix: '/api/', upstream: `${api.origin}/` },
        { prefix: '/gone/', upstream: `http://127.0.0.1:${await freePort()}/` },
      ],
      observe,
      log: (line) => lines.push(line),
    },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
}, time)
after(async () => {
  await app?.close()
  await api?.close()
})
afterEach(() => (react = () => {}))

const documented = async () => {
  const guide = await readFile(new URL('../../../docs/edge-observe.md', import.meta.url), 'utf8')
  const rows = guide.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)
  return new Map([...rows].map(([, type, members]) => [type, members]))
}

test('config_invalid: observe is not a function', time, async () => {
  const handler = createTokenHandler({ ...publicClient(app.provider), coordinator: inIsolate(), observe: {} })
  await assert.rejects(handler.ready(), { code: 'config_invalid' })
})

test('each event has the documented members', time, async () => {
  await until(async () => {
    await alice.call('/api/orders')
    return events.some(({ type }) => type === 'refresh')
  })
  await new Visitor(app.place).call('/api/orders')
  const bob = new Visitor(app.place)
  await bob.signIn({ account: 'bob' })
  await bob.call('/auth/logout', { method: 'POST' })
  const seen = new Set(events.map(({ type }) => type))
  for (const type of [
    'login',
    'callback',
    'refresh',
    'refused',
    'session_began',
    'session_ended',
    'coordinator',
  ])
    assert.ok(seen.has(type), type)
  const rows = await documented()
  for (const { type, time, requestId, session, ...members } of events) {
    assert.equal(typeof time, 'number')
    assert.ok(Math.abs(Date.now() - time) < 60_000)
    for (const name of Object.keys(members))
      assert.ok(rows.get(type)?.includes(`\`${name}\``), `${type}: ${name}`)
    for (const id of [requestId, session]) assert.ok(id === undefined || /^[\w-]{8,40}$/.test(id), id)
    // Seconds, and not milliseconds.
    assert.ok(members.duration === undefined || members.duration < 30, JSON.stringify(members))
  }
})

// claim: handler-61
test('no token, cookie or code is in events and lines', time, () => {
  const told = JSON.stringify([events, lines])
  const issued = app.provider.ledger.tokens().map(({ value }) => value)
  const secrets = [...alice.cookies.values(), ...issued].filter(({ length }) => length > 20)
  assert.ok(secrets.length > 4)
  for (const secret of secrets) assert.ok(!told.includes(secret))
  assert.ok(!told.includes('alice') && !told.includes('bob'))
})

test('requests that are refused within a second are counted without another request', time, async () => {
  events.length = 0
  const stranger = new Visitor(app.place)
  for (let i = 0; i < 5; i++) await stranger.call('/api/orders')
  const count = () =>
    events.filter(({ type }) => type === 'refused').reduce((sum, { count }) => sum + count, 0)
  await until(() => count() === 5)
})

for (const [name, fails] of Object.entries({
  throws: () => {
    throw new Error('observer')
  },
  rejects: () => Promise.reject(new Error('observer')),
  'returns a promise that is never settled': () => new Promise(() => {}),
})) {
  test(`an observer that ${name} harms no request`, time, async () => {
    events.length = 0
    react = fails
    const carol = new Visitor(app.place)
    await carol.signIn()
    assert.equal((await carol.call('/api/orders')).status, 200)
    assert.ok(events.length > 0)
  })
}

test('one ID of a request is in the log, in the response and at the API', time, async () => {
  lines.length = forwarded.length = 0
  const headers = { 'x-request-id': 'proxy-7f3e2a' }
  await alice.call('/api/orders', { headers })
  assert.deepEqual(forwarded, ['proxy-7f3e2a'])
  const response = await alice.call('/gone/orders', { headers })
  assert.equal(response.status, 502)
  assert.equal(response.headers.get('x-request-id'), 'proxy-7f3e2a')
  assert.equal((await response.json()).error.requestId, 'proxy-7f3e2a')
  const [line] = lines
  const { level, code, message, time, requestId, session, ...rest } = line
  assert.deepEqual(
    { level, code, requestId, rest },
    { level: 'warn', code: 'upstream_unavailable', requestId: 'proxy-7f3e2a', rest: {} },
  )
  assert.match(message, /ECONNREFUSED$/)
  assert.match(session, /^[\w-]{16}$/)
  assert.ok(Math.abs(Date.now() - time) < 60_000)
})

test('API that does not respond is one line a minute', time, async () => {
  await alice.call('/gone/orders')
  lines.length = 0
  for (let i = 0; i < 20; i++) await alice.call('/gone/orders')
  assert.equal(lines.length, 0)
})

test('health says what the process knows', time, async () => {
  const up = { isDown: false }
  assert.deepEqual(handler.health(), { isStarted: true, requests: 0, provider: up, coordinator: up })
  const own = createTokenHandler({
    issuer: app.provider.origin,
    client: { id: 'web', auth: { method: 'none' } },
    cookie: { keys: Buffer.alloc(32, 1).toString('base64') },
    coordinator: () => ({
      read: () => Promise.reject(Object.assign(new Error('secret'), { code: 'ECONNREFUSED' })),
      swap: () => Promise.reject(new Error('secret')),
      wait: () => new Promise(() => {}),
    }),
    log() {},
  })
  assert.deepEqual(own.health(), { isStarted: false, requests: 0, provider: up, coordinator: up })
  const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }
  await own.fetch(new Request('http://localhost:8080/auth/login', { headers }))
  const { isStarted, coordinator } = own.health()
  assert.equal(isStarted, true)
  assert.equal(coordinator.isDown, true)
  assert.ok(Math.abs(Date.now() - coordinator.downSince) < 60_000)
  assert.equal(coordinator.lastFailure, 'it cannot be read: ECONNREFUSED')
})
