import { startEdgeSite } from '../tests/support/edge/site.mjs'
import { freePort } from '../tests/support/listen.mjs'
import { startServers } from '../tests/support/servers.mjs'
import { buildSite } from './build.mjs'

/**
 * An addition to the page's Content-Security-Policy: only the page's own Trusted Types policy may turn strings into
 * script URLs.
 */
const TRUSTED_TYPES = `; require-trusted-types-for 'script'; trusted-types auth-worker`

/** The path of the token handler's endpoints. */
const HANDLER = '/auth'

/**
 * Starts the whole demo: provider, API and the site with its files. With `vaultOrigin` the vault has its own origin,
 * and the site has no worker. With `edge` a token handler in Cloudflare's runtime replaces the vault.
 *
 * @param {Parameters<typeof startServers>[0] & { edge?: boolean }} [options]
 */
export async function startDemo({ edge = false, ...options } = {}) {
  if (edge) return startEdgeDemo(options)
  const workers = options.vaultOrigin ? { site: { workers: [] } } : {}
  const servers = await startServers({ ...workers, ...options })
  const { site, vault, provider, api } = servers
  site.pageCsp += TRUSTED_TYPES
  if (vault) site.pageCsp += `; frame-src ${vault.origin}`
  const addresses = { issuer: provider.issuer, api: api.url, app: site.origin, vault: vault?.origin }
  const files = await buildSite(addresses)
  Object.assign(site.files, files.site)
  if (vault) Object.assign(vault.files, files.vault)
  return servers
}

/** Starts the demo with a token handler, which serves the page on its own origin. */
async function startEdgeDemo({ ports = {}, orNext, provider }) {
  // Cloudflare's runtime does not search for a free port itself.
  const site = ports.site && (await freePort({ port: ports.site, orNext: true }))
  const servers = await startEdgeSite('workerd', { ports: { ...ports, site }, orNext, provider })
  servers.site.pageCsp += TRUSTED_TYPES
  const addresses = { issuer: servers.provider.issuer, api: servers.api.url, handler: HANDLER }
  const files = await buildSite(addresses)
  Object.assign(servers.site.files, files.site)
  return servers
}
