import { startGo } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/**
 * The example server of Zitadel's library. It asks for the password at each authorization request, because it has no
 * sessions: provider's logout has nothing to end.
 *
 * @type {import('./driver.mjs').Server}
 */
export const zitadel = {
  name: 'zitadel/oidc',
  start: (setup) => startGo('zitadel', setup, { moduleName: 'github.com/zitadel/oidc/v3' }),
  signIn: fillForm,
  config: () => ({ scope: 'openid profile offline_access' }),
  api: '/api/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    maxAge: true,
    device,
  },
  expected: {
    // As in Zitadel, other claims are in ID tokens only if the client asks for it.
    claims: 'sub: alice',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    'lost response': 'provider_ended',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Signs in for another device. */
async function device(page, { userCode }) {
  await page.fill('#user_code', userCode)
  await page.click('button')
  await fillForm(page)
  await page.getByRole('button', { name: 'Allow' }).click()
  await page.waitForSelector('text=allowed')
}
