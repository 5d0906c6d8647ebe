import { startPython } from './install.mjs'
import { USER } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const canaille = {
  name: 'canaille',
  start: (setup) => startPython('canaille', setup, { packageName: 'canaille' }),
  signIn,
  config: () => ({ scope: 'openid profile email' }),
  api: '/api/me',
  expected: {
    claims: 'sub: alice, name: Alice Liddell, email: alice@example.com',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    // canaille refuses public clients.
    logout: { vault: 'revokes nothing', handler: 'revokes: 400 invalid_grant' },
  },
}

/** Signs in on two pages. There is no page for the consent, because canaille trusts clients on loopback. */
async function signIn(page) {
  await page.fill('input[name=login]', USER.username)
  await page.click('button[name=answer]')
  await page.fill('input[name=password]', USER.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
