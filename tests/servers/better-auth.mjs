import { startInstalled } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const betterAuth = {
  name: 'better-auth',
  // A web client at `localhost` would need https, and one at 127.0.0.1 does not.
  host: 'localhost',
  start: (setup) => startInstalled('better-auth', setup, { packageName: 'better-auth' }),
  signIn: fillForm,
  config: ({ issuer }) => ({
    issuer: `${issuer}/api/auth`,
    scope: 'openid profile email offline_access',
    idTokenSignedResponseAlg: 'EdDSA',
  }),
  api: '/v1/me',
  expected: {},
}
