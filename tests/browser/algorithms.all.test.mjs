// Tests each signature algorithm that the vault supports for ID tokens. A real provider signs the ID tokens, and the
// browser verifies them for the vault.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn, startApp } from '../support/app.mjs'

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
