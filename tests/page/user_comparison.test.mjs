// The rule by which `change` and the bindings report another user.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { createUserComparison, subscribeToUserChange } = await load(
  'page/user-comparison.ts',
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
