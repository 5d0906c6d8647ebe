import type { VaultConfig } from 'strongroom/worker'
import { metadata } from './auth.metadata.ts'

const issuer = 'http://127.0.0.1:4401'

export const config: VaultConfig = {
  issuer,
  pinned: metadata[issuer],
  clientId: 'my-app',
  redirectUri: '/callback',
  scope: 'openid profile offline_access orders',
  consent: 'always', // this provider issues refresh tokens only then
  apis: [{ url: 'http://127.0.0.1:4402/v1/' }],
  session: { persist: 'sealed' }, // a reload keeps the session
}
