// Tests each signature algorithm that the vault supports for ID tokens. A real provider signs the ID tokens, and the
// vault verifies them. Two tests cover an algorithm that the configuration does not name.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** Algorithms that the default module supports. Further ones are a capability of the larger module. */
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

/**
 * Starts an app without the option `idTokenSignedResponseAlg`. The provider announces `algorithms` and signs ID tokens
 * with RS512.
 */
const appWithoutOption = (algorithms) =>
  startApp({ provider: { algorithms }, client: { id_token_signed_response_alg: 'RS512' } })

/** Asserts that the worker loaded the default module, and not the larger one. */
const assertIsSmaller = ({ site }) =>
  assert.deepEqual(
    site.requests.map(({ path }) => path.split('/').at(-1)).filter((name) => name.endsWith('.wasm')),
    ['strongroom_bg.wasm'],
  )

test('metadata_invalid: a login leaves no page for a provider with RS512 only', time, async (t) => {
  const app = await appWithoutOption(['RS512'])
  t.after(() => app.close())
  const page = await app.open()
  assert.deepEqual(await booted(page), { value: null })
  const before = page.url()
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'metadata_invalid')
  assert.match(error.message, /name another one in idTokenSignedResponseAlg/)
  assert.equal(page.url(), before)
  assert.deepEqual(app.ledger.authorizationRequests(), [])
  assertIsSmaller(app)
})

test('id_token_invalid: the error of an ID token with RS512 names the option', time, async (t) => {
  const app = await appWithoutOption(['RS256', 'RS512'])
  t.after(() => app.close())
  const page = await app.open()
  const { error } = await signIn(page)
  assert.equal(error.code, 'id_token_invalid')
  assert.match(error.message, /alg is 'RS512'.*name it in idTokenSignedResponseAlg/)
  assert.equal(await page.evaluate(() => auth.session), null)
  assertIsSmaller(app)
})
