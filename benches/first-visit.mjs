/**
 * Measures the first visit of an app, and a second one, on a slow link: until a login can navigate to the provider, and
 * until an app with a stored session gets its first response from the API.
 */
import { startChromium } from './chromium.mjs'
import { CONTENDERS, LINKS, startSlowSite } from './slow-site.mjs'
import { ratios, spread } from './stats.mjs'
import { milliseconds } from './table.mjs'

const ROUNDS = 5
/** The contenders with a column of their own. */
const COLUMNS = Object.keys(CONTENDERS).filter((contender) => CONTENDERS[contender].name)
const [FIRST] = COLUMNS

/** The rows, in order: the label, and the measure. `instead` is the contender in the first column, alone with the peers. */
const ROWS = [
  { label: 'first visit, until login() can navigate', measure: 'cold' },
  { label: 'first visit, without PAR', measure: 'cold', instead: 'unpushed' },
  { label: 'second visit, until login() can navigate', measure: 'warm' },
  { label: 'second visit, without PAR', measure: 'warm', instead: 'unpushed' },
  { label: 'second visit, some time later', measure: 'warmLater' },
  { label: 'second visit, fixed worker name', measure: 'warm', instead: 'fixed' },
  { label: 'stored session, until the first response', measure: 'stored' },
  { label: 'stored session, some time later', measure: 'storedLater' },
  { label: 'stored session, fixed worker name', measure: 'stored', instead: 'fixed' },
  { label: 'stored session, API on the app’s origin', measure: 'ownApi' },
]

const NOTES = [
  'Milliseconds since the navigation began: the median of the rounds, the lowest and the highest. The hint is that of docs/headers.md. The ratio is that of the first column to auth0-spa-js. HTTP/1.1 without TLS, brotli, files with a hash in their name cached for a year. Browsers ask each time if the worker’s file with a fixed name has changed (`no-cache` and `ETag`). Connections stay open, and the peers use a stored preflight; some time later, all connections are new, and preflights have expired.',
  'oidc-client-ts requests the provider’s metadata before a login, and strongroom does it if they are not in the configuration. strongroom also pushes the login to the provider, which supports PAR: a round trip, which it does not take with a provider without PAR. The peers do not push. auth0-spa-js knows its provider’s addresses. strongroom stores the session encrypted, and the others in localStorage.',
]

export async function measureFirstVisits(progress, { rounds = ROUNDS } = {}) {
  const rows = []
  let version
  for (const [name, speed] of Object.entries(LINKS)) {
    progress(`builds for ${name}`)
    const site = await startSlowSite(speed)
    try {
      const seen = Object.fromEntries(Object.keys(CONTENDERS).map((contender) => [contender, []]))
      for (let round = 1; round <= rounds; round++) {
        progress(`visits, ${name}, round ${round} of ${rounds}`)
        for (const contender of Object.keys(CONTENDERS)) {
          const chromium = await startChromium()
          version = chromium.version
          try {
            seen[contender].push(await visits(site, chromium, contender))
          } finally {
            await chromium.close()
          }
        }
      }
      rows.push(...ROWS.map((row) => cellsOf(name, row, seen)))
    } finally {
      await site.close()
    }
  }
  const names = COLUMNS.map((contender) => CONTENDERS[contender].name)
  return { head: ['', ...names, 'ratio'], rows, notes: NOTES, version }
}

function cellsOf(link, { label, measure, instead }, seen) {
  const of = (contender) => seen[contender].map((round) => round[measure])
  const cells = COLUMNS.map((column) => {
    if (instead && column === FIRST) return milliseconds(spread(of(instead)))
    return instead && CONTENDERS[column].page === 'strongroom' ? '' : milliseconds(spread(of(column)))
  })
  const { median } = ratios(of(instead ?? FIRST), of('auth0'))
  return [`${link}, ${label}`, ...cells, `${median.toFixed(2)}x`]
}

/** Measures everything once, in a new browser. */
async function visits(site, chromium, contender) {
  const visit = (what) => site.visit(chromium, contender, { what })
  /** Visits some time later, when the servers have closed all connections, and preflights have expired. */
  const visitLater = (what) => {
    site.link.disconnect()
    return site.visit(chromium, contender, { what, later: 1 })
  }
  await site.settle(chromium)
  const cold = await visit('ready')
  const warm = await visit('ready')
  const warmLater = await visitLater('ready')
  await site.signIn(chromium, contender)
  const stored = await visit('call')
  const ownApi = await visit('callOwn')
  return { cold, warm, warmLater, stored, ownApi, storedLater: await visitLater('call') }
}
