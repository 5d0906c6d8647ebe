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

/** Starts a login on a page. Resolves with the code that the page shows. */
const shown = async (options = {}) => {
  const page = await app.open()
  await booted(page)
  const code = await page.evaluate(
    (given) =>
      new Promise((resolve) => {
        globalThis.giveUp = new AbortController()
        const { signal } = giveUp
        globalThis.login = settle(auth.login({ mode: 'device', onCode: resolve, signal, ...given }))
        login.then(resolve)
      }),
    options,
  )
  return { page, code }
}

/** Opens a page in another browser context, which represents the user's phone. */
const phone = async (address) => {
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(address)
  return page
}

test('a code entered on another device signs the page in', time, async () => {
  const { page, code } = await shown()
  assert.ok(code.userCode && code.expiresAt > Date.now())
  assert.match(code.verificationUriComplete, new RegExp(code.userCode))
  const there = await phone(code.verificationUri)
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

test('the user denies the request', time, async () => {
  const { page, code } = await shown()
  const there = await phone(code.verificationUriComplete)
  await there.click('button[name=abort]')
  const { error } = await page.evaluate(() => login)
  assert.equal(error.code, 'login_denied')
})

test('a canceled login stops polling', time, async () => {
  const { page } = await shown()
  await page.evaluate(() => giveUp.abort())
  const { error } = await page.evaluate(() => login)
  assert.equal(error.code, 'login_canceled')
})

test('the device code never reaches the page', time, async () => {
  const { code } = await shown()
  assert.deepEqual(Object.keys(code).sort(), [
    'expiresAt',
    'id',
    't',
    'userCode',
    'verificationUri',
    'verificationUriComplete',
  ])
})
