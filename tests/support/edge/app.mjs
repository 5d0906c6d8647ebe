import { randomBytes } from 'node:crypto'
import { startApi } from '../api.mjs'
import { withBinding } from '../combinations.mjs'
import { startProvider } from '../provider.mjs'
import { PLATFORMS } from './platforms.mjs'
import { Visitor } from './visitor.mjs'

/** The API's identifier in access tokens (RFC 8707). */
const AUDIENCE = 'urn:strongroom:test:orders'

/** The app's origin as browsers see it. The isolates have other URLs, like servers behind a load balancer. */
const ORIGIN = 'https://app.example.com'

/** A client secret with every character that RFC 6749 2.3.1 requires to be encoded. */
const SECRET = 'a secret: 50% + more/that=has&to be encoded~'

/**
 * Starts a confidential client, a provider, an API, and the token handler on a platform.
 *
 * @param {keyof typeof PLATFORMS | { start(options: object): Promise<object> }} platform
 * @param {object} [options]
 * @param {string} [options.coordinator]
 * @param {number} [options.isolates]
 * @param {object} [options.provider] Options for `startProvider()`.
 * @param {object} [options.api] Options for `startApi()`.
 * @param {object} [options.handler] Options of `createTokenHandler()` that are JSON.
 * @param {object} [options.client] More metadata of the client.
 * @param {string} [options.upstream] The route's upstream. Default: an API that this function starts.
 */
export async function startApp(
  platform,
  {
    coordinator,
    isolates = 2,
    provider: ofProvider = {},
    api: ofApi = {},
    handler = {},
    client = {},
    app,
    upstream,
  } = {},
) {
  const ends = []
  const stop = async () => {
    while (ends.length) await ends.pop()()
  }
  try {
    const provider = await startProvider({
      audience: AUDIENCE,
      allowedOrigins: [],
      clients: [
        {
          client_id: 'web',
          client_name: 'The app',
          client_secret: SECRET,
          token_endpoint_auth_method: 'client_secret_basic',
          id_token_signed_response_alg: 'ES256',
          redirect_uris: [`${ORIGIN}/auth/callback`],
          post_logout_redirect_uris: [`${ORIGIN}/`],
          response_types: ['code'],
          grant_types: ['authorization_code', 'refresh_token'],
          ...client,
        },
      ],
      ...ofProvider,
    })
    ends.push(() => provider.close())
    const api = await startApi({ issuer: provider.origin, audience: AUDIENCE, allowedOrigins: [], ...ofApi })
    ends.push(() => api.close())
    const running = await (PLATFORMS[platform] ?? platform).start({
      app: app ?? new URL('../../edge/apps/handler.mjs', import.meta.url),
      coordinator,
      isolates,
      env: {
        ISSUER: provider.origin,
        ORIGIN,
        UPSTREAM: upstream ?? `${api.origin}/v1/`,
        CLIENT_SECRET: SECRET,
        COOKIE_KEYS: randomBytes(32).toString('base64'),
        OPTIONS: JSON.stringify(withBinding(handler)),
      },
    })
    ends.push(running.stop)
    const place = { origin: ORIGIN, urls: running.urls }
    /** Resolves with the events that isolates reported to their operators. */
    const told = async () => {
      const all = await Promise.all(running.urls.map(async (url) => (await fetch(`${url}/told`)).json()))
      return all.flat()
    }
    return { ...place, provider, api, store: running.store, told, visitor: () => new Visitor(place), stop }
  } catch (error) {
    await stop()
    throw error
  }
}
