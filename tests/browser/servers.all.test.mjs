// The driver of `cargo xtask servers`, with the one server that needs no installation.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { KINDS, runServer, STEPS } from '../servers/driver.mjs'
import { oidcProvider } from '../servers/oidc_provider.mjs'
import { skippedList, stepsTables } from '../servers/table.mjs'
import { launchBrowser } from '../support/browser.mjs'

const time = { timeout: 120_000 }
let browser

before(async () => {
  browser = await launchBrowser()
})
after(() => browser.close())

for (const kind of KINDS) {
  test(`session with oidc-provider takes all steps: ${kind}`, time, async () => {
    const { cells, version, error } = await runServer(oidcProvider, kind, browser)
    assert.ifError(error)
    assert.equal(cells.length, STEPS.length)
    assert.match(version, /^\d+\.\d+\.\d+$/)
  })
}

/** Takes only these steps with the vault. Resolves with the error's message. */
async function errorOf(server, ...names) {
  const steps = STEPS.filter(({ name }) => names.includes(name))
  const { error } = await runServer(server, 'vault', browser, { steps })
  return error?.message
}

test('a control: an unexpected finding is an error', time, async () => {
  const server = { ...oidcProvider, expected: { ...oidcProvider.expected, claims: 'sub: mallory' } }
  assert.match(await errorOf(server, 'sign-in', 'claims'), /step "claims" found 'sub: alice/)
})

test('a control: a user who stays signed in at the provider is noticed', time, async () => {
  const providerLogout = (page) => page.click('button.quiet')
  const server = { ...oidcProvider, features: { ...oidcProvider.features, providerLogout } }
  assert.match(await errorOf(server, 'sign-in', 'provider’s logout'), /found 'prompt=none consent_required'/)
})

test('a control: a revocation without effect is noticed', time, async () => {
  const revocation_endpoint = 'http://127.0.0.1/void'
  const config = (place) => ({ ...oidcProvider.config(place), metadata: { revocation_endpoint } })
  assert.match(await errorOf({ ...oidcProvider, config }, 'sign-in', 'logout'), /found 'revokes nothing'/)
})

test('table has both findings if vault and handler differ, and servers that did not run below', () => {
  const cells = { vault: ['✓', 'sub: alice, name: Alice'], handler: ['pushed', 'sub: alice, name: Alice'] }
  const results = [
    { name: 'one', version: '1.2.3', cells },
    { name: 'two', skipped: 'it needs Go', cells: {} },
  ]
  const [head, , signIn, claims] = stepsTables(results).split('\n')
  assert.equal(head, '|  | one 1.2.3 |')
  assert.equal(signIn, '| sign-in | ✓ / pushed |')
  assert.equal(claims, '| claims | sub, name |')
  assert.equal(skippedList(results), '- two did not run: it needs Go')
})
