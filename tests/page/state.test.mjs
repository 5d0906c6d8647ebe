// The transitions of a page's connection: each event in each state, and whole lives of a connection.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { transition } = await load('page/connection/state.ts')

const EVENTS = [
  'ready',
  'ended',
  'stopped',
  'outdated',
  'arrived',
  'unreplaced',
  'late',
  'idle',
  'robbed',
  'left',
  'restored',
  'reconnect',
  'close',
]
/** Events that come with an error. */
const WITH_ERROR = ['ended', 'stopped', 'close']

const START = { is: 'connecting' }
const step = (state, event) => transition(state, event, WITH_ERROR.includes(event) ? () => event : undefined)

/** Passes these events. Returns the name of the last state, and the effects of the last event. */
const after = (...events) => {
  let state = START
  let effects = []
  for (const event of events) [state, effects] = step(state, event)
  return [state.is, ...effects]
}

/** All states that a connection can reach, each with the events that lead to it. */
const reached = () => {
  const paths = new Map([['connecting', []]])
  for (const [, path] of paths) {
    for (const event of EVENTS) {
      const [is] = after(...path, event)
      if (!paths.has(is)) paths.set(is, [...path, event])
    }
  }
  return paths
}

const CONNECTED = ['ready']
const FAILED = ['ready', 'ended']
const UPDATING = ['ready', 'stopped']

test('vault’s response opens the connection', () => {
  assert.deepEqual(after('ready'), ['connected', 'open'])
})

test('handshake that fails rejects connect()', () => {
  for (const event of ['ended', 'stopped']) assert.deepEqual(after(event), ['failed', 'end', 'report'])
})

test('failed vault is reported once', () => {
  assert.deepEqual(after(...FAILED), ['failed', 'end', 'report'])
  assert.deepEqual(after(...FAILED, 'ended'), ['failed'])
})

test('reconnect() replaces only a vault that is gone', () => {
  assert.deepEqual(after(...FAILED, 'reconnect'), ['replacing', 'replace'])
  assert.deepEqual(after(...CONNECTED, 'reconnect'), ['connected'])
})

test('second reconnect() joins the first one', () => {
  assert.deepEqual(after(...FAILED, 'reconnect', 'reconnect'), ['replacing'])
  assert.deepEqual(after(...UPDATING, 'reconnect'), ['updating'])
})

test('failed attempt may be repeated, without an event', () => {
  assert.deepEqual(after(...FAILED, 'reconnect', 'unreplaced'), ['failed'])
  assert.deepEqual(after(...FAILED, 'reconnect', 'unreplaced', 'reconnect'), ['replacing', 'replace'])
})

test('successor of a failed connection is adopted', () => {
  assert.deepEqual(after(...FAILED, 'reconnect', 'arrived'), ['closed', 'adopt'])
})

test('outdated vault that stops is replaced silently', () => {
  assert.deepEqual(after(...UPDATING), ['updating', 'end', 'replace'])
  assert.deepEqual(after(...UPDATING, 'arrived'), ['closed', 'adopt'])
})

test('session is hidden if the update is late', () => {
  assert.deepEqual(after(...UPDATING, 'late'), ['updating', 'hide'])
  assert.deepEqual(after(...FAILED, 'reconnect', 'late'), ['replacing'])
  assert.deepEqual(after(...UPDATING, 'arrived', 'late'), ['closed'])
})

test('update that fails is reported', () => {
  assert.deepEqual(after(...UPDATING, 'unreplaced'), ['failed', 'report'])
})

test('page moves when the newer vault responds', () => {
  assert.deepEqual(after(...CONNECTED, 'outdated'), ['connected', 'move'])
  assert.deepEqual(after(...CONNECTED, 'outdated', 'arrived'), ['retiring', 'adopt', 'drain'])
  assert.deepEqual(after(...CONNECTED, 'outdated', 'arrived', 'idle'), ['closed', 'part'])
})

test('outdated vault that stops meanwhile is replaced', () => {
  assert.deepEqual(after(...CONNECTED, 'outdated', 'stopped'), ['updating', 'end', 'replace'])
  // The second successor is not needed any more.
  assert.deepEqual(after(...CONNECTED, 'outdated', 'stopped', 'arrived', 'arrived'), ['closed', 'discard'])
})

test('end of the old vault after a move is not reported', () => {
  for (const event of ['ended', 'stopped', 'robbed', 'left']) {
    assert.deepEqual(after(...CONNECTED, 'outdated', 'arrived', event), ['closed', 'part'])
  }
})

test('restored page sends the handshake again', () => {
  assert.deepEqual(after(...CONNECTED, 'left'), ['away', 'leave'])
  assert.deepEqual(after(...CONNECTED, 'left', 'restored'), ['connected', 'greet'])
  assert.deepEqual(after(...CONNECTED, 'left', 'restored', 'ready'), ['connected', 'open'])
})

test('page that left during the handshake still connects', () => {
  assert.deepEqual(after('left'), ['suspended', 'leave'])
  assert.deepEqual(after('left', 'restored'), ['connecting', 'greet'])
  assert.deepEqual(after('left', 'restored', 'stopped'), ['failed', 'end', 'report'])
})

test('page whose lock was stolen sends the handshake again', () => {
  assert.deepEqual(after(...CONNECTED, 'robbed'), ['connected', 'leave', 'greet'])
  assert.deepEqual(after('robbed'), ['connecting', 'leave', 'greet'])
  assert.deepEqual(after(...CONNECTED, 'robbed', 'ended'), ['failed', 'end', 'report'])
})

test('vault that stopped during an absence is replaced', () => {
  assert.deepEqual(after(...CONNECTED, 'left', 'restored', 'stopped'), ['updating', 'end', 'replace'])
})

test('close() closes every state of a client', () => {
  const own = [...reached()].filter(([is]) => !['connecting', 'suspended', 'retiring', 'closed'].includes(is))
  assert.deepEqual(own.map(([is]) => is).sort(), ['away', 'connected', 'failed', 'replacing', 'updating'])
  for (const [is, path] of own) assert.deepEqual(after(...path, 'close'), ['closed', 'end'], is)
})

test('requests after close() fail with its error', () => {
  for (const path of [CONNECTED, FAILED, UPDATING]) {
    let state = START
    for (const event of [...path, 'close']) [state] = step(state, event)
    assert.equal(state.why(), 'close')
  }
})

test('closed connection only discards its successor', () => {
  for (const event of EVENTS) {
    const expected = event === 'arrived' ? ['closed', 'discard'] : ['closed']
    assert.deepEqual(after(...CONNECTED, 'close', event), expected)
  }
})

test('ignored event leaves the state unchanged', () => {
  const [connected] = step(START, 'ready')
  const [next, effects] = transition(connected, 'reconnect', () => 'an error')
  assert.equal(next, connected)
  assert.deepEqual(effects, [])
})

test('only states with an error fail requests', () => {
  const isFailing = new Set()
  for (const [is, path] of reached()) {
    let state = START
    for (const event of path) [state] = step(state, event)
    if (state.why) isFailing.add(is)
  }
  assert.deepEqual([...isFailing].sort(), ['closed', 'failed', 'replacing', 'updating'])
})

/** Follows all events to this depth. Calls `check` with each list of events and the effects of its last event. */
const explore = (depth, check) => {
  const visit = (state, path, world) => {
    if (path.length === depth) return
    for (const event of EVENTS) {
      const [next, effects] = step(state, event)
      visit(next, [...path, event], check([...path, event], effects, world, next))
    }
  }
  visit(START, [], undefined)
}

test('a port is open in exactly these states', () => {
  let lives = 0
  explore(5, (path, effects, isOpen = true, { is }) => {
    lives++
    for (const effect of effects) {
      assert.ok(!(effect === 'greet' && isOpen), `a second port: ${path}`)
      if (effect === 'greet') isOpen = true
      if (['leave', 'end', 'part'].includes(effect)) isOpen = false
    }
    const isExpected = ['connecting', 'connected', 'retiring'].includes(is)
    // A connection that arrives in place of another one leaves its port to `drain`.
    assert.equal(isOpen, isExpected, `${is} after ${path}`)
    return isOpen
  })
  assert.ok(lives > 100_000)
})

test('a client adopts one successor only', () => {
  explore(5, (path, effects, adopted = 0) => {
    adopted += effects.filter((effect) => effect === 'adopt').length
    assert.ok(adopted <= 1, `${path}`)
    return adopted
  })
})
