import { fillForm } from './sign_in.mjs'
import { startInstalled } from './install.mjs'

/** @type {import('./driver.mjs').Server} */
export const jmondi = {
  name: '@jmondi/oauth2-server',
  start: (setup) => startInstalled('jmondi', setup, { packageName: '@jmondi/oauth2-server' }),
  signIn: fillForm,
  config: ({ issuer }) => ({
    scope: 'orders',
    // The library has no hook for members of the token response.
    identity: 'none',
    metadata: {
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      revocation_endpoint: `${issuer}/revoke`,
    },
  }),
  api: '/api/me',
  features: { clientAuth: ['client_secret_basic', 'client_secret_post'] },
  expected: {
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_request',
    'refresh after it': 'works',
    'lost response': 'interaction_required',
    'revoked at the server': '400 invalid_request: interaction_required',
    logout: 'revokes: 400 invalid_request',
  },
}
