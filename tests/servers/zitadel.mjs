import { startGo } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** The example server of Zitadel's library. @type {import('./driver.mjs').Server} */
export const zitadel = {
  name: 'zitadel/oidc',
  start: (setup) => startGo('zitadel', setup, { moduleName: 'github.com/zitadel/oidc/v3' }),
  signIn: fillForm,
  config: () => ({ scope: 'openid profile offline_access' }),
  api: '/api/me',
  expected: {
    claims: 'sub: alice',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    logout: 'revokes: 400 invalid_grant',
  },
}
