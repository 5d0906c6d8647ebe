import { randomBytes } from 'node:crypto'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { withBinding } from '../combinations.mjs'
import { listen } from '../listen.mjs'
import { startProvider } from '../provider.mjs'

/** The app's origin, as browsers see it. */
export const ORIGIN = 'https://app.example.com'

/** Starts a provider with a public client of the app at {@link ORIGIN}. `more` has other options of `startProvider()`. */
export const startPublicProvider = ({ redirectUris = [`${ORIGIN}/auth/callback`], ...more }) =>
  startProvider({
    audience: 'urn:test',
    allowedOrigins: [],
    dpop: false,
    clients: [
      {
        client_id: 'web',
        token_endpoint_auth_method: 'none',
        id_token_signed_response_alg: 'ES256',
        redirect_uris: redirectUris,
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    ...more,
  })

/** Returns options of a token handler for this client. */
export const publicClient = (provider) => ({
  issuer: provider.origin,
  origin: ORIGIN,
  client: { id: 'web', auth: { method: 'none' } },
  consent: 'always',
  cookie: { keys: randomBytes(32).toString('base64') },
})

/**
 * Starts a provider with a public client, and a token handler in the test's own process.
 *
 * @param {Function} createTokenHandler The function of the package's copy that the test inspects.
 * @param {object} options
 * @param {number} options.accessTokenSeconds
 * @param {object} options.handler More options of `createTokenHandler()`.
 * @param {object} [options.listener] Options for `toNodeListener()`.
 * @param {string[]} [options.origins] The origins of the client's redirect URIs.
 */
export async function startInProcess(
  createTokenHandler,
  { accessTokenSeconds, handler, listener, origins = [ORIGIN] },
) {
  const provider = await startPublicProvider({
    accessTokenSeconds,
    dpop: handler.dpop ?? false,
    redirectUris: origins.map((origin) => `${origin}/auth/callback`),
  })
  const tokenHandler = createTokenHandler({ ...publicClient(provider), ...withBinding(handler) })
  const server = await listen({ handler: toNodeListener(tokenHandler, listener) })
  return {
    provider,
    /** The argument for `new Visitor()`. */
    place: { origin: ORIGIN, urls: [server.origin] },
    async close() {
      await server.close()
      await provider.close()
    },
  }
}
