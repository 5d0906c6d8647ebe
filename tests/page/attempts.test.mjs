// The attempts of `resume`: their pauses and their rate, without which page and provider could redirect forever.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { fakePage, storage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const { beginAttempt, lastAttempt, recordLogins, recordAttempt } = await load('page/guards/attempts.ts')

const START = 1_800_000_000_000

/** The hash of issuer and client. */
const APP = 1

beforeEach(() => {
  fakePage()
  mock.timers.enable({ apis: ['Date'], now: START })
})
afterEach(() => mock.timers.reset())

/** Empties sessionStorage, as a new tab or an app does. */
const newTab = () => (globalThis.sessionStorage = storage())

const after = (seconds) => mock.timers.setTime(START + seconds * 1000)

/** A client whose session begins when `signIn` is called. */
function client() {
  const listeners = []
  return {
    session: null,
    on: (_, listener) => void listeners.push(listener),
    signIn() {
      this.session = {}
      for (const listener of listeners) listener()
    },
  }
}

test('failed attempt is followed by a pause of five minutes', () => {
  assert.ok(beginAttempt(APP))
  after(299)
  assert.ok(!beginAttempt(APP))
  after(300)
  assert.ok(beginAttempt(APP))
})

test('successful attempt is followed by a pause of ten seconds', () => {
  recordAttempt(APP, { at: START, returnTo: '/', isDone: true })
  after(9)
  assert.ok(!beginAttempt(APP))
  after(10)
  assert.ok(beginAttempt(APP))
})

test('attempt in the future counts as one before', () => {
  assert.ok(beginAttempt(APP))
  after(-299)
  assert.ok(!beginAttempt(APP))
  after(-300)
  assert.ok(beginAttempt(APP))
})

test('tabs together make six attempts in a minute', () => {
  for (let tab = 0; tab < 6; tab++) {
    newTab()
    after(tab)
    assert.ok(beginAttempt(APP), `${tab}`)
  }
  newTab()
  after(59)
  assert.ok(!beginAttempt(APP))
  after(60)
  assert.ok(beginAttempt(APP), 'the first attempt is a minute old')
  newTab()
  assert.ok(!beginAttempt(APP))
})

test('frame makes no attempt', () => {
  globalThis.parent = {}
  assert.ok(!beginAttempt(APP))
})

for (const name of ['localStorage', 'sessionStorage']) {
  test(`no attempt without ${name}`, () => {
    globalThis[name] = new Proxy({}, { get: () => assert.fail('SecurityError') })
    assert.ok(!beginAttempt(APP))
  })
}

test('no attempt if its record cannot be read back', () => {
  globalThis.sessionStorage = { getItem: () => null, setItem() {} }
  assert.ok(!beginAttempt(APP))
})

test('record is unreadable: an attempt replaces it', () => {
  sessionStorage.setItem(`strongroom.resume ${APP}`, '{')
  assert.equal(lastAttempt(APP), null)
  assert.ok(beginAttempt(APP))
  assert.equal(lastAttempt(APP).at, START)
})

test('login of the user ends the pause after a failed attempt', () => {
  const auth = client()
  recordLogins(APP, auth)
  beginAttempt(APP)
  assert.ok(lastAttempt(APP))
  auth.signIn()
  assert.equal(lastAttempt(APP), null)
})

for (const kept of [{ isDone: true }, { state: 'in flight' }]) {
  test(`login of the user keeps the record of an attempt with ${Object.keys(kept)}`, () => {
    const auth = client()
    recordLogins(APP, auth)
    recordAttempt(APP, { at: START, returnTo: '/', ...kept })
    auth.signIn()
    assert.ok(lastAttempt(APP))
  })
}
