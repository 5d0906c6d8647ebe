// A login that has expired at the provider, which then asks the app to send the request again, as Keycloak does: the
// browser goes to the provider again.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, giveConsent, startApp, startLogin } from '../support/app.mjs'
import { useCallbackPage } from '../support/callback_page.mjs'

const time = { timeout: 60_000 }
const EXPIRED = { error: 'temporarily_unavailable', error_description: 'authentication_expired' }

const apps = {}

before(async () => {
  const config = { scope: 'openid profile offline_access orders' }
  const [inside, apart] = await Promise.all([
    startApp({ config }),
    startApp({ config: { ...config, callbackPage: true } }),
  ])
  useCallbackPage(apart)
  Object.assign(apps, { inside, apart })
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

/** Resolves with the URL of the response to the next authorization request. */
async function expiry(app) {
  const { parameters } = await app.ledger.until(({ type }) => type === 'authorization_request')
  const { state } = parameters
  return `${app.site.origin}/callback?${new URLSearchParams({ state, iss: app.provider.issuer, ...EXPIRED })}`
}

/** Begins a login, and lets it expire once. Resolves when the page is at the provider again. */
async function expired(app, begin) {
  const page = await app.open('/')
  const address = expiry(app)
  await begin(page)
  await page.goto(await address)
  await page.waitForSelector('form')
  return page
}

const BEGIN = {
  inside: (page) => startLogin(page, { returnTo: '/orders' }),
  apart: async (page) => {
    await page.evaluate(() => boot)
    await page.evaluate(() => void auth.login({ returnTo: '/orders' }).catch(() => {}))
    await page.waitForSelector('form')
  },
}

for (const [kind, begin] of Object.entries(BEGIN)) {
  test(`an expired login is repeated, ${kind}`, time, async () => {
    const page = await expired(apps[kind], begin)
    await giveConsent(page)
    await page.waitForFunction(() => globalThis.boot)
    const outcome = await booted(page)
    const expectedOutcome = { inside: { returnTo: '/orders' }, apart: { user: 'alice', code: null } }
    assert.deepEqual(outcome, { value: expectedOutcome[kind] })
    await page.context().close()
  })
}
