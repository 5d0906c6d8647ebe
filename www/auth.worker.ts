import { vault } from 'strongroom/worker'
import { api, clientId, issuer, redirectUri } from './addresses.js'
import { metadata } from './auth.metadata.js'

vault({
  issuer,
  pinned: metadata[issuer],
  clientId,
  redirectUri,
  scope: 'openid profile email offline_access orders',
  // The demo's provider issues refresh tokens only after new consent.
  consent: 'always',
  apis: [{ url: api, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  session: { idle: 1800, absolute: 43200, persist: 'memory' },
  // Only for this demo: shows the page the vault's events and holdings, without values.
  inspect: true,
})
