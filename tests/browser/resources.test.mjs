/**
 * Tests of several APIs with their own access tokens (RFC 8707). The provider is certified, and the APIs check `aud`.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeJwt } from 'jose'
import { startApi } from '../support/api.mjs'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 120_000 }

const ORDERS = 'https://orders.example/'
const BILLS = 'urn:example:bills'

/** The app and its second API, `bills`. Each API accepts only tokens that were issued for this API. */
let app
let bills

before(async () => {
  app = await startApp({
    kind: 'dedicated',
    provider: { resources: { [ORDERS]: 'orders', [BILLS]: 'bills' }, accessTokenSeconds: 20 },
    api: { audience: ORDERS },
  })
  bills = await startApi({
    issuer: app.provider.issuer,
    audience: BILLS,
    allowedOrigins: [app.site.origin],
  })
  app.site.connectSrc.push(bills.origin)
  app.setConfig({
    scope: 'openid profile email offline_access orders bills',
    apis: [
      { url: app.api.url, methods: ['GET', 'POST'], resource: ORDERS, scope: 'orders' },
      { url: bills.url, resource: BILLS, scope: 'bills' },
    ],
    session: { persist: 'sealed' },
  })
}, time)

after(async () => {
  await Promise.all([app, bills].map((server) => server?.close()))
})

const orders = (api) => `${api.url}orders`
const status = async (page, api) => (await call(page, orders(api))).value?.status
const claims = ({ authorization }) => decodeJwt(authorization.split(' ')[1])
const audiences = () => [app.api, bills].map(({ requests }) => requests.map((request) => claims(request).aud))

async function signedIn() {
  for (const api of [app.api, bills]) api.clear()
  const page = await app.open()
  await signIn(page)
  return { page, before: app.ledger.refreshes().length }
}

// claim: api-10
test('each API gets its own token at its first call', time, async () => {
  const { page, before } = await signedIn()
  assert.equal(app.ledger.refreshes().length, before)
  for (const api of [app.api, bills, app.api, bills]) assert.equal(await status(page, api), 200)
  assert.deepEqual(audiences(), [
    [ORDERS, ORDERS],
    [BILLS, BILLS],
  ])
  assert.equal(claims(app.api.requests[0]).scope, 'orders')
  assert.equal(claims(bills.requests[0]).scope, 'bills')
  assert.equal(app.ledger.refreshes().length, before + 2)
})

// claim: api-10
test('a control: neither API takes the token of the other', time, async () => {
  const { page } = await signedIn()
  for (const api of [app.api, bills]) assert.equal(await status(page, api), 200)
  const [{ authorization }] = app.api.requests
  const answer = await fetch(orders(bills), { headers: { authorization } })
  assert.equal(answer.status, 401)
})

test('two tabs with their own workers rotate one refresh token', time, async () => {
  const { page, before } = await signedIn()
  const other = await app.open('/', page.context())
  await booted(other)
  const calls = [page, other].flatMap((tab) => [app.api, bills].map((api) => status(tab, api)))
  assert.deepEqual(new Set(await Promise.all(calls)), new Set([200]))
  assert.ok(
    app.ledger
      .refreshes()
      .slice(before)
      .every(({ outcome }) => outcome === 'issued'),
  )
})
