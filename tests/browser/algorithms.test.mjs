// ID tokens of each signature algorithm that WebCrypto verifies: a real provider signs them, and the vault verifies
// them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** Algorithms that the smaller module supports. */
const LEAN = ['RS256', 'PS256', 'ES256']
const EXTENDED = ['EdDSA', 'RS384', 'RS512', 'PS384', 'PS512', 'ES384', 'ES512']

for (const algorithm of [...LEAN, ...EXTENDED]) {
  test(`an ID token signed with ${algorithm}`, time, async (t) => {
    const app = await startApp({
      config: LEAN.includes(algorithm) ? {} : { idTokenSignedResponseAlg: algorithm },
      provider: { algorithms: [algorithm], accessTokenSeconds: 60 },
      client: { id_token_signed_response_alg: algorithm },
    })
    t.after(() => app.close())
    const page = await app.open()
    assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
    assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
    const header = JSON.parse(atob(app.ledger.newest('id_token').value.split('.')[0]))
    assert.equal(header.alg, algorithm)
    const module = EXTENDED.includes(algorithm) ? 'strongroom_extended_bg' : 'strongroom_bg'
    assert.ok(app.site.requests.some(({ path }) => path.endsWith(`${module}.wasm`)))
  })
}
