import { startServers } from '../tests/support/servers.mjs'
import { buildSite } from './build.mjs'

/** Added to the page's policy: only this page's own Trusted Types policy makes scripts out of strings. */
const TRUSTED_TYPES = `; require-trusted-types-for 'script'; trusted-types auth-worker`

/**
 * Starts the whole demo: provider, API and the site with its files. With `vaultOrigin` the vault has an origin of its
 * own, and the site no worker.
 *
 * @param {Parameters<typeof startServers>[0]} [options]
 */
export async function startDemo(options = {}) {
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
