// A process that stood still says so in one line, of one of its handlers. In virtual time.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { loadAgain } from '../../support/page_module.mjs'

let clocks, tick, lateness, lines, periods, hosts

/** Lets time pass, and runs the timer at its end. The monotonic clock of a suspended process stands still. */
const pass = (milliseconds, suspended = 0) => {
  clocks.monotonic += milliseconds
  clocks.wall += milliseconds + suspended
  tick()
}

const startHost = (name, isBroken = false) => {
  const host = {
    isBroken,
    noteLateness: (period) => periods.push([name, period.lateness]),
    warnOfLateness: (message) => lines.push([name, message]),
  }
  hosts.push(host)
  lateness.tellLateness(host)
}

mock.method(performance, 'now', () => clocks.monotonic)
mock.method(Date, 'now', () => clocks.wall)
mock.method(globalThis, 'setInterval', (act) => {
  tick = act
  return {}
})

beforeEach(async () => {
  clocks = { monotonic: 5000, wall: 1_800_000_000_000 }
  ;[lines, periods, hosts] = [[], [], []]
  lateness = await loadAgain('edge/lateness.ts')
  lateness.watchProcess()
})

const LINE = (seconds) =>
  `this process read no request for up to ${seconds} s: it was busy, starved of its processor or suspended, or its clock was set forward`

test('one handler logs a late period', () => {
  for (const name of ['a', 'b', 'c']) startHost(name, name === 'a')
  pass(12_400)
  assert.deepEqual(lines, [['b', LINE(13)]])
  assert.deepEqual(periods, [
    ['b', 12_400],
    ['c', 12_400],
  ])
})

test('a suspension is logged, too', () => {
  startHost('a')
  pass(1000, 60_000)
  assert.deepEqual(lines, [['a', LINE(61)]])
})

test('a process that is late again and again says so once a minute', () => {
  startHost('a')
  for (let i = 0; i < 25; i++) pass(5000)
  const more = (count) => LINE(5) + `; more since the last report: ${count}`
  assert.deepEqual(lines, [
    ['a', LINE(5)],
    ['a', more(11)],
    ['a', more(11)],
  ])
})

test('a timer that comes a little late is not logged', () => {
  startHost('a')
  for (let i = 0; i < 100; i++) pass(1900)
  assert.deepEqual(lines, [])
  assert.equal(periods.length, 100)
})

test('a late period before the first handler is not logged', () => {
  pass(12_000)
  startHost('a')
  pass(1000)
  assert.deepEqual(lines, [])
  assert.deepEqual(periods, [['a', 12_000]])
  pass(12_000)
  assert.deepEqual(lines, [['a', LINE(12)]])
})
