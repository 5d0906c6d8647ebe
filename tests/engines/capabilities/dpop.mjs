/**
 * Tests of tokens that are bound to a key (RFC 9449). The engine creates and stores the key, and signs proofs with it.
 */
import assert from 'node:assert/strict'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { booted, call, signIn, signInByRedirect } from '../../support/engines/app.mjs'

const orders = (app) => `${app.api.url}orders`

/** Checks that all proofs for the provider and for the API contain the same key, and only the key's public members. */
function assertOneKey({ provider, api }) {
  const shown = [...provider.proofs, ...api.dpop.proofs.map(({ proof }) => proof)]
  const keys = new Set(shown.map((proof) => JSON.stringify(decodeProtectedHeader(proof).jwk)))
  assert.equal(keys.size, 1)
  assert.deepEqual(Object.keys(JSON.parse([...keys][0])).sort(), ['crv', 'kty', 'x', 'y'])
}

async function use(app, tab) {
  assert.equal((await call(tab, orders(app))).value?.status, 200)
  await app.ledger.accessTokenExpired()
  assert.equal((await call(tab, orders(app))).value?.status, 200)
  assert.ok(app.api.requests.every(({ authorization }) => authorization.startsWith('DPoP ')))
  assertOneKey(app)
}

const forget = ({ provider, api }) => {
  provider.proofs.length = 0
  api.dpop.proofs.length = 0
}

const setup = {
  provider: { dpop: 'nonce', accessTokenSeconds: 4 },
  api: { dpop: true },
}

/** @type {import('../suite.mjs').Group[]} */
export const dpop = [
  {
    name: 'DPoP on one worker',
    app: { ...setup, config: { dpop: true } },
    capabilities: [
      {
        name: 'DPoP: login by popup, call and refresh are proven by one key',
        async see({ app, visit }) {
          forget(app)
          const { tab } = await visit()
          await signIn(tab)
          await use(app, tab)
          // Without a nonce, the provider demands one. All later proofs have a nonce.
          const [first, ...rest] = app.provider.proofs.map((proof) => decodeJwt(proof).nonce)
          assert.equal(first, undefined)
          assert.equal(rest.length, 2)
          assert.ok(rest.every(Boolean))
        },
      },
    ],
  },
  {
    name: 'DPoP with a worker a tab',
    app: { ...setup, kind: 'dedicated', config: { dpop: true, session: { persist: 'sealed' } } },
    capabilities: [
      {
        name: 'DPoP with a `Worker`, sealed: the key outlives a redirect and a reload',
        async see({ app, visit }) {
          forget(app)
          const { tab } = await visit()
          await signInByRedirect(tab)
          await use(app, tab)
          await tab.goto(`${app.site.origin}/`)
          await booted(tab)
          await use(app, tab)
        },
      },
    ],
  },
]
