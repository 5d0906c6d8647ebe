// createAuth() with fake ports: its states, the replacement of vaults, and which session and error it shows.
import assert from 'node:assert/strict'
import { afterEach, mock, test } from 'node:test'
import { FakeWorker, fakePage, settled, storage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
const { createAuth } = await load('page/auth/create-auth.ts')

/** The page's clock in milliseconds. */
let now = 0
mock.method(performance, 'now', () => now)
const MINUTE = 60_000

/** The errors that the page has printed, by their codes. */
const printed = []
mock.method(console, 'error', (text) => printed.push(text.match(/^strongroom: (\w+): /)?.[1]))

const opened = []

afterEach(async () => {
  for (const auth of opened.splice(0)) auth.close()
  await settled()
  printed.length = 0
  now += MINUTE
  location.href = 'https://app.example/'
  globalThis.localStorage = storage()
})

/** Creates an `Auth` that is closed after the test, so that a test that fails does not keep the process alive. */
function create(...options) {
  const auth = createAuth(...options)
  opened.push(auth)
  return auth
}

/** Creates an `Auth` whose connections take these workers. `states` lists its states. */
function start(...workers) {
  const all = [...workers]
  const auth = create({ dedicated: () => workers.shift() })
  const states = []
  auth.subscribe((state) => states.push(state))
  return { auth, states, workers: all, unused: workers }
}

const codeOf = (promise) =>
  promise.then(
    () => 'none',
    ({ code }) => code,
  )

/** The members of a state that the tests compare. */
const shown = ({ status, session, error }) => [status, session?.claims.sub ?? null, error?.code ?? null]

/** Passes an error to the last request of this type that the worker has received. */
const refuse = (worker, type, code, more) => {
  const { id } = worker.received.findLast(({ t }) => t === type)
  worker.announce({ t: 'error', id, code, message: '', ...more })
}

const signIn = (worker, sub, startedAt = Date.now() + 1) =>
  worker.announce({ t: 'session', session: { claims: { sub }, startedAt }, reason: null })

test('vault that fails is replaced once a minute', async () => {
  const { auth, workers, unused } = start(
    ...Array.from({ length: 5 }, () => new FakeWorker({ user: 'alice' })),
  )
  await auth.connect()
  const fail = async (worker) => {
    worker.fail('vault_crashed')
    await settled()
    return [unused.length, ...shown(auth.state)]
  }
  assert.deepEqual(await fail(workers[0]), [3, 'connected', 'alice', null])
  now += MINUTE - 1
  assert.deepEqual(await fail(workers[1]), [3, 'failed', null, 'vault_crashed'])
  // reconnect() is a replacement too.
  await auth.reconnect()
  assert.deepEqual(shown(auth.state), ['connected', 'alice', null])
  now += MINUTE
  assert.deepEqual(await fail(workers[2]), [1, 'connected', 'alice', null])
  now += MINUTE - 1
  assert.deepEqual(await fail(workers[3]), [1, 'failed', null, 'vault_crashed'])
  assert.deepEqual(printed, ['vault_crashed', 'vault_crashed'])
  now += 5000
  await auth.connect()
  assert.deepEqual([unused.length, ...shown(auth.state)], [0, 'connected', 'alice', null])
})

test('replacement shows no connected state without a session', async () => {
  const { auth, states, workers } = start(
    new FakeWorker({ user: 'alice' }),
    new FakeWorker({ user: 'alice' }),
  )
  await auth.connect()
  const { length } = states
  workers[0].fail('vault_crashed')
  await settled()
  // A guard would sign in if it saw a connected state without a session.
  const seen = states.slice(length).map(shown)
  assert.deepEqual(seen[0], ['connecting', 'alice', null])
  assert.deepEqual(seen.at(-1), ['connected', 'alice', null])
  assert.ok(seen.some(([, user]) => !user))
  for (const [status, user] of seen) assert.ok(user || status === 'connecting')
})

test('connection that fails is printed once, and repeated by reconnect()', async () => {
  const refused = new FakeWorker({ responds: false })
  const { auth, unused } = start(refused, new FakeWorker({ user: 'alice' }))
  const calls = [auth.connect(), auth.fetch('/orders'), auth.logout(), auth.login()].map(codeOf)
  const guard = auth.requireSession()
  await settled()
  refused.fail('config_invalid')
  assert.deepEqual(await Promise.all(calls), Array(4).fill('config_invalid'))
  assert.equal(await guard, null)
  assert.deepEqual(shown(auth.state), ['failed', null, 'config_invalid'])
  assert.deepEqual(printed, ['config_invalid'])
  assert.equal(await codeOf(auth.connect()), 'config_invalid')
  assert.equal(unused.length, 1)
  const again = auth.reconnect()
  assert.deepEqual(shown(auth.state), ['connecting', null, null])
  await again
  assert.deepEqual(shown(auth.state), ['connected', 'alice', null])
  assert.deepEqual(printed, ['config_invalid'])
})

for (const [code, isTemporary] of Object.entries({
  wasm_failed: true,
  config_unavailable: true,
  frame_timeout: true,
  frame_blocked: true,
  handler_crashed: true,
  limit_exceeded: true,
  // A vault of another version refuses messages that it does not know.
  message_invalid: true,
  config_invalid: false,
  origin_not_allowed: false,
  unsupported: false,
  wasm_blocked: false,
  wasm_missing: false,
  closed: false,
})) {
  const what = isTemporary ? 'is repeated by a call, at most every five seconds' : 'waits for reconnect()'
  test(`connection that fails with ${code} ${what}`, async () => {
    const refused = [1, 2].map(() => new FakeWorker({ responds: false }))
    const { auth, unused } = start(...refused, new FakeWorker({ user: 'alice' }))
    const fails = async (worker) => {
      await settled()
      worker.fail(code)
      await settled()
      assert.deepEqual(shown(auth.state), ['failed', null, code])
    }
    const call = async () => {
      const outcome = codeOf(auth.logout())
      await settled()
      return outcome
    }
    await fails(refused[0])
    now += 4999
    assert.equal(await call(), code)
    // An event that comes too early counts later.
    window.dispatchEvent(new Event('focus'))
    now += 1
    if (!isTemporary) return assert.equal(await call(), code)
    mock.timers.tick(2)
    assert.deepEqual(shown(auth.state), ['connecting', null, null])
    await fails(refused[1])
    assert.equal(await call(), code)
    now += 5000
    assert.equal(await call(), 'none')
    assert.equal(unused.length, 0)
    // The second failure says nothing new.
    assert.deepEqual(printed, [code])
  })
}

for (const event of ['online', 'focus', 'visibilitychange']) {
  test(`connection that fails is repeated after ${event} during its attempt`, async () => {
    const refused = [1, 2].map(() => new FakeWorker({ responds: false }))
    const { auth, unused } = start(...refused, new FakeWorker())
    await settled()
    window.dispatchEvent(new Event(event))
    const fails = async (worker) => {
      worker.fail('wasm_failed')
      await settled()
      assert.deepEqual(shown(auth.state), ['failed', null, 'wasm_failed'])
      now += 5000
      mock.timers.tick(5001)
      await settled()
    }
    await fails(refused[0])
    assert.deepEqual(shown(auth.state), ['connecting', null, null])
    // Without an event, the next attempt waits for one.
    await fails(refused[1])
    assert.equal(unused.length, 1)
  })
}

test('connection that fails is not repeated because the page is hidden or the device offline', async (t) => {
  const { auth, workers, unused } = start(new FakeWorker({ responds: false }), new FakeWorker())
  await settled()
  t.after(() => (document.visibilityState = 'visible'))
  document.visibilityState = 'hidden'
  const report = async () => {
    for (const event of ['visibilitychange', 'offline']) window.dispatchEvent(new Event(event))
    now += 5001
    mock.timers.tick(5001)
    await settled()
  }
  await report()
  workers[0].fail('wasm_failed')
  await settled()
  for (let i = 0; i < 2; i++) await report()
  assert.deepEqual(shown(auth.state), ['failed', null, 'wasm_failed'])
  assert.equal(unused.length, 1)
})

/** Lets half a minute pass, and all that follows from it. */
const halfMinute = async () => {
  now += 30_000
  mock.timers.tick(30_000)
  await settled()
}

test('connection that fails while the device seems to be offline is repeated every 30 s', async (t) => {
  navigator.onLine = false
  t.after(() => delete navigator.onLine)
  const refused = [1, 2].map(() => new FakeWorker({ responds: false }))
  const { auth, unused } = start(...refused, new FakeWorker({ user: 'alice' }))
  await settled()
  refused[0].fail('config_unavailable')
  await settled()
  now += 5000
  // The event causes a second attempt. The timer of the first failure must not count beside that of the second.
  window.dispatchEvent(new Event('focus'))
  mock.timers.tick(5001)
  await settled()
  refused[1].fail('config_unavailable')
  await settled()
  now += 29_000
  mock.timers.tick(29_000)
  await settled()
  assert.equal(unused.length, 1)
  await halfMinute()
  assert.deepEqual(shown(auth.state), ['connected', 'alice', null])
})

for (const why of ['a hidden page', 'a device that is online', 'a failure that lasts']) {
  test(`connection is not repeated every 30 s: ${why}`, async (t) => {
    navigator.onLine = why === 'a device that is online'
    document.visibilityState = why === 'a hidden page' ? 'hidden' : 'visible'
    t.after(() => {
      delete navigator.onLine
      document.visibilityState = 'visible'
    })
    const { auth, workers, unused } = start(new FakeWorker({ responds: false }), new FakeWorker())
    await settled()
    const code = why === 'a failure that lasts' ? 'config_invalid' : 'wasm_failed'
    workers[0].fail(code)
    await settled()
    await halfMinute()
    assert.deepEqual(shown(auth.state), ['failed', null, code])
    assert.equal(unused.length, 1)
  })
}

test('close() ends the watch for a change of the world', async () => {
  const added = []
  const { addEventListener } = window
  window.addEventListener = (...listener) => (added.push(listener), addEventListener.apply(window, listener))
  const removed = mock.method(window, 'removeEventListener')
  const refused = new FakeWorker({ responds: false })
  const { auth } = start(refused)
  await settled()
  refused.fail('wasm_failed')
  await settled()
  assert.ok(added.some(([type]) => type === 'focus'))
  auth.close()
  const types = removed.mock.calls.map(({ arguments: [type] }) => type)
  removed.mock.restore()
  window.addEventListener = addEventListener
  for (const [type] of added) assert.ok(types.includes(type), type)
})

test('reconnect() of a working vault changes no state', async () => {
  const { auth, states, unused } = start(new FakeWorker({ user: 'alice' }), new FakeWorker())
  await auth.connect()
  const { length } = states
  await auth.reconnect()
  assert.deepEqual(states.slice(length), [])
  assert.equal(unused.length, 1)
})

test('login that fails is shown until the next attempt', async () => {
  const { auth, workers } = start(new FakeWorker())
  await auth.connect()
  const attempt = auth.login()
  await settled()
  refuse(workers[0], 'login', 'provider_unavailable')
  assert.equal(await codeOf(attempt), 'provider_unavailable')
  assert.deepEqual(shown(auth.state), ['connected', null, 'provider_unavailable'])
  const controller = new AbortController()
  const next = auth.login({ signal: controller.signal })
  assert.deepEqual(shown(auth.state), ['connected', null, null])
  await settled()
  controller.abort()
  assert.equal(await codeOf(next), 'login_canceled')
  assert.deepEqual(shown(auth.state), ['connected', null, null])
})

test('promise of a login may be ignored', async () => {
  const rejected = mock.fn()
  process.on('unhandledRejection', rejected)
  const { auth, workers } = start(new FakeWorker())
  await auth.connect()
  auth.login()
  await settled()
  refuse(workers[0], 'login', 'login_denied')
  await settled()
  process.off('unhandledRejection', rejected)
  assert.equal(rejected.mock.callCount(), 0)
  assert.equal(auth.state.error.code, 'login_denied')
})

test('session ends the display of an error', async () => {
  const { auth, workers } = start(new FakeWorker())
  await auth.connect()
  const attempt = codeOf(auth.login())
  await settled()
  refuse(workers[0], 'login', 'login_denied')
  await attempt
  // The user signs in in another tab.
  signIn(workers[0], 'alice')
  await settled()
  assert.deepEqual(shown(auth.state), ['connected', 'alice', null])
})

for (const [code, isPrinted] of [
  ['login_denied', false],
  ['callback_invalid', true],
]) {
  test(`callback that fails leaves the client usable: ${code}`, async () => {
    location.href = `https://app.example/callback?code=1&state=${code}.7`
    const returned = []
    const worker = new FakeWorker()
    const auth = create({ dedicated: () => worker }, { onReturn: (path) => returned.push(path) })
    const connection = auth.connect()
    await settled()
    assert.equal(auth.state.status, 'connecting')
    refuse(worker, 'callback', code, { returnTo: '/orders' })
    await connection
    assert.deepEqual(shown(auth.state), ['connected', null, code])
    assert.deepEqual(returned, ['/orders'])
    assert.deepEqual(printed, isPrinted ? [code] : [])
  })
}

test('call during a callback waits for the replacement', async () => {
  for (const fails of [false, true]) {
    location.href = `https://app.example/callback?code=1&state=${fails}.7`
    const next = new FakeWorker({ user: 'alice', responds: false })
    const { auth, states, workers } = start(new FakeWorker(), next)
    const call = auth.connect().then(
      () => shown(auth.state),
      ({ code }) => code,
    )
    await settled()
    workers[0].fail('vault_crashed')
    await settled()
    // The first vault's connection does not count any more.
    assert.ok(states.every(({ status }) => status === 'connecting'))
    if (fails) next.fail('config_invalid')
    else next.ready()
    assert.deepEqual(await call, fails ? 'config_invalid' : ['connected', 'alice', null])
    // Both attempts fail with the error of the second one.
    assert.deepEqual(printed.splice(0), fails ? ['vault_crashed', 'config_invalid'] : ['vault_crashed'])
    now += MINUTE
  }
})

test('end reason outlives the vault until the next session', async () => {
  const { auth } = start(new FakeWorker({ user: 'alice' }))
  await auth.connect()
  await auth.logout()
  assert.equal(auth.state.endReason, 'logged_out')
  auth.close()
  // The page was loaded again, and the new vault knows of no session.
  const { auth: next, workers } = start(new FakeWorker())
  await next.connect()
  assert.equal(next.state.endReason, 'logged_out')
  assert.equal(await next.requireSession(), null)
  assert.ok(!workers[0].received.some(({ t }) => t === 'login'))
  signIn(workers[0], 'alice')
  await settled()
  assert.equal(next.state.endReason, null)
  next.close()
  const { auth: last } = start(new FakeWorker())
  await last.connect()
  assert.equal(last.state.endReason, null)
})

test('announced end is shown until the next change', async () => {
  const { auth, workers } = start(new FakeWorker({ user: 'alice' }))
  await auth.connect()
  assert.equal(auth.state.expiring, null)
  workers[0].announce({ t: 'expiring', at: 1041 })
  await settled()
  assert.equal(auth.state.expiring, 1041)
  signIn(workers[0], 'alice')
  await settled()
  assert.equal(auth.state.expiring, null)
})

test('vault in place of one that fails ends a session that is older than that of the fallback', async (t) => {
  localStorage['strongroom.fallback /auth'] = 1
  const requests = []
  t.mock.method(globalThis, 'fetch', async (url) => {
    requests.push([url, shown(auth.state)[1]])
    return Response.json({ revoked: false })
  })
  const failing = Object.assign(new FakeWorker({ user: 'alice' }), { endsSessions: false })
  const workers = [failing, new FakeWorker({ user: 'alice' })]
  const auth = create({ dedicated: () => workers.shift(), fallback: '/auth' })
  const users = new Set()
  auth.subscribe(({ session }) => users.add(session?.claims.sub))
  await settled()
  assert.equal(failing.received.at(-1).t, 'logout')
  failing.fail('vault_crashed')
  await settled()
  await auth.connect()
  assert.deepEqual(shown(auth.state), ['connected', null, null])
  assert.equal(auth.state.endReason, 'logged_out')
  assert.deepEqual(requests, [['/auth/logout', null]])
  assert.deepEqual([...users], [undefined])
  assert.deepEqual(printed, [])
  assert.deepEqual(workers, [])
})

test('WebKit gets a dedicated worker if there is one', async () => {
  const { vendor } = navigator
  const madeBy = async (vendor, hasShared, ...kinds) => {
    navigator.vendor = vendor
    if (hasShared) globalThis.SharedWorker = class {}
    else delete globalThis.SharedWorker
    const made = []
    const worker = (kind) => () => (made.push(kind), new FakeWorker())
    const auth = create(Object.fromEntries(kinds.map((kind) => [kind, worker(kind)])))
    await auth.connect()
    return made.join()
  }
  const apple = 'Apple Computer, Inc.'
  assert.equal(await madeBy('Google Inc.', true, 'shared', 'dedicated'), 'shared')
  assert.equal(await madeBy('', true, 'shared', 'dedicated'), 'shared')
  assert.equal(await madeBy(apple, true, 'shared', 'dedicated'), 'dedicated')
  assert.equal(await madeBy('Google Inc.', false, 'shared', 'dedicated'), 'dedicated')
  assert.equal(await madeBy('Google Inc.', true, 'dedicated'), 'dedicated')
  assert.equal(await madeBy(apple, true, 'shared'), 'shared')
  navigator.vendor = vendor
  delete globalThis.SharedWorker
})

test('requireSession() waits while the vault is replaced', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { auth, workers } = start(new FakeWorker({ user: 'alice' }), next)
  assert.equal((await auth.requireSession()).claims.sub, 'alice')
  workers[0].fail('vault_outdated')
  await settled()
  // The page still shows the session, although its vault has stopped.
  assert.equal(auth.state.session.claims.sub, 'alice')
  const session = auth.requireSession()
  await settled()
  next.ready()
  assert.equal((await session).claims.sub, 'bob')
})

test('state does not change after close()', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { auth, states, workers } = start(new FakeWorker({ user: 'alice' }), next)
  await auth.connect()
  workers[0].fail('vault_crashed')
  await settled()
  assert.equal(auth.state.status, 'connecting')
  auth.close()
  await settled()
  const { length } = states
  next.ready()
  await settled()
  assert.deepEqual(states.slice(length), [])
})

test('state does not change if close() precedes the connection', async () => {
  const worker = new FakeWorker({ user: 'alice', responds: false })
  const { auth, states } = start(worker)
  await settled()
  auth.close()
  worker.ready()
  await settled()
  assert.deepEqual(
    states.map(({ session }) => session),
    [null],
  )
})

/** Lets the time pass in which a browser may report why it forbids a worker. */
const waitForReport = async () => {
  await settled()
  mock.timers.tick(300)
  await settled()
}

/** As browsers do in a sandboxed frame. */
const forbidden = () => {
  throw new DOMException('Failed to construct.', 'SecurityError')
}

test('worker that the browser forbids is worker_failed, and no error of the platform', async () => {
  const auth = create({ shared: forbidden })
  const code = codeOf(auth.connect())
  await waitForReport()
  assert.equal(await code, 'worker_failed')
  assert.match(auth.state.error.message, /does not create the worker.*Failed to construct\. [A-Z]/s)
})

test('worker that the browser forbids later is worker_failed, too', async () => {
  const first = new FakeWorker({ user: 'alice' })
  const workers = [() => first]
  const auth = create({ dedicated: () => (workers.shift() ?? forbidden)() })
  await auth.connect()
  first.fail('vault_crashed')
  await settled()
  await waitForReport()
  assert.equal(auth.state.status, 'failed')
  assert.equal(auth.state.error.code, 'worker_failed')
})

test('exception without a code gets no advice about files', async () => {
  const { MessageChannel } = globalThis
  globalThis.MessageChannel = class {
    constructor() {
      throw new TypeError('young is not a function')
    }
  }
  const auth = create({ dedicated: () => new FakeWorker() })
  const code = codeOf(auth.connect())
  await settled()
  globalThis.MessageChannel = MessageChannel
  assert.equal(await code, 'unsupported')
  const { message } = auth.state.error
  assert.match(message, /the browser threw an exception.*: young is not a function\. [A-Z]/)
  assert.doesNotMatch(message, /worker|file of|undefined/)
})

test('login goes on if the browser refuses to change the URL', async () => {
  location.href = 'https://app.example/callback?code=c&state=s.7'
  const { replaceState } = history
  // As Safari does after a hundred calls within seconds.
  history.replaceState = forbidden
  const worker = new FakeWorker()
  const { auth } = start(worker)
  await settled()
  const { id, url } = worker.received.find(({ t }) => t === 'callback')
  assert.match(url, /code=c/)
  signIn(worker, 'alice')
  worker.announce({ t: 'settled', id, returnTo: '/orders' })
  await auth.connect()
  await settled()
  history.replaceState = replaceState
  assert.deepEqual(shown(auth.state), ['connected', 'alice', null])
})

/** A page of the account 0 that gets the response to a login of the account 1. */
function pageOfFirstAccount() {
  location.href = 'https://app.example/callback?code=c&state=s.8.1'
  const worker = new FakeWorker()
  return { worker, auth: create({ dedicated: () => worker }) }
}

const logins = ({ received }) => received.filter(({ t }) => t === 'login').length

test('response that no client takes is reported once, and guards show it', async () => {
  const { auth, worker } = pageOfFirstAccount()
  const second = create({ dedicated: () => new FakeWorker() })
  const guard = auth.requireSession()
  await second.connect()
  await settled()
  mock.timers.tick(2999)
  await settled()
  assert.deepEqual([logins(worker), ...shown(auth.state)], [0, 'connected', null, null])
  mock.timers.tick(1)
  assert.equal(await guard, null)
  await settled()
  assert.equal(logins(worker), 0)
  for (const { state } of [auth, second]) assert.deepEqual(shown(state), ['connected', null, 'login_unknown'])
  assert.match(auth.state.error.message, / no client .* the account 1\. .* createAuth\(\{ …, account \}\)/)
  assert.deepEqual(printed, ['login_unknown'])
})

test('guard goes on when the other client has taken the response', async () => {
  const { auth, worker } = pageOfFirstAccount()
  const guard = auth.requireSession()
  await settled()
  const owner = new FakeWorker()
  owner.app = 8
  const other = create({ dedicated: () => owner })
  other.connect().catch(() => {})
  await settled()
  assert.equal(location.search, '')
  const { id } = owner.received.find(({ t }) => t === 'callback')
  owner.announce({ t: 'done', id, returnTo: '/orders' })
  await settled()
  assert.equal(logins(worker), 1)
  mock.timers.tick(3000)
  await settled()
  assert.equal(auth.state.error, null)
  assert.deepEqual(printed, [])
  auth.close()
  await guard
})

test('response is not reported if the app has left its address', async () => {
  const { auth } = pageOfFirstAccount()
  await auth.connect()
  location.href = 'https://app.example/orders'
  mock.timers.tick(3000)
  await settled()
  assert.deepEqual([auth.state.error, printed], [null, []])
})

test('logout ends the error of a login', async () => {
  const { auth, workers } = start(new FakeWorker({ user: 'alice' }))
  await auth.connect()
  const login = codeOf(auth.login({ prompt: 'login' }))
  await settled()
  refuse(workers[0], 'login', 'login_failed')
  assert.equal(await login, 'login_failed')
  await settled()
  assert.equal(auth.state.error.code, 'login_failed')
  await auth.logout()
  assert.equal(auth.state.error, null)
})
