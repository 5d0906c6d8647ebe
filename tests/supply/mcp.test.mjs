// `cargo xtask mcp` notices a result that is not the expected one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differences } from '../mcp/expected.mjs'

const KNOWN = { lame: { vault: 'failed', reason: 'a test' } }
const asExpected = { scenario: 'lame', vault: 'failed', handler: 'passed' }

test('a result as expected is not a difference', () => {
  assert.deepEqual(differences([asExpected], KNOWN), [])
})

test('a scenario that fails unexpectedly is a difference', () => {
  assert.deepEqual(differences([{ ...asExpected, handler: 'failed' }], KNOWN), [
    'lame, handler: failed, not passed',
  ])
})

test('a scenario that passes unexpectedly is a difference', () => {
  assert.deepEqual(differences([{ ...asExpected, vault: 'passed' }], KNOWN), [
    'lame, vault: passed, not failed',
  ])
})
