import { createRequire } from 'node:module'
import { startApi } from '../support/api.mjs'
import { giveConsent } from '../support/app.mjs'
import { publicClient, startProvider } from '../support/provider.mjs'

const { version } = createRequire(import.meta.url)('oidc-provider/package.json')

const AUDIENCE = 'urn:strongroom:test:orders'

/** @type {import('./driver.mjs').Server} */
export const oidcProvider = {
  name: 'oidc-provider',
  start,
  signIn: (page) => giveConsent(page),
  config: () => ({ scope: 'openid profile offline_access orders', consent: 'always' }),
  api: '/v1/me',
  expected: {
    claims: 'sub: alice, name: Alice Liddell, preferred_username: alice, locale: en',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    // Reuse of a replaced token ends the whole grant.
    'refresh after it': 'provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Starts the server in this process. */
async function start({ origin, apps, clients }) {
  const provider = await startProvider({
    publicOrigin: origin,
    audience: AUDIENCE,
    allowedOrigins: apps,
    accessTokenSeconds: 3600,
    clients: clients.map(metadata),
  })
  const api = await startApi({
    issuer: origin,
    provider: provider.origin,
    audience: AUDIENCE,
    allowedOrigins: apps,
  })
  return {
    origin: provider.origin,
    version,
    api: api.origin,
    async stop() {
      await api.close()
      await provider.close()
    },
  }
}

/** Returns the metadata of a client (RFC 7591). */
const metadata = ({ id, auth, secret, publicKey, redirectUri, postLogoutRedirectUri }) =>
  publicClient({
    client_id: id,
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [postLogoutRedirectUri],
    token_endpoint_auth_method: auth,
    ...(secret && { client_secret: secret }),
    ...(publicKey && { jwks: { keys: [publicKey] } }),
  })
