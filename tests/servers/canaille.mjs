import { startPython } from './install.mjs'
import { USER } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const canaille = {
  name: 'canaille',
  start: (setup) => startPython('canaille', setup, { packageName: 'canaille' }),
  signIn,
  config: ({ kind }) => ({
    scope: 'openid profile email',
    // With the ID token as a hint, canaille does not ask for a confirmation.
    ...(kind === 'vault' && { idTokenHint: true }),
  }),
  api: '/api/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    assertionAudience: 'token-endpoint',
    revocation: 'with a secret',
    maxAge: true,
    async providerLogout() {},
  },
  expected: {
    claims: 'sub: alice, name: Alice Liddell, email: alice@example.com',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    'lost response': 'provider_ended',
    'revoked at the server': { handler: '400 invalid_grant: provider_ended' },
    // canaille refuses public clients.
    // The error redirect has no `iss`, although the metadata announce it.
    'provider’s logout': 'prompt=none callback_invalid',
    logout: { vault: 'revokes nothing', handler: 'revokes: 400 invalid_grant' },
  },
}

/**
 * Signs in on two pages, or on the second one if canaille knows the user. There is no page for the consent, because
 * canaille trusts clients on loopback.
 */
async function signIn(page) {
  const name = page.locator('input[name=login]')
  const password = page.locator('input[name=password]')
  await name.or(password).waitFor()
  if (await name.isVisible()) {
    await name.fill(USER.username)
    await page.click('button[name=answer]')
  }
  await password.fill(USER.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
