// The session of a page over a token handler: its timers, and which responses begin and end it.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
globalThis.Request = class extends Request {
  constructor(input, init) {
    super(input instanceof Request ? input : new URL(input, location), init)
  }
}
const { handlerSession, handlerFetch, handlerLogin } = await load(
  'page/token-handler/handler-session.ts',
  'page/token-handler/handler-fetch.ts',
  'page/token-handler/handler-login.ts',
)

const HOUR = 3_600_000

/** A session, as the handler sends it. */
const sessionOf = (sub, startedAt) => {
  const expiresAt = Date.now() + HOUR
  const limits = { expiresAt, idleExpiresAt: expiresAt, accessTokenExpiresAt: expiresAt }
  return { startedAt, ...limits, claims: { sub }, state: 'active' }
}

const refuse = async (code) => {
  throw Object.assign(new Error(code), { code })
}

/**
 * A page whose handler says what `current.body` is. A call waits for `answer()`, and `held` keeps the responses to reads.
 * `seen` lists the users of the event `change`.
 */
async function startPage(t, body) {
  const current = { body, reads: 0, held: undefined }
  const events = new EventTarget()
  const seen = []
  events.addEventListener('change', ({ detail: { session } }) => seen.push(session?.claims.sub ?? null))
  const send = async () => {
    current.reads++
    const response = Response.json(current.body)
    await current.held
    return response
  }
  const config = { base: '/auth', notice: 1000, routes: [] }
  const state = handlerSession({ base: '/auth', send }, config, events, () => {})
  t.after(() => state.close())
  await state.read()
  const closing = new AbortController()
  // A login that still waits would keep the process alive.
  t.after(() => closing.abort())
  const closed = closing.signal
  let answer
  t.mock.method(globalThis, 'fetch', () => new Promise((resolve) => (answer = resolve)))
  const context = { base: '/auth', state, events, closed, refuse, refuseOption: refuse }
  const call = handlerFetch(state, config, closed, refuse, () => {})
  return {
    state,
    events,
    seen,
    current,
    login: (options) => handlerLogin(context, options),
    /** Begins a call. Returns a function that answers it with an error of the handler. */
    begin() {
      const result = call('/api/orders').catch(({ code }) => code)
      return async (code, reason) => {
        answer(
          Response.json(
            { error: { code, message: '', reason } },
            { status: 401, headers: { 'x-strongroom': code } },
          ),
        )
        assert.equal(await result, code)
        await settled()
      }
    },
  }
}

test('read that fails near a limit is not repeated at once if the handler asks for a long wait', async () => {
  const timers = mock.method(globalThis, 'setTimeout', () => 0)
  const expiresAt = Date.now() + 60_000
  const limits = { expiresAt, idleExpiresAt: expiresAt, accessTokenExpiresAt: expiresAt }
  const session = { startedAt: 1, claims: { sub: 'alice' }, ...limits }
  const answers = [
    Response.json({ session }),
    new Response(null, { status: 503, headers: { 'Retry-After': '99999999999' } }),
  ]
  const requests = { base: '/auth', send: async () => answers.shift() }
  const state = handlerSession(requests, { notice: 1000 }, new EventTarget(), () => {})
  await state.read()
  const [check] = timers.mock.calls.at(-1).arguments
  await check()
  await settled()
  const delay = timers.mock.calls.at(-1).arguments[1]
  timers.mock.restore()
  state.close()
  // The longest delay that a timer keeps. It fires at once after a longer one.
  assert.equal(delay, 2 ** 31 - 1)
})

for (const [body, counts] of [
  [{ status: 'maintenance' }, false],
  [{ session: 'none' }, false],
  [{ session: {} }, false],
  [null, false],
  [{ session: null, reason: 'idle' }, true],
]) {
  test(`response ${JSON.stringify(body)} ${counts ? 'ends' : 'does not end'} the session`, async (t) => {
    const { state, current } = await startPage(t, { session: sessionOf('alice', 1) })
    current.body = body
    const failed = await state.read()
    assert.equal(failed?.code, counts ? undefined : 'handler_unreachable')
    assert.equal(state.session?.claims.sub, counts ? undefined : 'alice')
  })
}

for (const code of ['session_ended', 'login_required']) {
  test(`late ${code} of an earlier session does not end the one that is shown`, async (t) => {
    const { state, current, begin, seen } = await startPage(t, { session: sessionOf('alice', 1) })
    const answer = begin()
    // The user has signed in again in another tab.
    current.body = { session: sessionOf('bob', 2) }
    await state.read()
    const { reads } = current
    await answer(code, 'logged_out')
    assert.deepEqual(seen, ['alice', 'bob'])
    assert.equal(current.reads, reads + 1)
  })

  test(`${code} of the session that is shown ends it`, async (t) => {
    const { begin, seen } = await startPage(t, { session: sessionOf('alice', 1) })
    await begin()(code, 'logged_out')
    assert.deepEqual(seen, ['alice', null])
  })
}

test('reason that another tab announces during a read is that of the end', async (t) => {
  const { state, current } = await startPage(t, { session: sessionOf('alice', 1) })
  let release
  current.held = new Promise((resolve) => (release = resolve))
  const read = state.read()
  current.body = { session: null }
  state.on({ t: 'tab', message: { startedAt: null, reason: 'logged_out' } })
  release()
  await read
  // With `storage_lost`, a guard would sign the user in again.
  assert.deepEqual([state.session, state.reason], [null, 'logged_out'])
})

test('end of a session while the next one is read hides the next one only for a moment', async (t) => {
  const { state, current, begin, seen } = await startPage(t, { session: sessionOf('alice', 1) })
  const answer = begin()
  current.body = { session: sessionOf('bob', 2) }
  let release
  current.held = new Promise((resolve) => (release = resolve))
  const read = state.read()
  await answer('session_ended', 'logged_out')
  release()
  await read
  assert.deepEqual(seen, ['alice', null, 'bob'])
})

test('session is read again if the read after the end of a popup fails', async (t) => {
  const channel = { postMessage() {}, close() {} }
  globalThis.BroadcastChannel = function () {
    return channel
  }
  const { state, current } = await startPage(t, { session: null })
  state.openChannel()
  current.body = { status: 'bad gateway' }
  t.mock.timers.enable({ apis: ['setTimeout'] })
  channel.onmessage({ data: 0 })
  await settled()
  assert.equal(state.session, null)
  current.body = { session: sessionOf('alice', 1) }
  t.mock.timers.tick(1000)
  await settled()
  assert.equal(state.session?.claims.sub, 'alice')
})

test('late refusal of an earlier session does not ask the next user to sign in', async (t) => {
  const { state, current, begin } = await startPage(t, { session: sessionOf('alice', 1) })
  const answer = begin()
  current.body = { session: sessionOf('bob', 2) }
  await state.read()
  await answer('interaction_required')
  assert.equal(state.session.state, 'active')
  assert.equal((await state.sessionFor({}))?.claims.sub, 'bob')
  // A refusal of the session that is shown does.
  await begin()('interaction_required')
  assert.equal(state.session.state, 'interaction_required')
})

for (const before of [null, sessionOf('alice', 1)]) {
  test(`popup that ends without a session ends the login of ${before ? 'a user' : 'no user'}`, async (t) => {
    const { state, current, events, login } = await startPage(t, { session: before })
    window.open = () => ({ location: { assign() {} }, close() {} })
    const done = login({ mode: 'popup', prompt: 'login' }).catch(({ code }) => code)
    await settled()
    current.body = { session: null, reason: 'logged_out' }
    await state.read()
    events.dispatchEvent(new Event('popup'))
    assert.equal(await Promise.race([done, settled().then(() => 'waits')]), 'session_ended')
  })
}

for (const timeout of [Infinity, NaN, -1, 1e10]) {
  test(`login with a time limit of ${timeout} seconds is refused`, async (t) => {
    const { login } = await startPage(t, { session: null })
    const refused = await login({ timeout }).catch(({ code }) => code)
    assert.equal(refused, 'message_invalid')
  })
}
