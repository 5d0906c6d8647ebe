// If the same worker file runs as a dedicated worker, each tab has its own vault.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, clickLogin, giveConsent, signIn, signInByPopup, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app
let orders

before(async () => {
  app = await startApp({ kind: 'dedicated', provider: { accessTokenSeconds: 4 } })
  orders = `${app.api.url}orders`
})
after(() => app?.close())

test('login by redirect: the pending login survives the navigation', time, async () => {
  const page = await app.open()
  assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
  assert.equal((await call(page, orders)).value.status, 200)
})

test('expired: a refresh, and the call succeeds', time, async () => {
  const page = await app.open()
  await signIn(page)
  await app.ledger.accessTokenExpired()
  assert.equal((await call(page, orders)).value.status, 200)
  assert.equal(app.ledger.generation(), 2)
})

test('login by popup: the response reaches the opener’s vault', time, async () => {
  const page = await app.open()
  const { value } = await signInByPopup(page)
  assert.equal(value.claims.sub, 'alice')
  assert.equal((await call(page, orders)).value.status, 200)
})

test('two tabs with a popup each get their own responses', time, async () => {
  const first = await app.open()
  const second = await app.open('/', first.context())
  await Promise.all([booted(first), booted(second)])
  const [popup] = await Promise.all([first.waitForEvent('popup'), clickLogin(first)])
  assert.equal((await signInByPopup(second)).value.claims.sub, 'alice')
  assert.equal(await first.evaluate(() => auth.session), null)
  // The user has a session at the provider, so the popup shows at most the consent page.
  await popup.waitForLoadState()
  if (!popup.isClosed() && (await popup.locator('#username').count())) await giveConsent(popup)
  assert.equal((await first.evaluate(() => login)).value.claims.sub, 'alice')
})
