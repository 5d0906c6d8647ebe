// The states of a frame that is being embedded: what makes the page load it again, and when the page gives up.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { next } = await load('vault-origin/frame-state.ts')

const HREF = 'https://vault.example/frame.html'

/** Passes these events. Returns the name of the last state, and the effects of the last event. */
const after = (...events) => {
  let state = { is: 'loading', href: HREF, loads: 0 }
  let effects = []
  for (const event of events)
    [state, ...effects] = next(state, typeof event === 'string' ? { t: event } : event)
  return [state.is, ...effects]
}
const violated = (directive, address) => ({ t: 'violated', directive, address })
const refused = { t: 'refused', code: 'origin_not_allowed', message: 'no' }

test('frame that responds is open', () => {
  assert.deepEqual(after('loaded'), ['loaded', ['greet'], ['watch', 1000]])
  assert.deepEqual(after('loaded', 'here'), ['open', ['open']])
})

test('handshake is sent again until the frame responds', () => {
  assert.deepEqual(after('loaded', 'unheard'), ['loaded', ['greet']])
  assert.deepEqual(after('loaded', 'here', 'unheard'), ['open'])
})

test('frame that does not respond is loaded again, later each time', () => {
  const again = ['loaded', 'silent']
  assert.deepEqual(after(...again), ['loading', ['reload']])
  const delays = [1, 2, 3, 4].map((loads) => {
    const [, , [what, delay]] = after(
      ...Array(loads - 1)
        .fill(again)
        .flat(),
      'loaded',
    )
    assert.equal(what, 'watch')
    return delay
  })
  assert.deepEqual(delays, [1000, 2000, 4000, 4000])
  assert.deepEqual(after(...again, 'loaded', 'here'), ['open', ['open']])
})

test('time limit tells if something has come', () => {
  const [is, [what, code, message]] = after('late')
  assert.deepEqual([is, what, code], ['failed', 'fail', 'frame_timeout'])
  assert.match(message, /^nothing has come from https:\/\/vault\.example\/frame\.html /)
  // The error is the same while the frame is loaded again.
  for (const events of [['loaded'], ['loaded', 'silent']]) {
    assert.equal(after(...events, 'late')[1][1], 'frame_blocked')
  }
})

test('refusal of the frame ends the attempt', () => {
  assert.deepEqual(after('loaded', refused), ['failed', ['fail', 'origin_not_allowed', 'no']])
  for (const event of ['loaded', 'unheard', 'silent', 'here', 'late', refused]) {
    assert.deepEqual(after('loaded', refused, event), ['failed'])
    assert.deepEqual(after('loaded', 'here', event), ['open'])
  }
})

test('policy of the page that forbids the frame ends the attempt', () => {
  for (const directive of ['frame-src', 'child-src', 'default-src']) {
    for (const address of [HREF, 'https://vault.example']) {
      const [is, [, code, message]] = after(violated(directive, address))
      assert.deepEqual([is, code], ['failed', 'frame_blocked'])
      assert.match(message, new RegExp(`own policy \\(${directive}\\)`))
    }
  }
  // Something else of the page.
  assert.deepEqual(after(violated('frame-src', 'https://ads.example')), ['loading'])
  assert.deepEqual(after(violated('img-src', HREF)), ['loading'])
})
