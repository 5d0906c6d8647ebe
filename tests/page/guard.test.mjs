// The guard's policies: when it starts a login, and when the user has to decide.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { signIn, needsUser } = await load('page/guards/guard.ts', 'page/guards/end-reason.ts')

mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
mock.method(console, 'warn', () => {})

beforeEach(() => {
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
})

test('guards of one page share a login', async () => {
  const auth = authWith()
  await Promise.all([signIn(auth), signIn(auth)])
  assert.equal(auth.logins, 1)
})

test('guard starts no login that it cannot count', async () => {
  globalThis.sessionStorage = {
    getItem() {
      throw new Error('denied')
    },
  }
  const auth = authWith()
  assert.equal(await signIn(auth), null)
  assert.equal(auth.logins, 0)
})

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
