import { fileURLToPath } from 'node:url'
import { installPython, startProcess } from './install.mjs'
import { fillForm } from './sign_in.mjs'

const fixture = fileURLToPath(new URL('django', import.meta.url))

/** @type {import('./driver.mjs').Server} */
export const django = {
  name: 'django-oauth-toolkit',
  start: async (setup) => startProcess(await installPython('django'), `${fixture}/server.py`, setup),
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
  expected: {
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    logout: 'revokes: 400 invalid_grant',
  },
}
