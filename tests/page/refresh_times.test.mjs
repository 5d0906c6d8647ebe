// The times of refreshes in the inspector's bug report.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { RefreshTimes } = await load('inspector/refresh-times.ts')

const START = 1_764_460_800_000

const timesOf = (...events) => {
  const times = new RefreshTimes()
  for (const [after, event, detail = null] of events) {
    times.add({ at: START + after, event, detail, call: null, status: null, generation: null })
  }
  return times.report()
}

test('the times of refreshes are relative to the first one', () => {
  assert.deepEqual(
    timesOf(
      [0, 'line_doubted', 'sleep'],
      [3000, 'line_probed'],
      [3120, 'refresh_started'],
      [3900, 'refresh_failed', 'no response could be read'],
      [604_800_000, 'session_ended', 'provider_ended'],
    ),
    [
      '0.000 s doubt: sleep',
      '3.000 s probe',
      '3.120 s refresh sent',
      '3.900 s refresh failed: no response could be read',
      '604800.000 s session ended: provider_ended',
    ],
  )
  assert.deepEqual(timesOf(), [])
})

test('the times of refreshes contain no calls and no addresses', () => {
  assert.deepEqual(
    timesOf(
      [0, 'call_sent', 'GET https://api.example/orders'],
      [1, 'refresh_failed', 'https://id.example/token failed'],
      [2, 'metadata_invalid', 'the member issuer is https://id.example'],
    ),
    ['0.000 s refresh failed'],
  )
})

test('the oldest times are dropped', () => {
  const events = Array.from({ length: 5001 }, (_, i) => [i * 1000, 'refresh_started'])
  const report = timesOf(...events)
  assert.equal(report.length, 5000)
  assert.equal(report.at(-1), '4999.000 s refresh sent')
})
