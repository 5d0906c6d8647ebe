// The option that the message about an unknown option suggests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { describeError } = await load('page/errors/error-messages.ts')

const KNOWN = 'issuer clientId redirectUri dpop scope inspect loginParams idTokenSignedResponseAlg'

/** Returns the message about an option that the core does not know. */
const about = (option) =>
  describeError('config_invalid', `\`${option}\`: there is no such option\n${KNOWN}`).split('. ')[0]

const CASES = {
  clientID: 'clientId',
  client_id: 'clientId',
  redirect_uri: 'redirectUri',
  redirectURL: 'redirectUri',
  isuer: 'issuer',
  inspekt: 'inspect',
  scopes: 'scope',
  // Also close to dpop, which is earlier in the list.
  scop: 'scope',
  login_params: 'loginParams',
}

for (const [option, meant] of Object.entries(CASES)) {
  test(`${option} suggests ${meant}`, () => {
    assert.equal(about(option), `\`${option}\`: there is no such option (did you mean \`${meant}\`?)`)
  })
}

test('each line about an unknown option has its own suggestion', () => {
  const lines = [
    '`clientID`: there is no such option',
    KNOWN,
    '`issuer` is 7: it must be a URL',
    '`x`: there is no such option',
    KNOWN,
    '`session.idel`: there is no such option',
    'idle absolute persist',
    'there are more problems',
  ]
  const text = describeError('config_invalid', lines.join('\n'))
  assert.equal(
    text,
    [
      '`clientID`: there is no such option (did you mean `clientId`?)',
      '`issuer` is 7: it must be a URL',
      '`x`: there is no such option',
      '`session.idel`: there is no such option (did you mean `idle`?)',
      'there are more problems. Fix what the message names, and start again.',
    ].join('\n'),
  )
})

for (const option of ['idTokenSigningAlg', 'pxy', 'response', 'x', '', 'é']) {
  test(`'${option}' suggests nothing`, () => {
    assert.equal(about(option), `\`${option}\`: there is no such option`)
  })
}
