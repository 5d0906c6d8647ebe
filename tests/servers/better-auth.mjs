import { startInstalled } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const betterAuth = {
  name: 'better-auth',
  start: (setup) => startInstalled('better-auth', setup),
  signIn: fillForm,
  config: ({ issuer }) => ({
    issuer: `${issuer}/api/auth`,
    scope: 'openid profile email offline_access',
    idTokenSignedResponseAlg: 'EdDSA',
  }),
  api: '/v1/me',
  expected: {},
}
