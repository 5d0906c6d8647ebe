// The verdict of `cargo xtask soak` notices each kind of failure. All times are in milliseconds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS } from '../soak/faults.mjs'
import { kindOf, reasons, RECOVERY, sentTwice } from '../soak/verdict.mjs'

const OUTAGE = { name: 'an outage', may: ['503'], mayPost: ['502'], cuts: true }
const WINDOW = { fault: OUTAGE, start: 10_000, end: 20_000 }
const AFTER = WINDOW.end + RECOVERY

const got = (kind, sent, received = sent + 10, method = 'GET') => {
  return { kind, sent, received, what: `${method} /api/me: ${kind}` }
}
const refresh = (at, more) => ({ at, family: 1, presented: 1, outcome: 'issued', ...more })

const GOOD = {
  exchanges: [
    got('ok', 0),
    got('503', 9000, 13_000),
    got('503', 15_000),
    got('503', AFTER - 1),
    got('502', 12_000, 12_010, 'POST'),
    got('ok', AFTER),
  ],
  windows: [WINDOW],
  refreshes: [refresh(1), refresh(9000, { presented: 2 }), refresh(21_000, { presented: 2 })],
  lost: 0,
}

const failing = (change) => reasons({ ...GOOD, ...change })
const alsoGot = (exchange) => failing({ exchanges: [...GOOD.exchanges, exchange] })
const alsoSent = (...refreshes) => failing({ refreshes: [...GOOD.refreshes, ...refreshes] })

test('control: a good run has no reason to fail', () => {
  assert.deepEqual(reasons(GOOD), [])
})

const BAD = {
  'a wrong 401': [alsoGot(got('401', 15_000)), /1 responses must not be 401: .* \(15\.0 s, an outage\)/],
  'a 503 before an outage': [alsoGot(got('503', 9000)), /must not be 503: .*without a fault/],
  'a 503 long after an outage': [alsoGot(got('503', AFTER)), /must not be 503/],
  'a 502 in an outage': [alsoGot(got('502', 15_000)), /must not be 502/],
  'another response': [alsoGot(got('other', 15_000)), /must not be other/],
  'a lost session': [failing({ lost: 1 }), /1 sessions were lost/],
  'a reused refresh token': [
    alsoSent(refresh(15_000)),
    /1 refresh tokens were used again: issued at 15\.0 s/,
  ],
  'a refused refresh token': [
    alsoSent(refresh(15_000, { presented: 3, outcome: 'invalid_grant' })),
    /refused 1 refreshes: invalid_grant at 15\.0 s/,
  ],
  'a run without refreshes': [failing({ refreshes: [] }), /no refresh was sent/],
}
for (const [what, [found, expected]] of Object.entries(BAD)) {
  test(`soak fails because of ${what}`, () => {
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0], expected)
  })
}

test('refresh that was cut off may be repeated once', () => {
  const first = refresh(WINDOW.start - 100)
  const { repeated, reused } = sentTwice([first, refresh(21_000)], [WINDOW])
  assert.deepEqual([repeated.length, reused.length], [1, 0])
  const steady = { ...WINDOW, fault: { ...OUTAGE, cuts: false } }
  assert.equal(sentTwice([first, refresh(21_000)], [steady]).reused.length, 1)
})

test('responses are told apart', () => {
  const retry = new Headers({ 'retry-after': '2' })
  const none = new Headers()
  const kinds = [
    [{ status: 200, headers: none, body: { sub: 'alice' } }, 'ok'],
    [{ status: 200, headers: none, body: { session: { claims: { sub: 'alice' } } } }, 'ok'],
    [{ status: 200, headers: none, body: { sub: 'bob' } }, 'other'],
    [{ status: 200, headers: none, body: { session: null } }, 'lost'],
    [{ status: 503, headers: retry }, '503'],
    [{ status: 503, headers: none }, 'other'],
    [{ status: 502, headers: none }, '502'],
    [{ status: 401, headers: none }, '401'],
    [{ status: 0, headers: none }, 'other'],
  ]
  for (const [response, kind] of kinds) assert.equal(kindOf(response, 'alice'), kind)
})

test('no fault allows a 401', () => {
  for (const { name, may, mayPost = [] } of FAULTS) assert.ok(![...may, ...mayPost].includes('401'), name)
})
