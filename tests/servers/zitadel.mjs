import { buildGo, startProcess } from './install.mjs'
import { fillForm } from './sign_in.mjs'

/** The example server of Zitadel's library. @type {import('./driver.mjs').Server} */
export const zitadel = {
  name: 'zitadel/oidc',
  start: async (setup) => startProcess(await buildGo('zitadel'), undefined, setup),
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
