/**
 * Compares strongroom with libraries for the same tasks. Each library runs in its own browser, with the same page,
 * provider and API. Plain `fetch` with a token from the bench shows the optimum.
 */
import { readFile } from 'node:fs/promises'
import { ENDPOINTS } from '../tests/support/provider.mjs'
import { startProxy } from '../tests/support/proxy.mjs'
import { startServers } from '../tests/support/servers.mjs'
import { startChromium } from './chromium.mjs'
import { startCollector } from './collector.mjs'
import { bundle, coreModule, define } from './site.mjs'
import { percentile, spread } from './stats.mjs'
import { megabytesPerSecond, milliseconds } from './table.mjs'
import { Visits } from './visits.mjs'

const MB = 1024 * 1024
const ROUNDS = 3
const MEASURE = { warmUp: 50, pairs: 200, requests: 64, bursts: 15, size: 16 * MB, bodies: 10 }
const STORM = { tabs: 8, calls: 50 }
const LONG_LIVED = 900
const SHORT_LIVED = 5

const NAMES = {
  strongroom: 'strongroom',
  axa: '@axa-fr/oidc-client, service worker',
  auth0: 'auth0-spa-js, worker mode',
  plain: 'plain fetch',
}

const NOTES = [
  `Each in its own browser, ${ROUNDS} rounds in turns: the median of the rounds, the lowest and the highest. The storm: once.`,
  'Each has returned from the provider by redirect. With `extendedLifetime` strongroom’s worker has stayed where it was started, which may be another process than the page’s: compare with "second tab" above.',
  'auth0-spa-js keeps refresh tokens in its worker; access tokens are in the page, which calls the API itself. Each tab has its own session: another tab needs its own login, so it cannot take part in a storm.',
]

/** The paths that auth0-spa-js expects, each with the provider's own path. */
export const AUTH0_PATHS = { '/authorize': '/auth', '/oauth/token': '/token' }

export async function measurePeers(progress) {
  const bench = await startPeersSite()
  try {
    const seen = {}
    for (const name of Object.keys(NAMES)) seen[name] = []
    let version
    for (let round = 1; round <= ROUNDS; round++) {
      for (const name of Object.keys(NAMES)) {
        progress(`${NAMES[name]}, round ${round} of ${ROUNDS}`)
        seen[name].push(await withBrowser((chromium) => measureOnce(bench, chromium, name)))
      }
    }
    const storms = {}
    for (const name of ['strongroom', 'axa']) {
      progress(`${STORM.tabs} tabs × ${STORM.calls} calls on an expired token, ${NAMES[name]}`)
      storms[name] = await withBrowser(async (chromium) => {
        version = chromium.version
        return storm(bench, chromium, name)
      })
    }
    return { head: ['', ...Object.values(NAMES)], rows: rowsOf(seen, storms), notes: NOTES, version }
  } finally {
    await bench.close()
  }
}

async function withBrowser(act) {
  const chromium = await startChromium()
  try {
    return await act(chromium)
  } finally {
    await chromium.close()
  }
}

function measureOnce({ servers }, chromium, contender) {
  servers.provider.settings.accessTokenSeconds = LONG_LIVED
  const visits = new Visits(servers, chromium, 'peer')
  return visits.signIn({ contender, what: 'measure', ...MEASURE })
}

/** Resolves with a text: the numbers of refreshes and of successful calls, or a note that the measurement failed. */
async function storm({ servers }, chromium, contender) {
  servers.provider.settings.accessTokenSeconds = SHORT_LIVED
  const visits = new Visits(servers, chromium, 'peer')
  const parameters = { contender, what: 'storm', ...STORM }
  const opened = visits.opensWhenReady(STORM.tabs - 1, parameters)
  const before = servers.ledger.refreshes().length
  const outcome = await visits.signIn(parameters).catch((error) => ({ error }))
  await opened
  if (outcome.error) return `failed: ${String(outcome.error.message).split('\n')[0]}`
  const refreshes = servers.ledger.refreshes().length - before
  const ended = servers.ledger.familyRevoked() ? ', session ended by the provider' : ''
  return `${refreshes} ${refreshes === 1 ? 'refresh' : 'refreshes'}, ${outcome.succeeded} of ${STORM.tabs * STORM.calls} calls${ended}`
}

function rowsOf(seen, storms) {
  const each = (cell) => Object.keys(NAMES).map((name) => cell(seen[name], name))
  const over = (rounds, value) => spread(rounds.map(value))
  return [
    [
      'small request, p50',
      ...each((rounds) => milliseconds(over(rounds, ({ small }) => percentile(small, 50)))),
    ],
    [
      'small request, p95',
      ...each((rounds) => milliseconds(over(rounds, ({ small }) => percentile(small, 95)))),
    ],
    [
      `${MEASURE.requests} at once, until the last response`,
      ...each((rounds) => milliseconds(over(rounds, ({ parallel }) => percentile(parallel, 50)))),
    ],
    [
      '16 MB',
      ...each((rounds) => megabytesPerSecond(over(rounds, ({ large }) => 16000 / percentile(large, 50)))),
    ],
    [
      `${STORM.tabs} tabs × ${STORM.calls} calls, expired token`,
      ...each((_, name) => storms[name] ?? (name === 'auth0' ? 'one session for each tab' : '')),
    ],
  ]
}

async function startPeersSite() {
  const proxy = await startProxy((path) => ENDPOINTS[path] ?? 'other', AUTH0_PATHS)
  const started = await startServers({
    site: { workers: ['/auth.worker.js', '/OidcServiceWorker.js'] },
    // auth0-spa-js requires an issuer that ends in a slash, and RS256.
    provider: { publicOrigin: `${proxy.origin}/`, algorithms: ['RS256', 'ES256'] },
    client: { id_token_signed_response_alg: 'RS256' },
  })
  const { site, api, ledger, provider } = started
  proxy.forwardTo(provider.origin)
  const collector = await startCollector({
    origin: site.origin,
    token: () => ledger.newest('access_token').value,
    expired: () => ledger.accessTokenExpired(),
  })
  const servers = { ...started, collector }
  const everybody = `${api.origin} ${proxy.origin} ${new URL(collector.url).origin}`
  site.connectSrc.push(proxy.origin, new URL(collector.url).origin)
  // This policy also allows the libraries' own scripts and workers.
  site.pageCsp = `default-src 'self'; connect-src 'self' ${everybody}; worker-src 'self' blob:; script-src 'self' blob:; img-src data:`
  site.routes['/callback'] = '/peer.html'
  site.serviceWorkers.push('/OidcServiceWorker.js')
  const path = new URL(
    '../node_modules/@axa-fr/oidc-client-service-worker/dist/OidcServiceWorker.js',
    import.meta.url,
  )
  const domains = { default: { oidcDomains: [proxy.origin], accessTokenDomains: [api.origin] } }
  Object.assign(
    site.files,
    await bundle(['peer'], ['auth.worker'], define({ servers: started, collector })),
    await coreModule(),
    {
      '/OidcServiceWorker.js': await readFile(path),
      '/OidcTrustedDomains.js': `const trustedDomains = ${JSON.stringify(domains)}`,
    },
  )
  return {
    servers,
    async close() {
      await proxy.close()
      await Promise.all([started.close(), collector.close()])
    },
  }
}
