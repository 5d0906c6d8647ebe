// The record of the last session's end, after which no guard and no `resume` signs the user in without a click.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { storage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const { recordEnd, needsUser } = await load('page/guards/end-record.ts', 'page/guards/end-reason.ts')

const ended = (endReason, more = {}) => ({ session: null, endReason, elsewhere: false, ...more })
const signedIn = (startedAt = Date.now() + 1) => ended(null, { session: { startedAt } })

beforeEach(() => {
  globalThis.localStorage = storage()
})

test('reason survives the vault until the user signs in', () => {
  assert.equal(recordEnd('one', ended('logged_out')), 'logged_out')
  assert.equal(recordEnd('one', ended(null)), 'logged_out')
  assert.equal(recordEnd('one', signedIn()), null)
  assert.equal(recordEnd('one', ended(null)), null)
})

test('each app has its own record', () => {
  recordEnd('one', ended('logged_out'))
  recordEnd('two', signedIn())
  assert.equal(recordEnd('two', ended(null)), null)
  assert.equal(recordEnd('one', ended(null)), 'logged_out')
})

test('older session does not delete the record', () => {
  recordEnd('one', ended('logged_out'), Date.now())
  recordEnd('one', signedIn(1))
  assert.equal(recordEnd('one', ended(null)), 'logged_out')
})

for (const [clock, behind] of [
  ['behind', 60_000],
  ['ahead of', -60_000],
]) {
  test(`login at a server whose clock is ${clock} the device's deletes the record`, () => {
    const first = Date.now() - behind
    recordEnd('/auth', signedIn(first))
    assert.equal(recordEnd('/auth', ended('logged_out')), 'logged_out')
    // Another tab, which has missed the logout, still shows the session.
    recordEnd('/auth', signedIn(first))
    assert.equal(recordEnd('/auth', ended(null)), 'logged_out')
    recordEnd('/auth', signedIn(first + 1))
    assert.equal(recordEnd('/auth', ended(null)), null)
  })
}

test('lost storage does not replace a reason', () => {
  assert.equal(recordEnd('one', ended('storage_lost')), 'storage_lost')
  assert.equal(recordEnd('one', ended(null)), null)
  recordEnd('one', ended('idle'))
  assert.equal(recordEnd('one', ended('storage_lost')), 'idle')
})

test('end is not recorded while a user is signed in elsewhere', () => {
  assert.equal(recordEnd('one', ended('logged_out', { elsewhere: true })), 'logged_out')
  assert.equal(recordEnd('one', ended(null)), null)
})

test('member of Object.prototype is not a record', () => {
  Object.defineProperty(Object.prototype, 'strongroom.end one', { value: 'logged_out 9', configurable: true })
  try {
    assert.equal(recordEnd('one', ended(null)), null)
  } finally {
    delete Object.prototype['strongroom.end one']
  }
})

test('without localStorage the vault’s reason remains', () => {
  globalThis.localStorage = new Proxy(
    {},
    {
      get() {
        throw new Error('denied')
      },
    },
  )
  assert.equal(recordEnd('one', ended('logged_out')), 'logged_out')
  assert.equal(recordEnd('one', ended(null)), null)
})

test('only the user may sign in after these reasons', () => {
  for (const reason of ['logged_out', 'idle', 'absolute', 'session_expired', 'security'])
    assert.ok(needsUser(reason), reason)
  for (const reason of ['claims_changed', 'expired', 'storage_lost', 'provider_ended', null])
    assert.ok(!needsUser(reason))
})
