// The attempts of `resume`: their pauses and their rate, without which page and provider could redirect forever.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { fakePage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const { beginAttempt, lastAttempt, recordLogins, recordAttempt } = await load('page/attempts.ts')

const START = 1_800_000_000_000

beforeEach(() => {
  fakePage()
  globalThis.parent = window
  globalThis.localStorage = storage()
  newTab()
  mock.timers.enable({ apis: ['Date'], now: START })
})
afterEach(() => mock.timers.reset())

function storage() {
  const items = new Map()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, `${value}`),
    removeItem: (key) => void items.delete(key),
  }
}

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
  assert.ok(beginAttempt())
  after(299)
  assert.ok(!beginAttempt())
  after(300)
  assert.ok(beginAttempt())
})

test('successful attempt is followed by a pause of ten seconds', () => {
  recordAttempt({ at: START, returnTo: '/', isDone: true })
  after(9)
  assert.ok(!beginAttempt())
  after(10)
  assert.ok(beginAttempt())
})

test('attempt in the future counts as one before', () => {
  assert.ok(beginAttempt())
  after(-299)
  assert.ok(!beginAttempt())
  after(-300)
  assert.ok(beginAttempt())
})

test('tabs together make six attempts in a minute', () => {
  for (let tab = 0; tab < 6; tab++) {
    newTab()
    after(tab)
    assert.ok(beginAttempt(), `${tab}`)
  }
  newTab()
  after(59)
  assert.ok(!beginAttempt())
  after(60)
  assert.ok(beginAttempt(), 'the first attempt is a minute old')
  newTab()
  assert.ok(!beginAttempt())
})

test('frame makes no attempt', () => {
  globalThis.parent = {}
  assert.ok(!beginAttempt())
})

for (const name of ['localStorage', 'sessionStorage']) {
  test(`no attempt without ${name}`, () => {
    globalThis[name] = new Proxy({}, { get: () => assert.fail('SecurityError') })
    assert.ok(!beginAttempt())
  })
}

test('no attempt if its record cannot be read back', () => {
  globalThis.sessionStorage = { getItem: () => null, setItem() {} }
  assert.ok(!beginAttempt())
})

test('record is unreadable: an attempt replaces it', () => {
  sessionStorage.setItem('strongroom.resume', '{')
  assert.equal(lastAttempt(), null)
  assert.ok(beginAttempt())
  assert.equal(lastAttempt().at, START)
})

test('login of the user ends the pause after a failed attempt', () => {
  const auth = client()
  recordLogins(auth)
  beginAttempt()
  assert.ok(lastAttempt())
  auth.signIn()
  assert.equal(lastAttempt(), null)
})

for (const kept of [{ isDone: true }, { state: 'in flight' }]) {
  test(`login of the user keeps the record of an attempt with ${Object.keys(kept)}`, () => {
    const auth = client()
    recordLogins(auth)
    recordAttempt({ at: START, returnTo: '/', ...kept })
    auth.signIn()
    assert.ok(lastAttempt())
  })
}
