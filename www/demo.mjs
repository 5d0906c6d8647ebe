import { startServers } from '../tests/support/servers.mjs'
import { PAGE_CSP } from '../tests/support/site.mjs'
import { buildSite } from './build.mjs'

/** The page's policy, and: only this page's own Trusted Types policy makes scripts out of strings. */
const CSP = `${PAGE_CSP}; require-trusted-types-for 'script'; trusted-types auth-worker`

/**
 * Starts the whole demo: provider, API and the site with its files.
 *
 * @param {Parameters<typeof startServers>[0]} [options]
 */
export async function startDemo(options = {}) {
  const servers = await startServers({ ...options, site: { pageCsp: CSP, ...options.site } })
  const { site, provider, api } = servers
  Object.assign(site.files, await buildSite({ issuer: provider.issuer, api: api.url }))
  return servers
}
