import { startApi } from './api.mjs'
import { ENDPOINTS, publicClient, startProvider } from './provider.mjs'
import { startProxy } from './proxy.mjs'
import { startSite } from './site.mjs'

/** The API's identifier in access tokens (RFC 8707); a name, not an address. */
export const AUDIENCE = 'urn:strongroom:demo:orders'

export const CLIENT_ID = 'strongroom-demo'

/** The client for apps that are not the site. */
export const OWN_CLIENT_ID = 'my-app'

/**
 * Starts the site, the provider and the API so that they know each other: the provider knows the site's
 * redirect URI, both let the site's origin in (CORS), and the site's workers may talk to both. The site has
 * no files yet: put them into `site.files`.
 *
 * @param {object} [options]
 * @param {{ site?: number, provider?: number, api?: number }} [options.ports] Default: any free ones.
 * @param {boolean} [options.orNext] If a port is taken, try the ones after it.
 * @param {string[]} [options.apps] Origins of other apps: the provider has a client for them, whose redirect
 *   URI is `/callback`, and the API lets them in.
 * @param {object} [options.provider] More options of `startProvider()`.
 * @param {object} [options.site] More options of `startSite()`.
 * @param {object} [options.client] More metadata of the client.
 * @param {object} [options.api] More options of `startApi()`.
 * @param {boolean} [options.proxied] Provider and API are behind proxies, `proxies.provider` and `proxies.api`,
 *   by whose faults a test disturbs what the browser sends to them. The API asks the provider directly.
 */
export async function startServers({
  ports = {},
  orNext = false,
  apps = [],
  provider = {},
  site = {},
  client = {},
  api: apiOptions = {},
  proxied = false,
} = {}) {
  const proxies = proxied
    ? { provider: await startProxy((path) => ENDPOINTS[path] ?? 'other'), api: await startProxy(() => 'api') }
    : {}
  const siteServer = await startSite({ port: ports.site, orNext, ...site })
  const { origin } = siteServer
  const allowedOrigins = [origin, ...apps]
  const providerServer = await startProvider({
    port: ports.provider,
    orNext,
    publicOrigin: proxies.provider?.origin,
    audience: AUDIENCE,
    allowedOrigins,
    clients: [
      publicClient({
        client_id: CLIENT_ID,
        client_name: 'the strongroom demo',
        redirect_uris: [`${origin}/callback`],
        post_logout_redirect_uris: [`${origin}/`],
        ...client,
      }),
      ...(apps.length ? [ownClient(apps)] : []),
    ],
    ...provider,
  })
  const { issuer } = providerServer
  const api = await startApi({
    port: ports.api,
    orNext,
    issuer,
    provider: providerServer.origin,
    publicOrigin: proxies.api?.origin,
    audience: AUDIENCE,
    allowedOrigins,
    ...apiOptions,
  })
  proxies.provider?.forwardTo(providerServer.origin)
  proxies.api?.forwardTo(api.address)
  siteServer.connectSrc.push(issuer, api.origin)
  return {
    site: siteServer,
    provider: providerServer,
    api,
    proxies,
    ledger: providerServer.ledger,
    clientId: CLIENT_ID,
    async close() {
      await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
      await Promise.all([siteServer.close(), providerServer.close(), api.close()])
    },
  }
}

const ownClient = (apps) =>
  publicClient({
    client_id: OWN_CLIENT_ID,
    client_name: 'your app',
    redirect_uris: apps.map((app) => `${app}/callback`),
    post_logout_redirect_uris: apps.map((app) => `${app}/`),
  })
