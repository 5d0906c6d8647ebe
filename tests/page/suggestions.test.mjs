// The option that the message about an unknown option suggests.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { describeError } = await load('page/errors/error-messages.ts')

const KNOWN = 'issuer clientId redirectUri scope inspect loginParams idTokenSignedResponseAlg'

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
  login_params: 'loginParams',
}

for (const [option, meant] of Object.entries(CASES)) {
  test(`${option} suggests ${meant}`, () => {
    assert.equal(about(option), `\`${option}\`: there is no such option (did you mean \`${meant}\`?)`)
  })
}

for (const option of ['idTokenSigningAlg', 'pxy', 'response', 'x', '', 'é']) {
  test(`'${option}' suggests nothing`, () => {
    assert.equal(about(option), `\`${option}\`: there is no such option`)
  })
}
