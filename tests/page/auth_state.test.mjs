// The transitions of an app's `Auth`: what each event changes, and what it keeps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { nextState } = await load('page/auth/auth-state.ts')
const { INITIAL_STATE } = await load('page/auth/initial-state.ts')

const session = { claims: { sub: 'alice' } }
const error = { code: 'login_failed' }

const SIGNED_IN = { session, endReason: null, elsewhere: false, expiring: null }
const SIGNED_OUT = { session: null, endReason: 'idle', elsewhere: true, expiring: null }
const CONNECTED = { status: 'connected', via: 'vault', ...SIGNED_IN, error: null }
const FAILED = { status: 'failed', error }
const CONNECTING = { status: 'connecting', error: null }

/** Passes these events. Returns the last state. */
const after = (...events) => events.reduce(nextState, INITIAL_STATE)

test('three events change the status, from any status', () => {
  for (const path of [[], [CONNECTED], [FAILED]]) {
    for (const event of [CONNECTED, FAILED, CONNECTING]) {
      assert.equal(after(...path, event).status, event.status)
    }
    for (const event of [SIGNED_IN, SIGNED_OUT, { expiring: 1 }, { error }]) {
      assert.equal(after(...path, event).status, after(...path).status)
    }
  }
})

test('connection shows the client’s session and the callback’s error', () => {
  for (const view of [SIGNED_IN, SIGNED_OUT]) {
    const connected = { ...CONNECTED, ...view, error }
    assert.deepEqual(after(connected), connected)
  }
})

test('failure and replacement keep the session that is shown', () => {
  for (const event of [FAILED, CONNECTING]) assert.equal(after(CONNECTED, event).session, session)
})

test('session clears the error, and the end of a session does not', () => {
  assert.equal(after(CONNECTED, { error }, SIGNED_IN).error, null)
  assert.equal(after(CONNECTED, { error }, SIGNED_OUT).error, error)
})

test('each change of the session resets the time of its end', () => {
  for (const event of [CONNECTED, SIGNED_IN, SIGNED_OUT]) {
    assert.equal(after(CONNECTED, { expiring: 5 }).expiring, 5)
    assert.equal(after(CONNECTED, { expiring: 5 }, event).expiring, null)
  }
})

test('new login and replacement clear the error', () => {
  for (const event of [{ error: null }, CONNECTING]) assert.equal(after(FAILED, event).error, null)
})

test('state before an event stays as it was', () => {
  const state = Object.freeze(after(CONNECTED))
  assert.equal(nextState(state, { expiring: 5 }).expiring, 5)
})
