import { startServers } from '../tests/support/servers.mjs'
import { buildSite } from './build.mjs'

/** Added to the page's policy: only this page's own Trusted Types policy makes scripts out of strings. */
const TRUSTED_TYPES = `; require-trusted-types-for 'script'; trusted-types auth-worker`

/**
 * Starts the whole demo: provider, API and the site with its files.
 *
 * @param {Parameters<typeof startServers>[0]} [options]
 */
export async function startDemo(options = {}) {
  const servers = await startServers(options)
  const { site, provider, api } = servers
  site.pageCsp += TRUSTED_TYPES
  Object.assign(site.files, await buildSite({ issuer: provider.issuer, api: api.url }))
  return servers
}
