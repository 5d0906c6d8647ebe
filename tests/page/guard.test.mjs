// The guard's policies: when it starts a login, and when the user has to decide.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { signIn, needsUser } = await load('page/guards/guard.ts', 'page/guards/end-reason.ts')

mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
const warnings = []
mock.method(console, 'warn', (text) => warnings.push(text))

beforeEach(() => {
  warnings.length = 0
  globalThis.window = globalThis
  globalThis.sessionStorage = {
    getItem: (key) => sessionStorage[key] ?? null,
    setItem: (key, value) => (sessionStorage[key] = value),
  }
})

/** An `Auth` without a session. `logins` is the number of its logins, which lead to no session. */
const authWith = (state = {}) => {
  const auth = {
    logins: 0,
    state: { status: 'connected', session: null, error: null, endReason: null, ...state },
    login: async () => (auth.logins++, null),
  }
  return auth
}

test('guard starts three logins within a minute', async () => {
  const auth = authWith()
  for (let call = 0; call < 5; call++) assert.equal(await signIn(auth), null)
  assert.equal(auth.logins, 3)
  mock.timers.tick(60_000)
  await signIn(auth)
  assert.equal(auth.logins, 4)
  assert.match(warnings[0], /has begun several logins/)
})

test('guards of one page share a login', async () => {
  const auth = authWith()
  await Promise.all([signIn(auth), signIn(auth)])
  assert.equal(auth.logins, 1)
})

const refuse = () => {
  throw new Error('denied')
}

for (const [place, frame, advice] of [
  ['in a tab', {}, /: requireSession\(\) begins no login, .*sessionStorage\. Allow storage for this site\.$/],
  [
    'in a frame of another site',
    { parent: {}, document: Object.defineProperty({}, 'cookie', { get: refuse, set: refuse }) },
    /: requireSession\(\) begins no login, .*sessionStorage\. Open the app in a tab of its own/,
  ],
]) {
  test(`guard starts no login that it cannot count, ${place}`, async (t) => {
    globalThis.sessionStorage = { getItem: refuse }
    globalThis.window = { parent: globalThis.window, ...frame }
    if (!frame.parent) window.parent = window
    globalThis.document = frame.document
    t.after(() => delete globalThis.document)
    const auth = authWith()
    assert.equal(await signIn(auth), null)
    assert.equal(auth.logins, 0)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0], advice)
  })
}

test('guard starts no login after an error', async () => {
  for (const state of [{ error: new Error('failed') }, { status: 'failed' }]) {
    const auth = authWith(state)
    assert.equal(await signIn(auth), null)
    assert.equal(auth.logins, 0)
  }
})

test('only the user may sign in after final reasons', async () => {
  for (const endReason of ['logged_out', 'idle', 'absolute', 'session_expired', 'security']) {
    const auth = authWith({ endReason })
    await signIn(auth)
    assert.equal(auth.logins, 0, endReason)
  }
  for (const reason of ['claims_changed', 'expired', 'provider_ended', 'storage_lost', null])
    assert.ok(!needsUser(reason))
})

test('login that fails resolves with null', async () => {
  const auth = authWith()
  auth.login = () => Promise.reject(new Error('provider_unavailable'))
  assert.deepEqual(await Promise.all([signIn(auth), signIn(auth)]), [null, null])
})
