// Tests each signature algorithm that the vault supports for ID tokens. A real provider signs the ID tokens, and the
// vault verifies them. Two tests cover algorithms that the vault does not accept.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512']

for (const algorithm of ALGORITHMS) {
  test(`an ID token signed with ${algorithm}`, time, async (t) => {
    const app = await startApp({
      provider: { algorithms: [algorithm], accessTokenSeconds: 60 },
      client: { id_token_signed_response_alg: algorithm },
    })
    t.after(() => app.close())
    const page = await app.open()
    assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
    assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
    const header = JSON.parse(atob(app.ledger.newest('id_token').value.split('.')[0]))
    assert.equal(header.alg, algorithm)
  })
}

test('metadata_invalid: a login leaves no page for a provider with HS256 only', time, async (t) => {
  const app = await startApp({ config: { metadata: { id_token_signing_alg_values_supported: ['HS256'] } } })
  t.after(() => app.close())
  const page = await app.open()
  assert.deepEqual(await booted(page), { value: null })
  const before = page.url()
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'metadata_invalid')
  assert.match(error.message, /id_token_signing_alg_values_supported contains none of ES256/)
  assert.equal(page.url(), before)
  assert.deepEqual(app.ledger.authorizationRequests(), [])
})

test('id_token_invalid: the error of an ID token with another algorithm names it', time, async (t) => {
  const app = await startApp({
    config: { idTokenSignedResponseAlg: 'RS256' },
    provider: { algorithms: ['RS256', 'RS512'] },
    client: { id_token_signed_response_alg: 'RS512' },
  })
  t.after(() => app.close())
  const page = await app.open()
  const { error } = await signIn(page)
  assert.equal(error.code, 'id_token_invalid')
  assert.match(error.message, /alg is 'RS512': only the algorithm in idTokenSignedResponseAlg/)
  assert.equal(await page.evaluate(() => auth.session), null)
})
