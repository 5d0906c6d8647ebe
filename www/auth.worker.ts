import { vault } from 'strongroom/worker'

vault({
  issuer: ISSUER,
  clientId: CLIENT_ID,
  redirectUri: '/callback',
  scope: 'openid profile email offline_access orders',
  // The demo's provider issues refresh tokens only after new consent.
  consent: 'always',
  apis: [{ url: API, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  session: { idle: 1800, absolute: 43200, persist: 'memory' },
  // Only for this demo: shows the page the vault's events and holdings, without values.
  inspect: true,
})
