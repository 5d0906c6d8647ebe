import { vault } from '/strongroom/worker.js'

// Import maps do not apply in workers, so this import has a path. The addresses are those of `cargo xtask demo`. The test replaces their ports.
vault({
  issuer: 'http://127.0.0.1:4401',
  clientId: 'my-app',
  redirectUri: '/callback',
  scope: 'openid profile offline_access orders',
  consent: 'always',
  accounts: 2,
  session: { persist: 'sealed' },
  apis: [{ url: 'http://127.0.0.1:4402/v1/' }, { url: 'http://localhost:4402/v1/' }],
})
