import { startApi } from './api.mjs'
import { ENDPOINTS, publicClient, startProvider } from './provider.mjs'
import { startProxy } from './proxy.mjs'
import { startSite } from './site.mjs'
import { VAULT_HOSTS, vaultHeaders } from './vault_origin.mjs'

/** The API's identifier in access tokens (RFC 8707): a name, not a URL. */
export const AUDIENCE = 'urn:strongroom:demo:orders'

export const CLIENT_ID = 'strongroom-demo'

/** The client for apps other than the site. */
export const OWN_CLIENT_ID = 'my-app'

/**
 * The client for token handlers other than the demo's. The client's secret is public, because the client is only for
 * this machine.
 */
export const OWN_HANDLER = { id: 'my-handler', secret: 'a-secret-that-everybody-knows' }

/**
 * Starts the site, the provider and the API and makes them known to each other: the provider knows the site's redirect
 * URI, the provider and the API allow the site's origin (CORS), and the site's workers may connect to both servers. The
 * site has no files yet: add them to `site.files`.
 *
 * @param {object} [options]
 * @param {{ site?: number, provider?: number, api?: number, vault?: number }} [options.ports] Default: any free ports.
 * @param {boolean} [options.orNext] If a port is taken, try the next ports.
 * @param {string[]} [options.apps] Origins of other apps. The provider has a client for each, with the redirect URI
 * `/callback`, and the API allows these origins.
 * @param {string[]} [options.handlers] Origins of apps with a token handler. The provider has a confidential client for
 * each, with the redirect URI `/auth/callback`.
 * @param {boolean} [options.hasHandler] The site has a token handler, too, whose client is the one for `handlers`.
 * @param {object[]} [options.clients] Metadata of more public clients, by default with the site's redirect URI. Provider
 * and API allow their redirect URIs' origins.
 * @param {object} [options.provider] More options of `startProvider()`.
 * @param {object} [options.site] More options of `startSite()`.
 * @param {object} [options.client] More metadata of the client.
 * @param {object} [options.api] More options of `startApi()`.
 * @param {boolean} [options.vaultOrigin] The vault has its own origin, `vault`, whose pages have the headers of
 * docs/vault-origin.md. The redirect URI is on the vault's origin, and provider and API do not allow the site's origin.
 * @param {boolean} [options.proxied] Provider and API are behind proxies, `proxies.provider` and `proxies.api`. The
 * faults of the proxies let a test disturb the browser's requests. The API's own requests to the provider do not pass a
 * proxy.
 */
export async function startServers({
  ports = {},
  orNext = false,
  apps = [],
  handlers = [],
  hasHandler = false,
  clients = [],
  provider = {},
  site = {},
  client = {},
  api: apiOptions = {},
  vaultOrigin = false,
  proxied = false,
} = {}) {
  const proxies = proxied
    ? { provider: await startProxy((path) => ENDPOINTS[path] ?? 'other'), api: await startProxy(() => 'api') }
    : {}
  const host = vaultOrigin ? { host: VAULT_HOSTS.app } : {}
  const siteServer = await startSite({ port: ports.site, orNext, ...host, ...site })
  const vault = vaultOrigin ? await startVaultSite({ port: ports.vault, orNext }) : undefined
  const { origin } = siteServer
  const home = vault ?? siteServer
  const allowedOrigins = [home.origin, ...apps, ...originsOf(clients)]
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
        redirect_uris: [`${home.origin}/callback`, `${home.origin}/`],
        post_logout_redirect_uris: [`${origin}/`],
        ...client,
      }),
      ...(apps.length ? [ownClient(apps)] : []),
      ...(handlers.length || hasHandler ? [ownHandler(hasHandler ? [...handlers, origin] : handlers)] : []),
      ...clients.map((one) => publicClient({ redirect_uris: [`${home.origin}/callback`], ...one })),
    ],
    ...provider,
  })
  const { issuer } = providerServer
  const api = await startApi({
    port: ports.api,
    orNext,
    issuer,
    provider: `http://127.0.0.1:${providerServer.port}`,
    publicOrigin: proxies.api?.origin,
    audience: AUDIENCE,
    allowedOrigins,
    ...apiOptions,
  })
  proxies.provider?.forwardTo(providerServer.origin)
  proxies.api?.forwardTo(api.address)
  home.connectSrc.push(issuer, api.origin)
  if (vault) vault.headers = vaultHeaders({ app: origin, issuer, api: api.origin })
  return {
    site: siteServer,
    vault,
    provider: providerServer,
    api,
    proxies,
    ledger: providerServer.ledger,
    clientId: CLIENT_ID,
    async close() {
      await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
      await Promise.all([siteServer, vault, providerServer, api].map((server) => server?.close()))
    },
  }
}

/** Returns the origins of the redirect URIs of clients. */
export const originsOf = (clients) =>
  clients.flatMap(({ redirect_uris = [] }) => redirect_uris.map((uri) => new URL(uri).origin))

/** Starts the vault's origin: two pages, and the worker file. */
const startVaultSite = (options) =>
  startSite({ host: VAULT_HOSTS.vault, routes: { '/callback': '/callback.html' }, ...options })

const ownClient = (apps) =>
  publicClient({
    client_id: OWN_CLIENT_ID,
    client_name: 'your app',
    redirect_uris: apps.map((app) => `${app}/callback`),
    post_logout_redirect_uris: apps.map((app) => `${app}/`),
  })

const ownHandler = (apps) =>
  publicClient({
    client_id: OWN_HANDLER.id,
    client_name: 'your app',
    client_secret: OWN_HANDLER.secret,
    token_endpoint_auth_method: 'client_secret_basic',
    redirect_uris: apps.map((app) => `${app}/auth/callback`),
    post_logout_redirect_uris: apps.map((app) => `${app}/`),
  })
