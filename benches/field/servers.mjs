/**
 * The provider and the API of one world. `node servers.mjs OPTIONS` starts them in a process of their own, whose clock
 * libfaketime can change.
 */
import { pathToFileURL } from 'node:url'
import { startApi } from '../../tests/support/api.mjs'
import { publicClient, startProvider } from '../../tests/support/provider.mjs'
import { sendJson } from '../../tests/support/responses.mjs'
import { AUDIENCE } from '../../tests/support/servers.mjs'

export const CLIENT_ID = 'field'

/**
 * @param {object} options
 * @param {string} options.issuer
 * @param {string} options.app The origin of the app.
 * @param {number} options.accessTokenSeconds
 * @param {number} [options.refreshTokenSeconds]
 * @param {number} [options.leewaySeconds]
 */
export async function startBackends({
  issuer,
  app,
  accessTokenSeconds,
  refreshTokenSeconds,
  leewaySeconds = 0,
}) {
  const provider = await startProvider({
    publicOrigin: issuer,
    audience: AUDIENCE,
    allowedOrigins: [app],
    refreshTokenSeconds,
    leewaySeconds,
    // Like the provider of a company: it asks for a password once, and for no consent.
    trusted: { [CLIENT_ID]: { accessTokenSeconds } },
    refreshTokenAlways: true,
    // auth0-spa-js accepts only RS256.
    algorithms: ['RS256'],
    clients: [
      publicClient({
        client_id: CLIENT_ID,
        client_name: 'the app',
        redirect_uris: ['/', '/callback', '/silent-callback'].map((path) => app + path),
        post_logout_redirect_uris: [`${app}/`, app],
        id_token_signed_response_alg: 'RS256',
      }),
    ],
  })
  const api = await startApi({
    issuer: provider.issuer,
    provider: provider.origin,
    audience: AUDIENCE,
    allowedOrigins: [app],
  })
  const refused = new Set()
  api.on('field', ({ response, claims, entry }) => {
    if (!refused.has(entry.authorization)) return sendJson(response, 200, { sub: claims.sub })
    response.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
    return sendJson(response, 401, { error: 'invalid_token' })
  })
  return {
    provider: provider.origin,
    api: api.origin,
    /** Returns true if the provider has revoked the newest login's refresh tokens. */
    isRevoked: () => provider.ledger.familyRevoked(),
    /** Lets the API refuse an access token from now on. */
    refuse: (token) => refused.add(`Bearer ${token}`),
    async close() {
      await Promise.all([provider.close(), api.close()])
    },
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { provider, api } = await startBackends(JSON.parse(process.argv[2]))
  console.log(JSON.stringify({ provider, api }))
}
