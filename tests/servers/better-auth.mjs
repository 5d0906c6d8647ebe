import { startInstalled } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const betterAuth = {
  name: 'better-auth',
  start: (setup) => startInstalled('better-auth', setup, { packageName: 'better-auth' }),
  signIn: fillForm,
  config: ({ issuer, kind }) => ({
    issuer: `${issuer}/api/auth`,
    scope: 'openid profile email offline_access',
    idTokenSignedResponseAlg: 'EdDSA',
    // Without a hint, the policy of better-auth's confirmation page forbids the way back to the app.
    ...(kind === 'vault' && { idTokenHint: true }),
    userInfo: true,
    claims: ['name', 'email'],
  }),
  api: '/v1/me',
  features: {
    exactTime: true,
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    dpop: true,
    maxAge: true,
    // The ID token as a hint makes a confirmation unnecessary.
    async providerLogout() {},
    device,
    backChannelLogout,
  },
  expected: {
    claims: /^sub: [A-Za-z0-9]{32}, name: Alice Liddell, email: alice@example.com$/,
    refresh: 'rotates',
    'second refresh': 'rotates',
    // The token was replaced within `refreshTokenReuseInterval`.
    'old refresh token': 'accepted',
    'refresh after it': 'works',
    'lost response': 'continues',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Signs in for another device. */
async function device(page, { userCode, verificationUri }) {
  await page.goto(`${verificationUri}?${new URLSearchParams({ user_code: userCode })}`)
  await fillForm(page)
  await page.waitForSelector('text=Done')
}

/** Signs out at the server. */
async function backChannelLogout(page, { issuer }) {
  await page.goto(`${issuer}/login`)
  await page.evaluate(async () => {
    const headers = { 'Content-Type': 'application/json' }
    await fetch('/api/auth/sign-out', { method: 'POST', headers, body: '{}' })
  })
}
