/**
 * Measures the first visit of an app, and a second one, on a slow link: until a login can navigate to the provider, and
 * until an app with a stored session gets its first response from the API. Each contender is a production build by Vite.
 */
import { brotliCompressSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { viteHeaders } from '../pkg/dist/headers.js'
import { startApi } from '../tests/support/api.mjs'
import { listen } from '../tests/support/listen.mjs'
import { ENDPOINTS, publicClient, startProvider } from '../tests/support/provider.mjs'
import { startProxy } from '../tests/support/proxy.mjs'
import { AUDIENCE } from '../tests/support/servers.mjs'
import { TYPES } from '../tests/support/site.mjs'
import { startChromium } from './chromium.mjs'
import { startCollector } from './collector.mjs'
import { startLink } from './link.mjs'
import { AUTH0_PATHS } from './peers.mjs'
import { ratios, spread } from './stats.mjs'
import { milliseconds } from './table.mjs'
import { giveCredentials } from './visits.mjs'

const ROUNDS = 5
const CLIENT = 'first-visit'
const LINKS = {
  '9 Mbit/s, 60 ms': { megabits: 9, roundTrip: 60 },
  '1.6 Mbit/s, 150 ms': { megabits: 1.6, roundTrip: 150 },
}
const NAMES = {
  hinted: 'strongroom with a hint',
  strongroom: 'strongroom',
  auth0: 'auth0-spa-js',
  'oidc-client-ts': 'oidc-client-ts',
}
const CONTENDERS = Object.keys(NAMES)
/** The pages that are built. The first contender is the same page as the second, with the hint that Vite writes. */
const PAGES = CONTENDERS.slice(1)

/** What is measured, in order, by the same browser: the label of the row, and the page's task. */
const MEASURES = {
  cold: 'cold cache, until login() can navigate',
  warm: 'warm cache, until login() can navigate',
  stored: 'warm cache, until the first response of a stored session',
}

const NOTES = [
  'Milliseconds since the navigation began: the median of the rounds, the lowest and the highest. The hint is that of docs/headers.md. The ratio is that of strongroom with it to auth0-spa-js. HTTP/1.1 without TLS, brotli, files with a hash in their name cached for a year.',
  'oidc-client-ts requests the provider’s metadata before a login, and strongroom does it if they are not in the configuration. auth0-spa-js knows its provider’s addresses. strongroom stores the session encrypted, and the others in localStorage.',
]

export async function measureFirstVisits(progress) {
  const rows = []
  let version
  for (const [name, link] of Object.entries(LINKS)) {
    const bench = await startFirstVisits(link)
    try {
      const seen = Object.fromEntries(CONTENDERS.map((contender) => [contender, []]))
      for (let round = 1; round <= ROUNDS; round++) {
        progress(`first visit, ${name}, round ${round} of ${ROUNDS}`)
        for (const contender of CONTENDERS) {
          const chromium = await startChromium()
          version = chromium.version
          try {
            seen[contender].push(await visits(bench, chromium, contender))
          } finally {
            await chromium.close()
          }
        }
      }
      for (const [measure, label] of Object.entries(MEASURES)) {
        const of = (contender) => seen[contender].map((round) => round[measure])
        const { median } = ratios(of('hinted'), of('auth0'))
        const cells = CONTENDERS.map((contender) => milliseconds(spread(of(contender))))
        rows.push([`${name}, ${label}`, ...cells, `${median.toFixed(2)}x`])
      }
    } finally {
      await bench.close()
    }
  }
  return { head: ['', ...Object.values(NAMES), 'ratio'], rows, notes: NOTES, version }
}

/** Measures everything once, in a new browser. */
async function visits(bench, chromium, contender) {
  const open = async (what) => {
    const id = bench.nextId()
    const result = bench.collector.result(id)
    const close = await chromium.open(
      `${bench.origin}/${contender}.html?${new URLSearchParams({ id, what })}`,
    )
    const value = await result
    await close()
    return value
  }
  const cold = await open('ready')
  const warm = await open('ready')
  await signIn(bench, chromium, contender)
  return { cold, warm, stored: await open('call') }
}

/** Signs in, and closes the tab, so that a worker ends and only a stored session is left. */
async function signIn(bench, chromium, contender) {
  const id = bench.nextId()
  const result = bench.collector.result(id)
  await chromium.drive(async (page) => {
    await page.goto(`${bench.origin}/${contender}.html?${new URLSearchParams({ id, what: 'signIn' })}`)
    await page.locator('#username').waitFor()
    await giveCredentials(page)
    await page.locator('button[value=allow]').click()
    const status = await result
    if (status !== 200) throw new Error(`${contender}: the API responded with ${status}`)
    await page.close()
  })
}

async function startFirstVisits({ megabits, roundTrip }) {
  const link = startLink({ megabits, roundTrip })
  const [home, id, api] = [await link.open('localhost'), await link.open(), await link.open()]
  // auth0-spa-js requires an issuer that ends in a slash, RS256, and paths of its own.
  const proxy = await startProxy((path) => ENDPOINTS[path] ?? 'other', AUTH0_PATHS)
  const provider = await startProvider({
    publicOrigin: `${id.origin}/`,
    audience: AUDIENCE,
    allowedOrigins: [home.origin],
    accessTokenSeconds: 900,
    algorithms: ['RS256', 'ES256'],
    clients: [
      publicClient({
        client_id: CLIENT,
        client_name: 'the benchmark',
        redirect_uris: PAGES.map((name) => `${home.origin}/callback/${name}`),
        id_token_signed_response_alg: 'RS256',
      }),
    ],
  })
  id.forwardTo(proxy.origin)
  proxy.forwardTo(provider.origin)
  const orders = await startApi({
    issuer: `${id.origin}/`,
    provider: `http://127.0.0.1:${provider.port}`,
    publicOrigin: api.origin,
    audience: AUDIENCE,
    allowedOrigins: [home.origin],
  })
  api.forwardTo(orders.address)
  const collector = await startCollector({ origin: home.origin })
  const files = await bundle({
    ISSUER: `${id.origin}/`,
    API: orders.url,
    CLIENT,
    SCOPE: 'openid profile email offline_access orders',
    BENCH: collector.url,
  })
  const site = await serve(files)
  home.forwardTo(site.origin)
  let last = 0
  return {
    origin: home.origin,
    collector,
    nextId: () => String(++last),
    async close() {
      link.close()
      await Promise.all([site, orders, collector, provider, proxy].map((server) => server.close()))
    },
  }
}

/** Builds all pages. Resolves with the files by path. */
async function bundle(variables) {
  const pages = await buildPages(PAGES, variables)
  const config = { issuer: variables.ISSUER, apis: [] }
  const hint = viteHeaders(config, { worker: '/assets/', prefetch: true })
  const hinted = await buildPages(['strongroom'], variables, [hint])
  const page = hinted.get('/strongroom.html')
  return new Map([...hinted, ...pages, ['/hinted.html', page]])
}

async function buildPages(names, variables, plugins = []) {
  const root = fileURLToPath(new URL('first-visit', import.meta.url))
  const { output } = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins,
    define: Object.fromEntries(
      Object.entries(variables).map(([name, value]) => [
        `import.meta.env.VITE_${name}`,
        JSON.stringify(value),
      ]),
    ),
    worker: { format: 'es' },
    build: {
      write: false,
      rolldownOptions: { input: names.map((name) => `${root}/${name}.html`) },
    },
  })
  return new Map(output.map((file) => [`/${file.fileName}`, Buffer.from(file.code ?? file.source)]))
}

/** Serves the files compressed. Files with a hash in their name may be cached for a year. */
function serve(files) {
  const compressed = new Map([...files].map(([path, bytes]) => [path, brotliCompressSync(bytes)]))
  return listen({
    handler(request, response) {
      const [path] = request.url.split('?')
      const [, contender] = /^\/callback\/([\w-]+)$/.exec(path) ?? []
      const file = contender ? `/${contender}.html` : path
      const body = compressed.get(file)
      if (!body) return response.writeHead(404).end()
      response.writeHead(200, {
        'Content-Type': TYPES[/\.\w+$/.exec(file)[0]],
        'Content-Encoding': 'br',
        'Content-Length': body.length,
        'Cache-Control': file.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      })
      response.end(body)
    },
  })
}
