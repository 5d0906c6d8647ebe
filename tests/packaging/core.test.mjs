// Tests of strongroom/core in Node. Its PKCE pairs and token statuses must match those of other implementations.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { install, pack } from './tarball.mjs'

const base64url = (text) => Buffer.from(text).toString('base64url')

/** Returns a token with this payload. Nobody checks its signature. */
const token = (claims, header = { alg: 'ES256', kid: 'a' }) =>
  [base64url(JSON.stringify(header)), base64url(JSON.stringify(claims)), base64url('signature')].join('.')

let core

before(async () => {
  const project = await install('types', (await pack()).path)
  const { resolve } = createRequire(`${project}/page.ts`)
  core = await import(pathToFileURL(resolve('strongroom/core')))
  assert.throws(() => core.generatePkce(), /await ready\(\)/)
  assert.throws(() => core.jwtStatus(token({ exp: 1 })), /await ready\(\)/)
  await core.ready(await readFile(resolve('strongroom/strongroom_core_bg.wasm')))
})

test('each PKCE pair is a new verifier with the hash of it', () => {
  const pairs = Array.from({ length: 100 }, () => core.generatePkce())
  for (const { codeVerifier, codeChallenge, codeChallengeMethod } of pairs) {
    assert.match(codeVerifier, /^[\w-]{43}$/)
    assert.equal(codeChallenge, createHash('sha256').update(codeVerifier).digest('base64url'))
    assert.equal(codeChallengeMethod, 'S256')
  }
  assert.equal(new Set(pairs.map(({ codeVerifier }) => codeVerifier)).size, pairs.length)
})

test('a token is valid, expired, not yet valid or malformed', () => {
  const TOO_LONG = { status: 'malformed', reason: 'is longer than 64 KiB' }
  const NOT_BASE64URL = { status: 'malformed', reason: 'has a part that is not base64url' }
  const good = token({ exp: 2000 })
  const spoiled = (text) => good.replace('.', `${text}.`)
  const filled = (length) => good + 'A'.repeat(length - good.length)
  const cases = [
    [[good, 1999], { status: 'valid', until: 2000 }],
    [[good, 1999.9], { status: 'valid', until: 2000 }],
    [[good, 2000], { status: 'expired', since: 2000 }],
    [[good, 2029, 30], { status: 'valid', until: 2000 }],
    [[good, Infinity], { status: 'expired', since: 2000 }],
    [[good, NaN], { status: 'expired', since: 2000 }],
    [[good], { status: 'expired', since: 2000 }],
    [[token({ exp: 0 }), 0], { status: 'expired', since: 0 }],
    [[token({ exp: 0 }), 0, 1], { status: 'valid', until: 0 }],
    [[token({ exp: 253_402_300_799 }), 1], { status: 'valid', until: 253_402_300_799 }],
    [[token({ exp: 253_402_300_799 }), 1e15], { status: 'expired', since: 253_402_300_799 }],
    [[token({ exp: 2000, nbf: 1500 }), 1000], { status: 'not_yet_valid', from: 1500 }],
    [[token({}), 0], { status: 'malformed', reason: 'has no exp, or one that is not a valid NumericDate' }],
    [[token({ exp: 1 }, { alg: 'none' }), 0], { status: 'malformed', reason: 'is not signed' }],
    [['', 0], { status: 'malformed', reason: 'does not have three parts' }],
    [[spoiled('é'), 0], NOT_BASE64URL],
    [[spoiled('\ud800'), 0], NOT_BASE64URL],
    [[spoiled('='), 0], NOT_BASE64URL],
    [[filled(64 * 1024), 0], { status: 'valid', until: 2000 }],
    [[filled(64 * 1024 + 1), 0], TOO_LONG],
    [[filled(64 * 1024) + '😀', 0], TOO_LONG],
    [[filled(64 * 1024 - 1) + '😀', 0], TOO_LONG],
    [['é'.repeat(1_000_000), 0], TOO_LONG],
  ]
  // All cases run twice, the second time in reverse order, because state from earlier calls must not change a result.
  for (const [args, expected] of [...cases, ...cases.toReversed()]) {
    assert.deepEqual(core.jwtStatus(...args), expected, args[0].slice(0, 200))
  }
})

test('the memory may grow during a call', () => {
  const x = Array.from({ length: 8000 }, (_, i) => i)
  const large = (header) => token({ exp: 2000 }, { alg: 'ES256', x, ...header })
  assert.equal(core.jwtStatus(large({ crit: [] }), 0).reason, 'has crit, which is not supported')
  assert.deepEqual(core.jwtStatus(large({}), 0), { status: 'valid', until: 2000 })
  assert.match(core.generatePkce().codeChallenge, /^[\w-]{43}$/)
  assert.deepEqual(core.jwtStatus(token({ exp: 3 }), 1), { status: 'valid', until: 3 })
})
