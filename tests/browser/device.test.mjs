// Signing in on another device (RFC 8628): the page shows a code, and a person enters it elsewhere.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

let app

before(async () => {
  app = await startApp({
    config: { deviceFlow: true },
    provider: { deviceFlow: true },
    client: { grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE] },
  })
})
after(() => app?.close())

// claim: everyday-8
test('a code entered on another device signs the page in', time, async () => {
  const page = await app.open()
  await booted(page)
  const code = await page.evaluate(
    () =>
      new Promise((resolve) => {
        globalThis.login = settle(auth.login({ mode: 'device', onCode: resolve }))
        login.then(resolve)
      }),
  )
  assert.ok(code.userCode && code.expiresAt > Date.now())
  assert.match(code.verificationUriComplete, new RegExp(code.userCode))
  // Another browser context represents the user's phone.
  const there = await (await app.browser.newContext()).newPage()
  await there.goto(code.verificationUri)
  await there.fill('input[name=user_code]', code.userCode)
  await there.click('button')
  await there.click('button[value=confirm]')
  await giveConsent(there)
  await there.waitForSelector('text=Done')
  const { value } = await page.evaluate(() => login)
  assert.equal(value.claims.sub, 'alice')
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  const grants = app.ledger.tokenRequests().filter(({ grant }) => grant === DEVICE_CODE)
  assert.ok(grants.slice(0, -1).every(({ outcome }) => outcome === 'authorization_pending'))
  assert.equal(grants.at(-1).outcome, 'issued')
  // The refresh token of this login is revoked like any other.
  await page.evaluate(() => auth.logout())
  assert.equal(app.ledger.revocations().at(-1).kind, 'refresh_token')
})
