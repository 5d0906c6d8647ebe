import { randomBytes } from 'node:crypto'
import { startApi } from '../api.mjs'
import { withBinding } from '../combinations.mjs'
import { publicClient, startProvider } from '../provider.mjs'
import { AUDIENCE, originsOf } from '../servers.mjs'
import { startSite } from '../site.mjs'
import { PLATFORMS } from './platforms.mjs'
import { startTls } from './tls.mjs'

/** The site's pages may call only their own origin. These pages have no worker. */
const CONNECT = "; connect-src 'self'"

/**
 * Starts an app for browsers: pages and token handler share an origin, `http://localhost:PORT`. A provider with a
 * confidential client and an API are on other origins. Pages call the API by the API's own URL, which is the `url` of a
 * route.
 *
 * @param {keyof typeof PLATFORMS | { start(options: object): Promise<object> }} platform
 * @param {object} [options]
 * @param {string} [options.coordinator]
 * @param {{ site?: number, provider?: number, api?: number }} [options.ports] Default: any free ports.
 * @param {boolean} [options.orNext] If the port of the provider or of the API is taken, try the next ports.
 * @param {object[]} [options.clients] Metadata of public clients. Provider and API allow their redirect URIs' origins.
 * @param {object} [options.provider] More options of `startProvider()`.
 * @param {object} [options.api] More options of `startApi()`.
 * @param {object} [options.handler] Additional or changed options of `createTokenHandler()` that are JSON.
 * @param {object} [options.route] Additional or changed options of the one route.
 * @param {object} [options.site] More options of `startSite()`.
 * @param {boolean | Awaited<ReturnType<typeof startTls>>} [options.secure] True if browsers use https, or the proxy in
 *   front of the handler that terminates https.
 */
export async function startEdgeSite(
  platform,
  {
    coordinator,
    ports = {},
    orNext = false,
    clients = [],
    provider = {},
    api = {},
    handler = {},
    route = {},
    site = {},
    secure = false,
  } = {},
) {
  const ends = []
  const close = async () => {
    while (ends.length) await ends.pop()()
  }
  try {
    const secret = randomBytes(32).toString('base64url')
    const client = {
      client_id: 'web',
      client_name: 'the strongroom demo',
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
      // This is a placeholder until the app's origin is known.
      redirect_uris: ['http://localhost/'],
      post_logout_redirect_uris: [],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
    }
    const providerServer = await startProvider({
      port: ports.provider,
      orNext,
      audience: AUDIENCE,
      allowedOrigins: originsOf(clients),
      clients: [client, ...clients.map(publicClient)],
      ...provider,
    })
    ends.push(() => providerServer.close())
    const { issuer, ledger } = providerServer
    // CORS allows only the origins of `clients`, because the app's pages do not call this API.
    const apiServer = await startApi({
      port: ports.api,
      orNext,
      issuer,
      audience: AUDIENCE,
      allowedOrigins: originsOf(clients),
      ...api,
    })
    ends.push(() => apiServer.close())
    const siteServer = await startSite({ host: '127.0.0.1', workers: [], ...site })
    ends.push(() => siteServer.close())
    siteServer.pageCsp += CONNECT
    const tls = secure === true ? await startTls() : secure || undefined
    if (tls) ends.push(() => tls.close())

    const running = await (PLATFORMS[platform] ?? platform).start({
      app: new URL('../../edge/apps/handler.mjs', import.meta.url),
      coordinator,
      port: ports.site,
      isolates: 1,
      env: {
        ISSUER: issuer,
        UPSTREAM: apiServer.url,
        SITE: siteServer.origin,
        CLIENT_SECRET: secret,
        COOKIE_KEYS: randomBytes(32).toString('base64'),
        OPTIONS: JSON.stringify(
          withBinding({
            scope: 'openid profile email offline_access orders',
            consent: 'always',
            routes: [
              {
                prefix: '/api/',
                url: apiServer.url,
                upstream: apiServer.url,
                methods: ['GET', 'HEAD', 'POST', 'PUT'],
                ...route,
              },
            ],
            ...(tls && { origin: tls.origin }),
            ...handler,
          }),
        ),
      },
    })
    ends.push(running.stop)
    tls?.forwardTo(running.urls[0])
    const origin = tls?.origin ?? `http://localhost:${new URL(running.urls[0]).port}`
    client.redirect_uris = [`${origin}/auth/callback`]
    client.post_logout_redirect_uris = [`${origin}/`]
    await providerServer.changeKeys()
    return {
      /**
       * The server of the pages. Its `origin` is the app's origin, at which browsers reach the pages and the token
       * handler.
       */
      site: Object.assign(siteServer, { origin }),
      provider: providerServer,
      ledger,
      api: apiServer,
      store: running.store,
      /** The handler's own origin, behind the proxy that terminates https. */
      handlerOrigin: running.urls[0],
      /** Resolves with the events that the handler reported to its operator. */
      told: async () => (await fetch(`${running.urls[0]}/told`)).json(),
      /** Moves the handler's clock to this time after the real one, in milliseconds. */
      setClock: (ahead) => fetch(`${running.urls[0]}/clock?ahead=${ahead}`),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
