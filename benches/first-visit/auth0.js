import { createAuth0Client } from '@auth0/auth0-spa-js'
import { visit } from './visit.js'

const started = createAuth0Client({
  domain: import.meta.env.VITE_ISSUER.replace(/\/$/, ''),
  clientId: import.meta.env.VITE_CLIENT,
  useRefreshTokens: true,
  cacheLocation: 'localstorage',
  authorizationParams: {
    redirect_uri: `${location.origin}/callback/auth0`,
    scope: import.meta.env.VITE_SCOPE,
    prompt: 'consent',
  },
})
visit({
  login: async () => (await started).loginWithRedirect(),
  callback: async () => (await started).handleRedirectCallback(),
  async fetch(url) {
    const token = await (await started).getTokenSilently()
    return fetch(url, { headers: { Authorization: `Bearer ${token}` } })
  },
})
