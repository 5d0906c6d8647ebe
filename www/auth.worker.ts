import { vault } from 'strongroom/worker'

vault({
  issuer: ISSUER,
  clientId: CLIENT_ID,
  redirectUri: '/callback',
  scope: 'openid profile email offline_access orders',
  // The demo's provider issues refresh tokens only to users who have just consented.
  consent: 'always',
  apis: [{ url: API, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  session: { idle: 1800, absolute: 43200, persist: 'memory' },
  // For this demo: lets the page watch. It tells what happens and what there is, never a value.
  inspect: true,
})
