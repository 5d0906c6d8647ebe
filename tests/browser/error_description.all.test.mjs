// The vault writes the provider's `error_description` to the worker's console, and never if it contains a secret of the
// login.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, signIn, startApp, startLogin } from '../support/app.mjs'

const time = { timeout: 40_000 }

let app

before(async () => {
  // Playwright sees the console of a dedicated worker through its page.
  app = await startApp({ kind: 'dedicated' })
})
after(() => app?.close())

/** Opens a page. Resolves with the page, and the lines about descriptions that its worker has written so far. */
async function open() {
  const page = await app.open()
  const lines = []
  page.context().on('console', (message) => {
    if (message.text().includes('the provider says')) lines.push(`${message.type()}: ${message.text()}`)
  })
  return { page, lines }
}

const said = (text) => [`warning: strongroom: the provider says "${text}"`]

/** Opens this address, and waits until the page has handled it and the console is up to date. */
async function arrive(page, address) {
  await page.goto(`${app.site.origin}${address}`)
  const outcome = await booted(page)
  await page.evaluate(() => console.log('last'))
  return outcome
}

/** Starts a login. Resolves with the parameters that the provider got. */
async function begin(page) {
  const asked = app.ledger.until(({ type }) => type === 'authorization_request')
  await startLogin(page)
  return (await asked).parameters
}

test("description of a response is in the worker's console", time, async () => {
  const { page, lines } = await open()
  const { state } = await begin(page)
  const answer = (more) => `/callback?${new URLSearchParams({ iss: app.provider.issuer, ...more })}`
  const refused = { error: 'invalid_scope', error_description: 'Turn on offline access' }
  // Another state does not belong to a login.
  await arrive(page, answer({ ...refused, state: `${state}x` }))
  assert.deepEqual(lines, [])
  const { error } = await arrive(page, answer({ ...refused, state }))
  assert.equal(error.code, 'login_failed')
  assert.deepEqual(lines, said('Turn on offline access'))
  assert.ok(!JSON.stringify(error).includes('Turn on'))
  await page.context().close()
})

test("description with a secret is not in the worker's console", time, async () => {
  for (const secret of ['code', 'none']) {
    const { page, lines } = await open()
    await page.route(`${app.provider.issuer}/token`, async (route) => {
      const sent = Object.fromEntries(new URLSearchParams(route.request().postData()))
      const words = { ...sent, none: 'none' }
      assert.ok(words[secret], secret)
      const json = { error: 'invalid_grant', error_description: `No: ${words[secret]}` }
      await route.fulfill({ status: 400, json, headers: { 'Access-Control-Allow-Origin': '*' } })
    })
    const { error } = await signIn(page)
    assert.equal(error.code, 'code_rejected', secret)
    await page.evaluate(() => console.log('last'))
    // Control experiment: a description without a secret is written.
    assert.deepEqual(lines, secret === 'none' ? said('No: none') : [], secret)
    await page.context().close()
  }
})
