/**
 * An app on a slow link, with a provider and an API. Each contender is a page of its own, built by Vite for production.
 */
import { createHash } from 'node:crypto'
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
import { startCollector } from './collector.mjs'
import { startLink } from './link.mjs'
import { AUTH0_PATHS } from './peers.mjs'
import { consentOf } from './visits.mjs'

export const LINKS = {
  '9 Mbit/s, 60 ms': { megabits: 9, roundTrip: 60 },
  '1.6 Mbit/s, 150 ms': { megabits: 1.6, roundTrip: 150 },
}

/**
 * `page` is a file in benches/first-visit. `hint`: the page has the hint that Vite writes. `pin`: the configuration has
 * the provider's metadata as they were at build time. A contender without a name is a variant of a
 * named one, and has no column of its own. `fixed`: the name of the worker's file has no hash. `par`: see docs/options.md.
 */
export const CONTENDERS = {
  pinned: { name: 'strongroom with hint and pin', page: 'strongroom', hint: true, pin: true },
  hinted: { name: 'strongroom with hint', page: 'strongroom', hint: true },
  strongroom: { name: 'strongroom', page: 'strongroom' },
  auth0: { name: 'auth0-spa-js', page: 'auth0' },
  'oidc-client-ts': { name: 'oidc-client-ts', page: 'oidc-client-ts' },
  fixed: { page: 'strongroom', hint: true, pin: true, fixed: true },
  fixedPlain: { page: 'strongroom', fixed: true },
  unpushed: { page: 'strongroom', hint: true, pin: true, par: false },
}

const CLIENT = 'first-visit'
/** The path of the API on the app's own origin. */
const OWN_API = '/v1/'

/**
 * @param {{ megabits: number, roundTrip: number }} speed
 * @param {{ contenders?: string[], plugins?: () => object[] }} [options] `plugins` returns more plugins for the builds.
 */
export async function startSlowSite(
  speed,
  { contenders = Object.keys(CONTENDERS), plugins = () => [] } = {},
) {
  const link = startLink(speed)
  const [home, id, api] = [await link.open('localhost'), await link.open(), await link.open()]
  // auth0-spa-js requires an issuer that ends in a slash, RS256, and paths of its own.
  const proxy = await startProxy((path) => ENDPOINTS[AUTH0_PATHS[path] ?? path] ?? 'other', AUTH0_PATHS)
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
        redirect_uris: contenders.map((name) => `${home.origin}/callback/${name}`),
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
  const collector = await startCollector({
    origin: home.origin,
    expired: () => provider.ledger.accessTokenExpired(),
  })
  const variables = {
    ISSUER: `${id.origin}/`,
    API: orders.url,
    OWN_API,
    CLIENT,
    SCOPE: 'openid profile email offline_access orders',
    BENCH: collector.url,
  }
  const metadata = await (await fetch(`${id.origin}/.well-known/openid-configuration`)).json()
  const pinned = { at: new Date().toISOString().slice(0, 10), ...metadata }
  const files = new Map()
  for (const name of contenders) {
    for (const [path, bytes] of await bundle(name, variables, pinned, plugins)) files.set(path, bytes)
  }
  const site = await serve(files, orders.address)
  home.forwardTo(site.origin)
  let last = 0
  /** Opens a contender's page. Resolves with the report of the page, and with a function that closes the page's tab. */
  async function open(chromium, contender, parameters) {
    const id = String(++last)
    const result = collector.result(id)
    const query = new URLSearchParams({ id, ...parameters })
    const close = await chromium.open(`${home.origin}/${contender}.html?${query}`)
    const value = await result.catch(async (error) => {
      await close()
      throw error
    })
    return { value, close }
  }
  return {
    link,
    provider,
    proxy,
    open,
    /** Loads a page of another server. The browser's own start then does not count as a part of the first visit. */
    settle: (chromium) =>
      chromium.drive(async (page) => {
        await page.goto(collector.url)
        await page.close()
      }),
    /** Opens a page, and closes its tab after the report, so that the page's worker ends. */
    async visit(chromium, contender, parameters) {
      const { value, close } = await open(chromium, contender, parameters)
      await close()
      return value
    },
    /** Ends an earlier session, signs in, and closes the tab, so that only a stored session is left. */
    async signIn(chromium, contender) {
      const id = String(++last)
      const result = collector.result(id)
      await chromium.drive(async (page) => {
        const devtools = await page.context().newCDPSession(page)
        const storageTypes = 'local_storage,indexeddb'
        await devtools.send('Storage.clearDataForOrigin', { origin: home.origin, storageTypes })
        const query = new URLSearchParams({ id, what: 'signIn' })
        await page.goto(`${home.origin}/${contender}.html?${query}`)
        const signedIn = async () => {
          const consent = await consentOf(page)
          await consent.click()
          await result
        }
        // A page that fails reports its error, and waits for nothing.
        await Promise.race([signedIn(), result])
        await page.close()
      })
    },
    async close() {
      link.close()
      await Promise.all([site, orders, collector, provider, proxy].map((server) => server.close()))
    },
  }
}

/** Builds the page of a contender. Resolves with its files by path. */
async function bundle(contender, variables, metadata, plugins) {
  const { page, hint, pin, fixed, par } = CONTENDERS[contender]
  const root = fileURLToPath(new URL('first-visit', import.meta.url))
  const pinned = pin && metadata
  const { ISSUER: issuer, API: url } = variables
  const worker = fixed ? fixedWorker(contender) : '/assets/'
  const headers = () => viteHeaders({ issuer, apis: [{ url }], pinned, par }, { worker, prefetch: true })
  const { output } = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    plugins: [...plugins(), ...(hint ? [headers()] : [])],
    define: Object.fromEntries(
      Object.entries({ ...variables, NAME: contender, PINNED: pinned, PAR: par }).map(([name, value]) => [
        `import.meta.env.VITE_${name}`,
        JSON.stringify(value) ?? 'undefined',
      ]),
    ),
    worker: {
      format: 'es',
      plugins,
      ...(fixed && { rolldownOptions: { output: { entryFileNames: worker.slice(1) } } }),
    },
    build: { write: false, rolldownOptions: { input: `${root}/${page}.html` } },
  })
  return output.map(({ fileName, code, source }) => [
    fileName === `${page}.html` ? `/${contender}.html` : `/${fileName}`,
    Buffer.from(code ?? source),
  ])
}

const fixedWorker = (contender) => `/assets/auth.worker.${contender}.js`

/** The names of files that may be cached for a year, because they contain a hash. */
const HASHED = /^\/assets\/.*-[\w-]{8}\.\w+$/

/**
 * The seconds for which a worker's file with a fixed name and a hint may be used without a request. docs/headers.md has
 * 10. A visit after this time still finds open connections, which the servers close after 5 seconds.
 */
export const FRESH = 3

/** Returns the value of `Cache-Control`. */
const cacheControl = (path) => {
  if (HASHED.test(path)) return 'public, max-age=31536000, immutable'
  const isHinted = ([contender, { hint }]) => hint && path === fixedWorker(contender)
  return Object.entries(CONTENDERS).some(isHinted) ? `max-age=${FRESH}` : 'no-cache'
}

/** Serves the files compressed. Requests for the app's own API are forwarded. */
function serve(files, api) {
  const prepared = new Map(
    [...files].map(([path, bytes]) => {
      const tag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
      return [path, { tag, body: brotliCompressSync(bytes) }]
    }),
  )
  return listen({
    async handler(request, response) {
      const { url, headers } = request
      if (url.startsWith(OWN_API)) {
        const { authorization } = headers
        const answer = await fetch(api + url, { headers: authorization ? { authorization } : {} })
        response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') })
        return response.end(Buffer.from(await answer.arrayBuffer()))
      }
      const [path] = url.split('?')
      const [, contender] = /^\/callback\/([\w-]+)$/.exec(path) ?? []
      const file = contender ? `/${contender}.html` : path
      const { tag, body } = prepared.get(file) ?? {}
      if (!body) return response.writeHead(404).end()
      const kept = { ETag: tag, 'Cache-Control': cacheControl(file) }
      if (headers['if-none-match'] === tag) return response.writeHead(304, kept).end()
      response.writeHead(200, {
        ...kept,
        'Content-Type': TYPES[/\.\w+$/.exec(file)[0]],
        'Content-Encoding': 'br',
        'Content-Length': body.length,
      })
      response.end(body)
    },
  })
}
