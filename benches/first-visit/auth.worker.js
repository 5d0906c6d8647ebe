import { vault } from '../../pkg/dist/worker.js'

vault({
  issuer: import.meta.env.VITE_ISSUER,
  pinned: import.meta.env.VITE_PINNED,
  par: import.meta.env.VITE_PAR,
  clientId: import.meta.env.VITE_CLIENT,
  redirectUri: `/callback/${import.meta.env.VITE_NAME}`,
  scope: import.meta.env.VITE_SCOPE,
  consent: 'always',
  session: { persist: 'sealed' },
  apis: [{ url: import.meta.env.VITE_API }, { url: import.meta.env.VITE_OWN_API }],
})
