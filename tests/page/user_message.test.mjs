// The sentences for an app's users: by code, and as docs/errors.md lists them.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { USER_MESSAGES, userMessage } = await load('page/errors/user-message.ts')
const { StrongroomError } = await load('page/errors/error.ts')

test('docs/errors.md lists each sentence with its codes', async () => {
  const text = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const [, section] = text.split(/^## (?:Sentences for users|When .*)$/m)
  const rows = [...section.matchAll(/^\| (`.*`|any other) \| (.*) \|$/gm)].map(([, codes, sentence]) =>
    codes.split(', ').map((code) => [code === 'any other' ? 'other' : code.slice(1, -1), sentence]),
  )
  assert.deepEqual(Object.fromEntries(rows.flat()), USER_MESSAGES)
})

/** The codes of faults that only a developer can fix. Users see the sentence of `other`. */
const NOT_FOR_USERS = `
  claim_missing config_invalid message_invalid login_failed redirect_uri_mismatch login_not_pushed refresh_token_missing scope_exceeded scope_reduced
  profile_failed issuer_mismatch metadata_invalid metadata_outdated client_rejected token_response_invalid url_not_allowed
  method_not_allowed header_not_allowed redirect_blocked token_reflected step_up_failed socket_blocked token_refused range_hidden
  api_unreachable worker_failed wasm_failed wasm_blocked config_unavailable closed frame_blocked origin_not_allowed
  cross_site_request host_not_allowed cookie_invalid key_unknown clock_differs logout_token_invalid handler_failed handler_crashed
`

test('each code has a sentence, or is not for users', async () => {
  const core = await readFile(new URL('../../src/rules/base/error.rs', import.meta.url), 'utf8')
  const codes = [...core.matchAll(/^ {4}\w+ = "(\w+)", "/gm)].map(([, code]) => code)
  const known = [...Object.keys(USER_MESSAGES), ...NOT_FOR_USERS.trim().split(/\s+/)]
  assert.deepEqual(known.toSorted(), [...codes, 'other'].toSorted())
})

test('sentence depends on the code, and not on the message', () => {
  for (const [code, sentence] of Object.entries(USER_MESSAGES)) {
    assert.equal(userMessage(new StrongroomError(code, 'a message for developers')), sentence)
    assert.equal(userMessage({ code }), sentence)
  }
  for (const error of [
    new StrongroomError('config_invalid', ''),
    new Error('x'),
    {},
    'x',
    { code: 'toString' },
  ]) {
    assert.equal(userMessage(error), USER_MESSAGES.other)
  }
})

// A browser's clock that is an hour wrong makes every ID token invalid.
test('sentence of a wrong clock says what the user can do', () => {
  assert.match(userMessage({ code: 'id_token_invalid' }), /date and time of this device/)
})

test('no error has an empty sentence', () => {
  assert.equal(userMessage(null), '')
  assert.equal(userMessage(undefined), '')
})

test('network failure has the sentence of a service that cannot be reached', () => {
  for (const text of [
    'Failed to fetch',
    'network error',
    'NetworkError when attempting to fetch resource.',
    'Load failed',
  ]) {
    assert.equal(userMessage(new TypeError(text)), USER_MESSAGES.upstream_unavailable)
  }
  assert.equal(userMessage(new TypeError("Failed to construct 'Request'")), USER_MESSAGES.other)
})

test('table of the app replaces sentences', () => {
  const table = { login_denied: 'Zugriff verweigert.', upstream_unavailable: 'Offline.', other: 'Fehler.' }
  assert.equal(userMessage({ code: 'login_denied' }, table), 'Zugriff verweigert.')
  assert.equal(userMessage(new TypeError('Failed to fetch'), table), 'Offline.')
  assert.equal(userMessage({ code: 'config_invalid' }, table), 'Fehler.')
  assert.equal(userMessage({ code: 'timeout' }, table), USER_MESSAGES.timeout)
  assert.equal(userMessage({ code: 'constructor' }, table), 'Fehler.')
})
