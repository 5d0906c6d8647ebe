// The rule by which `change` and the bindings report another user.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { createUserComparison, handlerSession, subscribeToUserChange } = await load(
  'page/user-comparison.ts',
  'page/token-handler/handler-session.ts',
  'bindings/user-change.ts',
)

const session = (sub) => sub && { claims: { sub } }

/** Passes these users, or `null` for no session. Returns the users that differ from the user before. */
const changes = (...users) => {
  const isOther = createUserComparison()
  return users.filter((user) => isOther(session(user)))
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
  const isOther = createUserComparison()
  const unnamed = (startedAt) => isOther({ claims: {}, startedAt })
  assert.deepEqual([1, 1, 2].map(unnamed), [false, false, true])
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

test('session of a handler has userChanged for another user', async () => {
  let answer
  const requests = { base: '/auth', send: async () => Response.json({ session: answer }) }
  const events = new EventTarget()
  const changes = []
  events.addEventListener('change', ({ detail }) =>
    changes.push([detail.session?.claims.sub, detail.userChanged]),
  )
  const handler = handlerSession(requests, { notice: 60_000, routes: [] }, events, () => {})
  const expiresAt = Date.now() + 3_600_000
  // Bob's session follows Alice's without a state between, as if he had signed in in another tab.
  for (const [startedAt, sub] of ['alice', null, 'alice', 'bob'].entries()) {
    answer = sub && { ...session(sub), startedAt, expiresAt, idleExpiresAt: expiresAt }
    await handler.read()
  }
  handler.close()
  assert.deepEqual(changes, [
    ['alice', undefined],
    [undefined, undefined],
    ['alice', undefined],
    ['bob', true],
  ])
})
