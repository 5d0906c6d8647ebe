import { startEdgeSite } from '../tests/support/edge/site.mjs'
import { freePort } from '../tests/support/listen.mjs'
import { startServers } from '../tests/support/servers.mjs'
import { pageCsp, startSite } from '../tests/support/site.mjs'
import { buildSite, COMPARISON_ID } from './build.mjs'
import { buildExits } from './exits/build.mjs'
import { startExits } from './exits/start.mjs'
import { buildTheft } from './theft/build.mjs'
import { startTheft } from './theft/start.mjs'

/**
 * An addition to the page's Content-Security-Policy: only the page's own Trusted Types policy may turn strings into
 * script URLs.
 */
const TRUSTED_TYPES = `; require-trusted-types-for 'script'; trusted-types auth-worker`

/** The path of the token handler's endpoints. */
const HANDLER = '/auth'

/**
 * Starts the whole demo: provider, API, the site with its files, and two other origins: the comparison, an app with its
 * token in localStorage, and the exits, an app whose script sends data to another server. With `vaultOrigin` the vault has
 * its own origin, and the site has no worker. With `edge` a token handler in Cloudflare's runtime replaces the vault. With
 * `theft`, options of `startTheft()`, there is also the app whose cookies are copied, on another origin.
 *
 * @param {Parameters<typeof startServers>[0] & { edge?: boolean, theft?: Parameters<typeof startTheft>[0] }} [options]
 */
export async function startDemo({ edge = false, theft: stolen, provider, ...options } = {}) {
  const { ports = {}, orNext } = options
  const ends = []
  const close = async () => void (await Promise.all(ends.map((end) => end())))
  const started = (server) => {
    ends.push(() => server.close())
    return server
  }
  try {
    const comparison = started(await startComparison({ port: ports.comparison, orNext }))
    const exits = started(await startExits({ port: ports.exits, orNext }))
    const theft = stolen && started(await startTheft({ port: ports.theft, orNext, ...stolen }))
    const client = {
      client_id: COMPARISON_ID,
      client_name: 'the comparison',
      redirect_uris: [`${comparison.origin}/callback`],
    }
    const trusted = { [COMPARISON_ID]: { accessTokenSeconds: 3600 }, ...theft?.trusted }
    const servers = started(
      await (edge ? startEdgeDemo : startVaultDemo)({
        ...options,
        clients: theft ? [client, theft.client] : [client],
        provider: { trusted, ...provider },
      }),
    )
    const demo = { ...servers, comparison, exits, theft, close }
    await fill(demo, edge)
    return demo
  } catch (error) {
    await close()
    throw error
  }
}

async function startComparison(options) {
  const page = '/local-storage.html'
  const site = await startSite({ ...options, workers: [], routes: { '/': page, '/callback': page } })
  // The callback sends the code to the page that opened it, which the usual header could prevent.
  site.headers[page] = { 'Cross-Origin-Opener-Policy': null }
  return site
}

function startVaultDemo(options) {
  const workers = options.vaultOrigin ? { site: { workers: [] } } : {}
  return startServers({ ...workers, ...options })
}

/** Starts the demo with a token handler, which serves the page on its own origin. */
async function startEdgeDemo({ ports = {}, orNext, clients, provider }) {
  // Cloudflare's runtime does not search for a free port itself.
  const site = ports.site && (await freePort({ port: ports.site, orNext: true }))
  return startEdgeSite('workerd', { ports: { ...ports, site }, orNext, clients, provider })
}

/** Builds the files of the servers, and completes the policies. */
async function fill({ site, vault, comparison, exits, theft, provider, api }, edge) {
  const { issuer } = provider
  const frames = [comparison.origin, ...(vault ? [vault.origin] : [])]
  site.pageCsp += `${TRUSTED_TYPES}; frame-src ${frames.join(' ')}`
  const policy = pageCsp(comparison.origin, []).replace(/(?<=frame-ancestors )'none'/, site.origin)
  comparison.pageCsp = `${policy}${TRUSTED_TYPES}; connect-src ${issuer} ${api.origin}`
  const own = edge ? { handler: HANDLER } : { app: site.origin, vault: vault?.origin }
  const files = await buildSite({
    issuer,
    api: api.url,
    comparison: comparison.origin,
    exits: exits.origin,
    theft: theft?.origin,
    ...own,
  })
  Object.assign(site.files, files.site)
  Object.assign(comparison.files, files.comparison)
  if (vault) Object.assign(vault.files, files.vault)
  Object.assign(exits.files, await buildExits({ demo: site.origin }))
  if (!theft) return
  Object.assign(theft.site.files, await buildTheft({ api: api.url, demo: site.origin }))
  await theft.start({ issuer, api: api.url })
}
