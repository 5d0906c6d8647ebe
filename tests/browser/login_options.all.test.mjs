// login() rejects unknown options, and options that the configuration does not allow.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp()
})
after(() => app?.close())
afterEach(() => app.setConfig({}))

/** Resolves with the error of a login with these options. A login without an error would leave the page. */
async function refusal(options) {
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate((given) => settle(auth.login(given)), options)
  assert.equal(page.url(), `${app.site.origin}/`)
  return error
}

test('message_invalid: an unknown option is named without its value', time, async () => {
  const { code, message } = await refusal({ loginhint: 's3cret' })
  assert.equal(code, 'message_invalid')
  assert.match(message, /`loginhint` \(did you mean `loginHint`\?\)/)
  assert.doesNotMatch(message, /s3cret/)
})

/** Resolves with the warning of a login whose page is below `base` of Vite, or with `undefined`. */
async function warningBelow(base) {
  app.site.routes['/app/page'] = '/index.html'
  const page = await app.open('/app/page')
  await booted(page)
  const warnings = []
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()))
  await page.evaluate((src) => {
    document.head.append(Object.assign(document.createElement('script'), { type: 'x', src }))
    void auth.login()
  }, `${base}@vite/client`)
  await page.waitForSelector('form')
  return warnings.find((text) => text.includes('redirectUri'))
}

test('login() names a redirect URI outside of the base of Vite', time, async () => {
  assert.match(
    await warningBelow('/app/'),
    /leads to http.*\/callback, outside of Vite's base \(http.*\/app\/\)/,
  )
  assert.equal(await warningBelow('/'), undefined)
  assert.equal(await warningBelow('/assets/'), undefined, 'the page is elsewhere')
})

const ALLOWED = {
  scope: ['invoices', /'invoices', which is neither in scope nor among loginScopes/],
  params: [{ display: 'touch' }, /'display', which is not among loginParams/],
}

for (const [option, [value, reason]] of Object.entries(ALLOWED)) {
  test(`message_invalid: ${option} that the configuration does not allow`, time, async () => {
    const { code, message } = await refusal({ [option]: value })
    assert.equal(code, 'message_invalid')
    assert.match(message, reason)
  })

  test(`the control: ${option}, if the configuration allows it`, time, async () => {
    app.setConfig({ loginScopes: ['invoices'], loginParams: ['display'] })
    const page = await app.open()
    await booted(page)
    await page.evaluate((given) => void auth.login(given), { [option]: value })
    await page.waitForSelector('form')
    const asked = app.ledger.authorizationRequests().at(-1)
    assert.ok(asked)
  })
}

test('message_invalid: an unknown option beside allowed scopes', time, async () => {
  app.setConfig({ loginScopes: ['orders'] })
  const { code, message } = await refusal({ maxage: 5 })
  assert.equal(code, 'message_invalid')
  assert.match(message, /login\(\) has no option `maxage` \(did you mean `maxAge`\?\)/)
})
