// The page's view of its session: the rules that both clients share, and those of the client of a token handler.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { next, START, isSignedIn, subscribeToUserChange } = await load(
  'page/session-state.ts',
  'bindings/user-change.ts',
)
const handler = await load('page/token-handler/handler-state.ts')

const session = (sub, startedAt = 1, more = {}) =>
  sub && { claims: { sub }, startedAt, state: 'active', ...more }
const told = (sub, startedAt, reason = null) => ({ t: 'session', session: session(sub, startedAt), reason })

/** Passes these events. Returns the last state, and the effects of the last event. */
const after = (...events) => {
  let state = START
  let effects = []
  for (const event of events) [state, ...effects] = next(state, event)
  return { state, effects }
}

/** Passes sessions of these users, or `null` for no session. Returns the users with whom `change` has `userChanged`. */
const changes = (...users) => {
  let state = START
  return users.filter((user, i) => {
    const [changed, [type, { userChanged }]] = next(state, told(user, i + 1))
    assert.equal(type, 'change')
    state = changed
    return userChanged
  })
}

test('user is compared with the last session’s user', () => {
  assert.deepEqual(changes('alice', 'bob'), ['bob'])
  assert.deepEqual(changes('alice', null, 'bob'), ['bob'])
  assert.deepEqual(changes('alice', 'bob', 'alice'), ['bob', 'alice'])
})

test('same user and missing sessions are not changes', () => {
  assert.deepEqual(changes(null, 'alice', 'alice', null, null, 'alice'), [])
})

test('each session without `sub` is another user’s', () => {
  let state = START
  const isOther = (startedAt) => {
    const [changed, [, detail]] = next(state, {
      t: 'session',
      session: { claims: {}, startedAt },
      reason: null,
    })
    state = changed
    return 'userChanged' in detail
  }
  assert.deepEqual([1, 1, 2].map(isOther), [false, false, true])
})

test('subscription reports another user before it ends', () => {
  let notify
  let isSubscribed = true
  const auth = {
    subscribe(listener) {
      notify = (user) => isSubscribed && listener({ session: session(user) })
      notify(null)
      return () => (isSubscribed = false)
    },
  }
  let count = 0
  const stop = subscribeToUserChange(auth, () => count++)
  for (const user of ['alice', null, 'alice', 'bob', 'bob']) notify(user)
  assert.equal(count, 1)
  stop()
  notify('alice')
  assert.equal(count, 1)
})

test('reason of the last end stays until a session begins', () => {
  assert.equal(after(told(null, 0, 'idle')).state.reason, 'idle')
  // A new vault does not know why.
  assert.equal(after(told(null, 0, 'idle'), told(null)).state.reason, 'idle')
  assert.equal(after(told(null, 0, 'idle'), told('alice')).state.reason, null)
})

test('user of another vault stays known until the vault says otherwise', () => {
  const ready = { t: 'ready', session: null, reason: null, elsewhere: true }
  assert.equal(after(ready, told(null)).state.elsewhere, true)
  assert.equal(after(ready, { ...told(null), elsewhere: false }).state.elsewhere, false)
})

test('vault that is gone hides the session only when nothing replaces it', () => {
  const gone = after(told('alice'), { t: 'gone' })
  assert.deepEqual([gone.state.session, gone.state.shown.claims.sub, gone.effects], [null, 'alice', []])
  const hidden = after(told('alice'), { t: 'gone' }, { t: 'hidden' })
  assert.deepEqual(hidden.effects, [['change', { session: null, reason: null }]])
  assert.equal(hidden.state.shown, null)
})

test('session that began after the one that has ended stays', () => {
  const ended = { t: 'ended', startedAt: 5, reason: 'logged_out' }
  for (const startedAt of [4, 5]) {
    const { state, effects } = after(told('alice', startedAt), ended)
    assert.deepEqual([state.session, state.reason], [null, 'logged_out'])
    assert.deepEqual(effects, [['change', { session: null, reason: 'logged_out' }]])
  }
  const { state, effects } = after(told('alice', 6), ended)
  assert.deepEqual([state.session.claims.sub, effects], ['alice', []])
  assert.deepEqual(after(ended).effects, [])
})

test('login has nothing to do unless the session is about to end, or the user is needed', () => {
  const isEnough = (...events) => isSignedIn(after(...events).state)
  const refused = (startedAt) => ({ t: 'refused', startedAt })
  assert.equal(isEnough(), false)
  assert.equal(isEnough(told('alice')), true)
  assert.deepEqual(after({ t: 'expiring', at: 9 }).effects, [['expiring', { at: 9 }]])
  assert.equal(isEnough(told('alice'), { t: 'expiring', at: 9 }), false)
  assert.equal(isEnough(told('alice'), { t: 'expiring', at: 9 }, told('alice')), true)
  assert.equal(isEnough(told('alice'), refused(1)), false)
  assert.equal(isEnough(told('alice'), refused(1), told('alice')), false)
  assert.equal(isEnough(told('alice'), refused(1), told('alice', 2)), true)
  // The call was one of an earlier session.
  assert.equal(isEnough(told('alice', 2), refused(1)), true)
})

/** A session of a token handler. */
const limited = (sub, startedAt = 1, expiresAt = 1000) =>
  session(sub, startedAt, { expiresAt, idleExpiresAt: 900, accessTokenExpiresAt: 10 })
const read = (session, reason, epoch = 0) => ({ t: 'read', epoch, session, reason })

/** Passes these events to the state of the handler's client. Returns effects by their names, and `change` with the user. */
const over = (...events) => {
  let state = handler.START
  let effects = []
  for (const event of events) [state, effects] = handler.next(state, event)
  const names = effects.map(([what, first]) => {
    if (what === 'change') return `change ${first.session?.claims.sub ?? first.reason}`
    return what === 'trace' ? `trace ${first}` : what
  })
  return { state, effects: names }
}

test('handler’s response begins, changes and ends a session', () => {
  const alice = read(limited('alice'))
  assert.deepEqual(over(alice).effects, ['replaced', 'trace login_completed', 'timer', 'change alice'])
  assert.deepEqual(over(alice, alice).effects, ['timer'])
  const refreshed = read({ ...limited('alice'), accessTokenExpiresAt: 20 })
  assert.deepEqual(over(alice, refreshed).effects, ['trace refresh_completed', 'timer', 'change alice'])
  assert.deepEqual(over(alice, read(limited('bob', 2))).effects, ['replaced', 'timer', 'change bob'])
  const [, effects] = handler.next(over(alice).state, read(limited('bob', 2)))
  assert.equal(effects.at(-1)[1].userChanged, true)
  const end = ['replaced', 'trace session_ended', 'timer']
  assert.deepEqual(over(alice, read(null, 'idle')).effects, [...end, 'change idle'])
  // The browser or its user has removed the cookie.
  assert.deepEqual(over(alice, read(null)).effects, [...end, 'change storage_lost'])
  // A page that has shown no session has lost none.
  assert.deepEqual(over(read(null, 'idle')).effects, ['timer'])
})

test('reason that another tab announces counts for the next read', () => {
  const alice = read(limited('alice'))
  const tab = (startedAt, reason) => ({ t: 'tab', message: { startedAt, reason } })
  assert.deepEqual(over(alice, tab(1, null)).effects, [])
  assert.deepEqual(over(alice, tab(null, 'logged_out')).effects, ['news'])
  assert.equal(over(alice, tab(null, 'logged_out'), read(null)).state.reason, 'logged_out')
  // The handler knows better.
  assert.equal(over(alice, tab(null, 'logged_out'), read(null, 'idle')).state.reason, 'idle')
  const later = [read(limited('alice', 2)), read(null)]
  assert.equal(over(alice, tab(null, 'logged_out'), ...later).state.reason, 'storage_lost')
  assert.deepEqual(over(alice, { t: 'tab', message: 0 }).effects, ['news'])
})

test('response to a call ends only its own session', () => {
  const denied = (startedAt) => ({ t: 'denied', startedAt, reason: 'security' })
  const alice = read(limited('alice'))
  assert.deepEqual(over(denied(1)).effects, [])
  assert.deepEqual(over(alice, denied(2)).effects, ['read'])
  const { state, effects } = over(alice, denied(1))
  assert.deepEqual(effects.slice(-2), ['change security', 'read again'])
  // The response to a read that began before the session ended.
  assert.deepEqual(over(alice, denied(1), alice).effects, [])
  assert.equal(state.epoch, 1)
})

test('app is warned once for each limit', () => {
  const alice = read(limited('alice'))
  const checked = (left) => ({ t: 'checked', left, notice: 60 })
  assert.deepEqual(over(alice, checked(61)).effects, ['timer'])
  assert.deepEqual(over(alice, checked(60)).effects, ['expiring', 'timer'])
  assert.deepEqual(over(alice, checked(60), alice, checked(50)).effects, ['timer'])
  // Activity of the user has moved the limit.
  assert.deepEqual(over(alice, checked(60), checked(99), checked(60)).effects, ['expiring', 'timer'])
  assert.deepEqual(over(alice, checked(60), read(limited('bob', 2)), checked(60)).effects, [
    'expiring',
    'timer',
  ])
})

test('provider that needs the user changes the session once', () => {
  const interaction = (startedAt) => ({ t: 'interaction', startedAt })
  const alice = read(limited('alice'))
  const { state, effects } = over(alice, interaction(1))
  assert.deepEqual([state.session.state, effects], ['interaction_required', ['change alice']])
  assert.deepEqual(over(alice, interaction(1), interaction(1)).effects, [])
  assert.equal(over(alice, interaction(2)).state.session.state, 'active')
})
