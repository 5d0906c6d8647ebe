import { startInstalled } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const betterAuth = {
  name: 'better-auth',
  start: (setup) => startInstalled('better-auth', setup, { packageName: 'better-auth' }),
  signIn: fillForm,
  config: ({ issuer }) => ({
    issuer: `${issuer}/api/auth`,
    scope: 'openid profile email offline_access',
    idTokenSignedResponseAlg: 'EdDSA',
  }),
  api: '/v1/me',
  expected: {
    claims: /^sub: [A-Za-z0-9]{32}$/,
    refresh: 'rotates',
    'second refresh': 'rotates',
    // The token was replaced within `refreshTokenReuseInterval`.
    'old refresh token': 'accepted',
    'refresh after it': 'works',
    logout: 'revokes: 400 invalid_grant',
  },
}
