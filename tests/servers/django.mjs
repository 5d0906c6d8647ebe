import { startPython } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** @type {import('./driver.mjs').Server} */
export const django = {
  name: 'django-oauth-toolkit',
  start: (setup) => startPython('django', setup, { packageName: 'django-oauth-toolkit' }),
  signIn: fillForm,
  config: ({ issuer }) => ({
    scope: 'orders',
    identity: 'none',
    metadata: {
      authorization_endpoint: `${issuer}/o/authorize/`,
      token_endpoint: `${issuer}/o/token/`,
      revocation_endpoint: `${issuer}/o/revoke_token/`,
    },
  }),
  api: '/api/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post'],
    profile: { url: '/api/profile', sub: 'id', claims: ['username'] },
  },
  expected: {
    'profile address': 'sub: 1, username: alice',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    'lost response': 'provider_ended',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}
