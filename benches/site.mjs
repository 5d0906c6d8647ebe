/** Starts the site with the measured pages, the provider and the API, all on loopback. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { startApi } from '../tests/support/api.mjs'
import { AUDIENCE, startServers } from '../tests/support/servers.mjs'
import { startCollector } from './collector.mjs'

const PAGES = ['tab', 'crowd', 'start', 'login', 'messages', 'stream', 'proofs']

const WORKERS = ['auth.worker', 'sealed.worker', 'dpop.worker']

/** The path whose bodies are not searched for the token. */
const UNSEARCHED = 'bytes/unsearched/'

const html = (name) => `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>${name}</title>
  <link rel="icon" href="data:,">
  <script type="module" src="/${name}.js"></script>
</html>
`

/**
 * Cross-origin isolation gives a page a clock with a resolution of 5 µs instead of 100 µs, and a process that the page
 * shares with no worker. Isolation is therefore used only for a tab whose worker is in another process in any case.
 */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export async function startBenchSite() {
  const servers = await startServers({
    site: { workers: WORKERS.map((name) => `/${name}.js`) },
    provider: { dpop: true },
  })
  const { site, api, provider, ledger } = servers
  const proven = await startApi({
    issuer: provider.issuer,
    audience: AUDIENCE,
    allowedOrigins: [site.origin],
    dpop: true,
  })
  site.connectSrc.push(proven.origin)
  const token = () => ledger.newest('access_token').value
  const collector = await startCollector({ origin: site.origin, token })
  // The policy of production pages, except that measured pages may also call the API and the bench by plain `fetch`.
  site.pageCsp = site.pageCsp.concat(`; connect-src ${api.origin} ${new URL(collector.url).origin}`)
  site.routes['/callback'] = '/login.html'
  const defined = { ...define({ servers, collector }), PROVEN_API: JSON.stringify(proven.url) }
  Object.assign(site.files, await bundle(PAGES, WORKERS, defined), await coreModule())
  site.override('/tab.html', { headers: ISOLATION })
  return {
    ...servers,
    collector,
    settings: provider.settings,
    token,
    async close() {
      await Promise.all([servers.close(), proven.close(), collector.close()])
    },
  }
}

/** Returns the values by which the bundler replaces constants in pages and workers. */
export function define({ servers: { api, provider, clientId }, collector }) {
  const config = {
    issuer: provider.issuer,
    clientId,
    redirectUri: '/callback',
    scope: 'openid profile email offline_access orders',
    consent: 'always',
    apis: [
      { url: `${api.url}${UNSEARCHED}`, reflection: 'headers' },
      { url: api.url, methods: ['GET', 'HEAD', 'PUT'] },
    ],
  }
  return {
    CONFIG: JSON.stringify(config),
    API: JSON.stringify(api.url),
    UNSEARCHED: JSON.stringify(UNSEARCHED),
    BENCH: JSON.stringify(collector.url),
  }
}

/** Bundles and minifies pages and workers, as the build of an app would. */
export async function bundle(pages, workers, defined) {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    entryPoints: [...pages, ...workers].map((name) => `pages/${name}.js`),
    outdir: 'out',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: 'es2022',
    define: defined,
    logLevel: 'warning',
  })
  return {
    ...Object.fromEntries(pages.map((name) => [`/${name}.html`, html(name)])),
    ...Object.fromEntries(outputFiles.map(({ path, contents }) => [`/${path.split('/').at(-1)}`, contents])),
  }
}

/** Resolves with the core's module, by the path from which the worker loads it. */
export async function coreModule() {
  const name = 'strongroom_bg.wasm'
  return { [`/${name}`]: await readFile(new URL(`../pkg/dist/${name}`, import.meta.url)) }
}
