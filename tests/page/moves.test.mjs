// Moves to a newer vault and replacements of a failed one, while calls, logins, sign-outs and close() are in flight.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { connectTo, FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const page = fakePage()
mock.timers.enable({ apis: ['setTimeout'] })
const { connect, createAuth } = await load('page/connect.ts', 'page/auth/create-auth.ts')

const start = (...workers) => connectTo(connect, ...workers)

/** Resolves with how the promise has settled, or with 'pending'. */
async function stateOf(promise) {
  let state = 'pending'
  promise.then(
    () => (state = 'resolved'),
    (error) => (state = error.code ?? error.name),
  )
  await settled()
  return state
}

/** A Blob whose content is read when `release()` is called. */
function slowBody() {
  let release
  const held = new Promise((resolve) => (release = resolve))
  class Slow extends Request {
    async arrayBuffer() {
      await held
      return super.arrayBuffer()
    }
  }
  return { Slow, release }
}

test('call whose body is read during a move settles', async () => {
  const next = new FakeWorker({ user: 'alice', responds: false })
  const { client, made } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].announce({ t: 'outdated' })
  await settled()
  const { Slow, release } = slowBody()
  const Original = globalThis.Request
  globalThis.Request = Slow
  const call = client.fetch('https://app.example/orders', { method: 'POST', body: 'x' })
  globalThis.Request = Original
  await settled()
  const rejected = assert.rejects(call, { code: 'vault_outdated' })
  next.ready()
  await settled()
  release()
  await rejected
  client.close()
})

test('sign-out during a move counts if the old vault then stops', async () => {
  const [moved, replaced] = [1, 2].map(() => new FakeWorker({ user: 'alice', responds: false }))
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), moved, replaced)
  made[0].announce({ t: 'outdated' })
  await settled()
  await client.logout()
  made[0].fail('vault_outdated')
  await settled()
  moved.ready()
  await settled()
  const { session } = client
  client.close()
  assert.equal(session, null)
  assert.deepEqual(events, [null])
})

test('logout() that a move overtakes: the start differs by a millisecond', async () => {
  const next = new FakeWorker({ responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].announce({ t: 'session', session: { claims: { sub: 'alice' }, startedAt: 1000 }, reason: null })
  await settled()
  const [port] = made[0].ports
  const receive = port.onmessage
  const held = []
  port.onmessage = (event) => held.push(event)
  made[0].announce({ t: 'outdated' })
  const logout = client.logout()
  await settled()
  next.send(next.ports.at(-1), {
    t: 'ready',
    version: 1,
    session: { claims: { sub: 'alice' }, startedAt: 999 },
    reason: null,
  })
  await settled()
  held.forEach(receive)
  await logout
  const { session } = client
  client.close()
  assert.equal(session, null)
})

test('close() rejects calls that finish with the old vault', async () => {
  const next = new FakeWorker({ user: 'alice' })
  const { client, made } = await start(new FakeWorker({ user: 'alice' }), next)
  const call = client.inspect()
  await settled()
  made[0].announce({ t: 'outdated' })
  await settled()
  client.close()
  const state = await stateOf(call)
  made[0].fail('vault_crashed')
  await settled()
  assert.equal(state, 'closed')
})

test('user who signs in during a move is shown', async () => {
  const next = new FakeWorker({ user: 'alice', responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].announce({ t: 'outdated' })
  await settled()
  await client.logout()
  made[0].announce({ t: 'session', session: { claims: { sub: 'bob' }, startedAt: 5000 }, reason: null })
  await settled()
  next.ready()
  await settled()
  const shown = client.session?.claims.sub
  client.close()
  assert.notEqual(shown, 'alice')
})

test('reconnect() after close() opens nothing', async () => {
  const refused = new FakeWorker({ responds: false })
  const workers = [refused, new FakeWorker({ user: 'alice' })]
  const auth = createAuth({ dedicated: () => workers.shift() })
  const first = auth.connect().catch(() => {})
  await settled()
  refused.fail('config_invalid')
  await first
  auth.close()
  const again = await stateOf(auth.reconnect())
  const left = workers.length
  auth.close()
  await settled()
  assert.equal(left, 1)
  assert.notEqual(again, 'resolved')
})

test('outdated vault stops while the page is in the cache', async () => {
  const workers = [
    new FakeWorker({ user: 'alice' }),
    new FakeWorker({ user: 'alice', responds: false }),
    new FakeWorker({ user: 'alice' }),
  ]
  const all = [...workers]
  const auth = createAuth({ dedicated: () => workers.shift() })
  await auth.connect()
  all[0].announce({ t: 'outdated' })
  await settled()
  page.leave()
  all[0].terminate()
  await settled()
  page.restore()
  await settled()
  all[1].ready()
  await settled()
  mock.timers.tick(10_000)
  await settled()
  const { status, session } = auth.state
  auth.close()
  await settled()
  assert.deepEqual([status, session?.claims.sub], ['connected', 'alice'])
})

test('second move while the first connection retires', async () => {
  const [second, third] = [1, 2].map(() => new FakeWorker({ user: 'alice' }))
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), second, third)
  const call = client.inspect()
  await settled()
  made[0].announce({ t: 'outdated' })
  await settled()
  second.announce({ t: 'outdated' })
  await settled()
  const { id } = made[0].received.at(-1)
  made[0].announce({ t: 'inspection', id, holdings: ['one'] })
  const state = await stateOf(call)
  client.close()
  assert.equal(state, 'resolved')
  assert.ok(made[0].isEnded && second.isEnded)
  assert.deepEqual(events, ['alice', 'alice'])
})

test('two outdated messages use one successor', async () => {
  const [second, third] = [1, 2].map(() => new FakeWorker({ user: 'alice' }))
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), second, third)
  made[0].announce({ t: 'outdated' })
  made[0].announce({ t: 'outdated' })
  await settled()
  client.close()
  await settled()
  assert.deepEqual(events, ['alice'])
})

test('reconnect() of a closed client settles without a vault', async () => {
  const { client, made } = await start(new FakeWorker({ user: 'alice' }), new FakeWorker({ responds: false }))
  made[0].fail('vault_crashed')
  await settled()
  const again = client.reconnect()
  await settled()
  client.close()
  mock.timers.tick(10_000)
  assert.equal(await stateOf(again), 'worker_timeout')
  assert.ok(made[1].isEnded)
})

test('replaced worker is ended if the move arrives first', async () => {
  const [moved, replaced] = [1, 2].map(() => new FakeWorker({ user: 'alice', responds: false }))
  const { client, made } = await start(new FakeWorker({ user: 'alice' }), moved, replaced)
  made[0].announce({ t: 'outdated' })
  await settled()
  made[0].fail('vault_outdated')
  await settled()
  moved.ready()
  await settled()
  mock.timers.tick(10_000)
  await settled()
  client.close()
  assert.deepEqual(
    made.map((one) => one.isEnded),
    [true, false, true],
  )
})

test('login() settles if a move overtakes its callback', async () => {
  location.href = 'https://app.example/callback?code=1&state=17.7'
  const next = new FakeWorker({ user: 'alice' })
  const { client, made } = await start(new FakeWorker(), next)
  const callback = client.handleCallback()
  const login = client.login()
  await settled()
  made[0].announce({ t: 'outdated' })
  await settled()
  const { id } = made[0].received.findLast(({ t }) => t === 'callback')
  made[0].announce({ t: 'settled', id, returnTo: '/' })
  await callback
  const state = await stateOf(login)
  client.close()
  mock.timers.tick(600_000)
  location.href = 'https://app.example/'
  assert.notEqual(state, 'pending')
})

/** An Auth whose first vault fails during a move, so that a replacement and the move are in flight. */
async function failDuringMove() {
  const workers = [new FakeWorker({ user: 'alice' })]
  for (let i = 0; i < 2; i++) workers.push(new FakeWorker({ user: 'alice', responds: false }))
  workers.push(new FakeWorker({ user: 'alice' }))
  const all = [...workers]
  const auth = createAuth({ dedicated: () => workers.shift() })
  auth.subscribe(() => {})
  await auth.connect()
  all[0].announce({ t: 'outdated' })
  await settled()
  all[0].fail('vault_crashed')
  await settled()
  all[1].ready()
  await settled()
  return { auth, moved: all[1], replaced: all[2] }
}

test('replacement that fails after a move changes nothing', async () => {
  const { auth } = await failDuringMove()
  mock.timers.tick(10_000)
  await settled()
  const { status, session, error } = auth.state
  auth.close()
  await settled()
  assert.deepEqual([status, session?.claims.sub, error?.code], ['connected', 'alice', undefined])
})

test('vault that fails before the replacement arrives can be replaced', async () => {
  const { auth, moved, replaced } = await failDuringMove()
  moved.fail('vault_crashed')
  await settled()
  replaced.ready()
  await settled()
  const { status } = auth.state
  await auth.reconnect().catch(() => {})
  await settled()
  const { session } = auth.state
  auth.close()
  await settled()
  assert.deepEqual([status, session?.claims.sub], ['failed', 'alice'])
})
