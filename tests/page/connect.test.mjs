// A client with fake ports: it fails, is replaced, is closed, and comes back from the back-forward cache.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { connectTo, FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const page = fakePage()
// No time passes, except where a test says so.
mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
const { connect } = await load('page/connect.ts')

const start = (...workers) => connectTo(connect, ...workers)

const codeOf = (promise) =>
  promise.then(
    () => 'none',
    ({ code }) => code,
  )

test('several calls of reconnect() make one worker', async () => {
  const { client, made, events } = await start(
    new FakeWorker({ user: 'alice' }),
    new FakeWorker({ user: 'bob' }),
  )
  made[0].fail('vault_crashed')
  await settled()
  assert.deepEqual(events, ['vault_crashed', null])
  await Promise.all([client.reconnect(), client.reconnect(), client.reconnect()])
  assert.equal(made.length, 2)
  assert.deepEqual(events, ['vault_crashed', null, 'bob'])
  await client.reconnect()
  assert.equal(made.length, 2)
  client.close()
})

test('an unknown announcement of a newer worker changes nothing', async () => {
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }))
  made[0].announce({ t: 'news', session: null })
  await settled()
  assert.equal(client.session.claims.sub, 'alice')
  assert.deepEqual(events, [])
  client.close()
})

test('close() during reconnect() emits no event', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].fail('vault_crashed')
  await settled()
  const again = client.reconnect()
  await settled()
  client.close()
  next.ready()
  await again
  await settled()
  assert.deepEqual(events, ['vault_crashed', null])
  assert.equal(client.session, null)
  assert.equal(await codeOf(client.inspect()), 'closed')
  assert.ok(next.isEnded)
})

test('close() during a move emits no event', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].announce({ t: 'outdated' })
  await settled()
  client.close()
  next.ready()
  await settled()
  assert.deepEqual(events, [])
  assert.equal(client.session, null)
})

test('move keeps calls in flight with the old vault', async () => {
  const next = new FakeWorker({ user: 'alice' })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  const pending = client.inspect()
  await settled()
  made[0].announce({ t: 'outdated' })
  await settled()
  assert.deepEqual(events, ['alice'])
  assert.equal(made[0].isEnded, false)
  const { id } = made[0].received.at(-1)
  made[0].announce({ t: 'inspection', id, holdings: ['one'] })
  assert.deepEqual(await pending, ['one'])
  await settled()
  assert.ok(made[0].isEnded)
  client.close()
})

test('logout() that a move overtakes ends the session in the page', async () => {
  const next = new FakeWorker({ user: 'alice', responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  const [port] = made[0].ports
  const receive = port.onmessage
  const held = []
  port.onmessage = (event) => held.push(event)
  made[0].announce({ t: 'outdated' })
  const logout = client.logout()
  await settled()
  next.ready()
  await settled()
  held.forEach(receive)
  assert.deepEqual(await logout, { revoked: true })
  assert.equal(client.session, null)
  assert.equal(client.endReason, 'logged_out')
  assert.deepEqual(events, ['alice', null])
  client.close()
})

test('move shows the session if the old vault stops before it', async () => {
  const [moved, replaced] = [1, 2].map(() => new FakeWorker({ user: 'alice', responds: false }))
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), moved, replaced)
  made[0].announce({ t: 'outdated' })
  await settled()
  made[0].fail('vault_outdated')
  await settled()
  moved.ready()
  await settled()
  assert.equal(client.session?.claims.sub, 'alice')
  assert.deepEqual(events, ['alice'])
  client.close()
})

test('session of another user has userChanged', async () => {
  const [first, second] = [new FakeWorker({ user: 'alice' }), new FakeWorker({ user: 'bob' })]
  const { client } = await start(first, second)
  const changes = []
  client.on('change', ({ session, userChanged }) => changes.push([session?.claims.sub, userChanged]))
  const session = (sub) => first.announce({ t: 'session', session: { claims: { sub } }, reason: null })
  session('alice')
  first.announce({ t: 'session', session: null, reason: 'logged_out' })
  session('alice')
  await settled()
  // There is no event between the two sessions.
  first.announce({ t: 'outdated' })
  await settled()
  assert.deepEqual(changes, [
    ['alice', undefined],
    [undefined, undefined],
    ['alice', undefined],
    ['bob', true],
  ])
  client.close()
})

test('logout() during a replacement reaches the new vault', async () => {
  const next = new FakeWorker({ user: 'alice', responds: false })
  const { client, made, events } = await start(new FakeWorker({ user: 'alice' }), next)
  made[0].fail('vault_outdated')
  await settled()
  const logout = client.logout()
  await settled()
  next.ready()
  assert.deepEqual(await logout, { revoked: true })
  assert.ok(next.received.some(({ t }) => t === 'logout'))
  assert.deepEqual(events, ['alice', null])
  client.close()
})

test('attempt that fails rejects, and may be repeated', async () => {
  const refused = new FakeWorker({ responds: false })
  const { client, made, events } = await start(new FakeWorker(), refused, new FakeWorker({ user: 'alice' }))
  made[0].fail('vault_crashed')
  await settled()
  const attempts = [client.reconnect(), client.reconnect()].map(codeOf)
  await settled()
  refused.fail('config_invalid')
  assert.deepEqual(await Promise.all(attempts), ['config_invalid', 'config_invalid'])
  assert.deepEqual(events, ['vault_crashed'])
  await client.reconnect()
  assert.ok(refused.isEnded)
  assert.deepEqual(events, ['vault_crashed', 'alice'])
  client.close()
})

test('handshake without a response rejects after the time limit', async () => {
  const silent = new FakeWorker({ responds: false })
  const code = codeOf(connect(() => silent, { timeout: 10 }))
  await settled()
  mock.timers.tick(10_000)
  assert.equal(await code, 'worker_timeout')
})

test('time limit of a handshake does not count time in which nothing runs', async (t) => {
  const slow = new FakeWorker({ user: 'alice', responds: false })
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const connecting = connect(() => slow, { timeout: 10 })
  await settled()
  // The device sleeps, and the timer fires before the vault can respond.
  now += 60_000
  mock.timers.tick(10_000)
  slow.ready()
  const client = await connecting
  assert.equal(client.session.claims.sub, 'alice')
  client.close()
})

for (const [what, after] of Object.entries({
  'whose vault does not respond': (worker) => {
    worker.responds = false
  },
  'whose vault has failed': (worker) => {
    worker.fail('vault_crashed')
  },
})) {
  test(`worker of an open connection survives a second connection ${what}`, async (t) => {
    const { client, made } = await start(new FakeWorker({ user: 'alice' }))
    const [worker] = made
    t.after(() => worker.terminate())
    worker.responds = false
    const second = codeOf(connect(() => worker, { timeout: 1 }))
    await settled()
    after(worker)
    mock.timers.tick(1000)
    assert.notEqual(await second, 'none')
    assert.equal(worker.isEnded, false)
    client.close()
    // No other connection uses the worker now.
    const last = codeOf(connect(() => worker, { timeout: 1 }))
    await settled()
    mock.timers.tick(1000)
    await last
    assert.ok(worker.isEnded)
  })
}

test('worker of an open connection survives the end and the move of another one', async (t) => {
  const [shared, ...others] = [1, 2, 3].map(() => new FakeWorker({ user: 'alice' }))
  t.after(() => [shared, ...others].forEach((worker) => worker.terminate()))
  // The worker holds its lock longer than the page waits.
  t.mock.method(AbortSignal, 'timeout', () => {
    const controller = new AbortController()
    setImmediate(() => controller.abort())
    return controller.signal
  })
  const { client } = await start(shared)
  for (const [index, cause] of ['vault_crashed', 'outdated'].entries()) {
    const other = await connectTo(connect, shared, others[index])
    if (cause === 'outdated') shared.announce({ t: cause })
    else {
      shared.fail(cause)
      await settled()
      await other.client.reconnect()
    }
    await settled()
    assert.equal(other.made.length, 2, cause)
    assert.equal(shared.isEnded, false, cause)
    other.client.close()
  }
  client.close()
})

test('move to the same worker keeps this worker', async (t) => {
  const worker = new FakeWorker({ user: 'alice' })
  t.after(() => worker.terminate())
  const { client, made } = await start(worker, worker)
  const [port] = worker.ports
  worker.announce({ t: 'outdated' })
  await settled()
  assert.equal(made.length, 2)
  assert.equal(worker.isEnded, false)
  const pending = client.inspect()
  await settled()
  worker.send(port, { t: 'inspection', id: worker.received.at(-1).id, holdings: ['one'] })
  assert.deepEqual(await pending, ['one'])
  client.close()
})

for (const timeout of [Infinity, NaN, -1, 1e10]) {
  test(`time limit of ${timeout} seconds is refused`, async (t) => {
    const worker = new FakeWorker({ user: 'alice' })
    t.after(() => worker.terminate())
    const refused = await codeOf(connect(() => worker, { timeout }))
    assert.equal(refused, 'message_invalid')
    assert.deepEqual(worker.ports, [])
  })

  test(`login with a time limit of ${timeout} seconds is refused`, async () => {
    const worker = new FakeWorker()
    const { client } = await start(worker)
    for (const mode of ['redirect', 'device']) {
      assert.equal(await codeOf(client.login({ mode, timeout })), 'message_invalid')
    }
    await settled()
    assert.ok(!worker.received.some(({ t }) => t === 'login'))
    client.close()
  })
}

test('page reports its visibility, and when the device is online or offline', async (t) => {
  const worker = new FakeWorker({ user: 'alice' })
  const { client } = await start(worker)
  t.after(() => client.close())
  const { length } = worker.received
  for (const state of ['hidden', 'visible']) {
    document.visibilityState = state
    window.dispatchEvent(new Event('visibilitychange'))
  }
  for (const event of ['offline', 'online']) window.dispatchEvent(new Event(event))
  await settled()
  const reports = ['hidden', 'visible', 'offline', 'online']
  assert.deepEqual(
    worker.received.slice(length),
    reports.map((name) => ({ t: name })),
  )
})

test('restored page loses its requests and connects again', async () => {
  const worker = new FakeWorker({ user: 'alice' })
  const { client, events } = await start(worker)
  const pending = client.inspect()
  await settled()
  page.leave()
  await settled()
  assert.equal(worker.received.at(-1).t, 'bye')
  page.restore()
  assert.equal(await codeOf(pending), 'page_left')
  await settled()
  assert.deepEqual(events, ['alice'])
  assert.equal(worker.received.filter(({ t }) => t === 'hello').length, 2)
  client.close()
  page.leave()
  page.restore()
  await settled()
  assert.equal(worker.received.filter(({ t }) => t === 'hello').length, 2)
})

test('call that follows a step-up can be refused in the same way', async (t) => {
  const { client, made } = await start(new FakeWorker({ user: 'alice' }))
  t.after(() => client.close())
  const [vault] = made
  const last = (type) => vault.received.findLast(({ t }) => t === type)?.id
  const refuse = () =>
    vault.announce({
      t: 'error',
      id: last('fetch'),
      code: 'step_up_required',
      message: '',
      login: { acrValues: 'gold' },
    })
  const call = client.fetch('https://app.example/orders').catch((error) => error)
  await settled()
  refuse()
  const first = await call
  const again = first.stepUp({ mode: 'device', onCode() {} }).catch((error) => error)
  await settled()
  vault.announce({ t: 'done', id: last('login') })
  await settled()
  refuse()
  assert.equal(typeof (await again).stepUp, 'function')
})

for (const [code, isRepeated] of [
  ['vault_outdated', true],
  ['vault_crashed', true],
  ['config_invalid', false],
]) {
  test(`first connection that fails with ${code} ${isRepeated ? 'waits for the next worker' : 'rejects'}`, async () => {
    // Ends by itself, as a shared worker does.
    const first = new FakeWorker({ responds: false })
    const { terminate } = first
    first.terminate = () => {}
    const workers = [first, new FakeWorker({ user: 'alice' })]
    const unused = [...workers]
    const connecting = connect(() => unused.shift(), { timeout: 10 })
    const outcome = codeOf(connecting)
    await settled()
    first.fail(code)
    await settled()
    if (!isRepeated) return assert.deepEqual([await outcome, unused.length], [code, 1])
    mock.timers.tick(1000)
    await settled()
    // The worker still holds its lock.
    assert.equal(unused.length, 1)
    terminate.call(first)
    const client = await connecting
    assert.equal(client.session.claims.sub, 'alice')
    assert.equal(unused.length, 0)
    client.close()
  })
}

test('a user waits for an event source, and not for a poll', async () => {
  const { client, made } = await start(new FakeWorker({ user: 'alice' }))
  const source = client.eventSource('https://api.example/events')
  client.fetch('https://api.example/news', { background: true }).catch(() => {})
  await settled()
  const sent = made[0].received.filter(({ t }) => t === 'fetch')
  const awaited = sent.map(({ url, background, awaited }) => [url, background, awaited])
  assert.deepEqual(awaited.sort(), [
    ['https://api.example/events', true, true],
    ['https://api.example/news', true, undefined],
  ])
  source.close()
  client.close()
})
