// An app whose redirect URI is its start page, and whose pages have parameters `code`, `error` and `state` of their own,
// such as the response to a login of another library. Only a response with a `state` of the vault is the vault's.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, giveConsent, startApp, startLogin } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp({ config: { redirectUri: '/' }, provider: { accessTokenSeconds: 60 } })
})
after(() => app?.close())

const OWN = [
  '/?code=SUMMER',
  '/?error=not_found',
  '/?state=CA',
  '/?code=SUMMER&state=CA',
  '/?error=not_found&state=CA',
  '/?code=SUMMER&state=kmq1Z4hP9dYy0Vx8m3bT6n2cR5wEaGfU',
  '/#code=SUMMER&state=CA',
]

async function assertUntouched(page) {
  for (const path of OWN) {
    await page.goto('about:blank')
    await page.goto(app.site.origin + path)
    assert.deepEqual(await booted(page), { value: null }, path)
    assert.equal(page.url(), app.site.origin + path)
  }
}

// claim: everyday-9
test('the app’s own code, error and state stay, and set no error', time, async () => {
  const page = await app.open()
  await booted(page)
  await assertUntouched(page)
  await page.context().close()
})

leftOut('a signed-in user keeps them, too', time, async () => {
  const page = await app.open()
  await startLogin(page, { returnTo: '/?code=SUMMER&state=CA' })
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.boot && location.pathname === '/')
  assert.deepEqual(await booted(page), { value: { returnTo: '/?code=SUMMER&state=CA' } })
  assert.equal(page.url(), `${app.site.origin}/`)
  await assertUntouched(page)
  assert.equal(await page.evaluate(() => auth.session?.claims.sub), 'alice')
  await page.context().close()
})
