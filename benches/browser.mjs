/**
 * Compares the vault, in a real browser, with plain `fetch` from the same page to the same API. Also measures proofs
 * (RFC 9449), the messages between page and vault, and the time until a page can use its vault.
 */
import { startChromium } from './chromium.mjs'
import { watchMemory } from './memory.mjs'
import { startBenchSite } from './site.mjs'
import { percentile, ratios, spread } from './stats.mjs'
import { megabytesPerSecond, milliseconds, speedRatio, timeRatio } from './table.mjs'
import { Visits } from './visits.mjs'

const MB = 1024 * 1024

const SMALL = { runs: 9, pairs: 60 }
const SIZES = [MB, 16 * MB]
const LARGE = { sizes: SIZES.join(' '), bodies: 15 }
const PARALLEL = { requests: 64, bursts: 15 }
const CROWD = { tabs: 8, calls: 50, runs: 3 }
const STREAMS = [MB, 1024 * MB]
const ROUNDS = 9
const TRIPS = 5

/**
 * Bounds of a small request. The vault keeps calls out of the HTTP cache, so it is compared with `fetch` that does the
 * same. The default mode of `fetch` can reuse a preflight for an address that it has requested before.
 */
const LIKE_WITH_LIKE = { gate: 1.15, aim: 1.1 }
const DEFAULT_MODE = { aim: 1.3 }

const NOTES = [
  'The one worker that serves all tabs runs in the process of the tab that started it ("only tab"); to any other tab bodies are copied from process to process ("second tab").',
  `JSON: ${SMALL.runs} runs of ${SMALL.pairs} pairs in turns, each request timed by itself; the only tab's clock ticks every 100 µs, the second's, cross-origin isolated, every 5 µs. Bodies: ${LARGE.bodies} pairs of each size in turns; ${PARALLEL.requests} at once: ${PARALLEL.bursts} pairs of bursts in turns, each timed until its last response.`,
]

/**
 * The lifetime of an access token in seconds for `crowd.js`. A token stays valid until all tabs have made their calls,
 * first through the vault and then by plain `fetch`.
 */
const SHORT_LIVED = 5
/**
 * The lifetime of an access token in seconds for all other measurements, so long that no refresh happens during a
 * measurement.
 */
const LONG_LIVED = 900

/** @returns {Promise<{ rows: import('./table.mjs').Row[], notes: string[], version: string }>} */
export async function measureBrowser(progress) {
  const servers = await startBenchSite()
  const chromium = await startChromium()
  try {
    const visits = new Visits(servers, chromium)
    const { rows, notes } = await measureAll({ servers, visits, progress })
    return { rows, notes, version: chromium.version }
  } finally {
    await chromium.close()
    await servers.close()
  }
}

async function measureAll(bench) {
  const { servers, visits, progress } = bench
  const comparisons = {
    measures: 'small uncached write empty parallel large guard',
    ...SMALL,
    ...LARGE,
    ...PARALLEL,
  }
  servers.settings.accessTokenSeconds = LONG_LIVED
  progress('requests and bodies, the only tab')
  const only = await visits.signIn({ vault: 'new', ...comparisons })
  servers.settings.accessTokenSeconds = SHORT_LIVED
  await visits.signIn({ vault: 'shared' })
  progress(`${CROWD.tabs} tabs × ${CROWD.calls} calls on an expired token`)
  const crowd = await crowdRows(bench)
  servers.settings.accessTokenSeconds = LONG_LIVED
  await servers.ledger.accessTokenExpired()
  progress('requests and bodies, the second tab')
  const second = await visits.open('tab', comparisons)
  progress('requests with a proof')
  const proofs = await proofRow(bench)
  progress('start of a page')
  const start = await startRows(bench)
  progress('return from the provider')
  const trip = await tripRows(bench)
  progress('messages of a call')
  const messages = await messageRows(bench)
  progress('1 GB through a slow reader')
  const memory = await memoryRows(bench)
  const rows = [
    ...smallRows(only.small, 'only tab'),
    pairRow('small request, plain fetch with no-store', only.uncached, 'only tab', LIKE_WITH_LIKE),
    pairRow('small PUT', only.write, 'only tab', { gate: 1.3, aim: 1.15 }),
    pairRow('response without a body', only.empty, 'only tab'),
    ...smallRows(second.small, 'second tab'),
    pairRow('small request, plain fetch with no-store', second.uncached, 'second tab', LIKE_WITH_LIKE),
    pairRow('small PUT', second.write, 'second tab', { gate: 1.3, aim: 1.15 }),
    pairRow('response without a body', second.empty, 'second tab'),
    parallelRow(only.parallel, 'only tab'),
    parallelRow(second.parallel, 'second tab'),
    ...largeRows(only.large, 'only tab'),
    ...largeRows(second.large, 'second tab'),
    guardRow(only.guard, 'only tab'),
    guardRow(second.guard, 'second tab'),
    proofs,
    ...messages,
    ...memory,
    ...crowd,
    ...start,
    ...trip,
  ]
  return { rows, notes: NOTES }
}

function smallRows({ times, bytes }, where) {
  return [
    [50, DEFAULT_MODE],
    [95, {}],
  ].map(([rank, bounds]) => {
    const [own, plain] = [0, 1].map((side) => times.map((run) => percentile(run[side], rank)))
    return {
      what: `${bytes} B of JSON, plain fetch in its default mode, p${rank}, ${where}`,
      own: milliseconds(spread(own)),
      peer: `plain fetch ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(own, plain)),
      ...bounds,
    }
  })
}

/** Returns the row for requests of one kind. A response without a body is the floor for small requests. */
function pairRow(what, times, where, bounds = {}) {
  const [own, plain] = [0, 1].map((side) => times.map((run) => percentile(run[side], 50)))
  return {
    what: `${what}, p50, ${where}`,
    own: milliseconds(spread(own)),
    peer: `plain fetch ${milliseconds(spread(plain))}`,
    ratio: timeRatio(ratios(own, plain)),
    ...bounds,
  }
}

function parallelRow([own, plain], where) {
  return {
    what: `${PARALLEL.requests} requests at once, ${where}`,
    own: milliseconds(spread(own)),
    peer: `plain fetch ${milliseconds(spread(plain))}`,
    ratio: timeRatio(ratios(own, plain)),
  }
}

function largeRows(large, where) {
  const ways = [
    [MB, 'whole', 'arrayBuffer()', {}],
    [16 * MB, 'whole', 'arrayBuffer()', { gate: 0.7, aim: 0.9 }],
    [16 * MB, 'pieces', 'piece by piece', {}],
  ]
  return ways.map(([size, read, how, bounds]) => {
    const speeds = (times) => times.map((ms) => (size / MB / ms) * 1000)
    const [own, plain] = large[size][read].map(speeds)
    return {
      what: `${size / MB} MB, ${how}, ${where}`,
      own: megabytesPerSecond(spread(own)),
      peer: `plain fetch ${megabytesPerSecond(spread(plain))}`,
      ratio: speedRatio(ratios(own, plain)),
      ...bounds,
    }
  })
}

/** Returns the row that shows the cost of searching a body for the token. */
function guardRow(times, where) {
  const [own, peer] = times.map((side) => side.map((ms) => ((16 * MB) / MB / ms) * 1000))
  return {
    what: `16 MB, searched for the token, ${where}`,
    own: megabytesPerSecond(spread(own)),
    peer: `not searched ${megabytesPerSecond(spread(peer))}`,
    ratio: speedRatio(ratios(own, peer)),
  }
}

/** Measures the cost of a proof for each request (RFC 9449), including the API's check of the proof. */
async function proofRow({ visits }) {
  await visits.signIn({ vault: 'proving' })
  const times = await visits.open('proofs', SMALL)
  const [own, bearer] = [0, 1].map((side) => times.map((run) => percentile(run[side], 50)))
  return {
    what: 'small request with DPoP, p50, both vaults of other tabs',
    own: milliseconds(spread(own)),
    peer: `Bearer ${milliseconds(spread(bearer))}`,
    ratio: timeRatio(ratios(own, bearer)),
  }
}

async function messageRows({ visits }) {
  const counts = await visits.open('messages')
  return counts.map(([what, { sent, received }]) => ({
    what: `messages between page and vault: ${what}`,
    own: `${sent} + ${received}`,
  }))
}

/**
 * Measures the peak memory of the browser's pages and workers while one page reads slowly. Resolves with no rows on
 * systems other than Linux, because `watchMemory()` works only there.
 */
async function memoryRows({ servers }) {
  if (process.platform !== 'linux') return []
  const peak = async (way, size) => {
    // This measurement has a browser of its own, because earlier pages release their memory only gradually.
    const chromium = await startChromium()
    try {
      const visits = new Visits(servers, chromium)
      await visits.signIn({ vault: 'shared' })
      const bytes = await watchMemory(chromium.pid, () => visits.open('stream', { way, size }))
      return `${Math.round(bytes / MB)} MB`
    } finally {
      await chromium.close()
    }
  }
  const rows = []
  for (const size of STREAMS) {
    const [own, plain] = [await peak('vault', size), await peak('plain', size)]
    rows.push({
      what: `${size / MB} MB, slow reader: peak memory of all pages and workers`,
      own,
      peer: `plain fetch ${plain}`,
    })
  }
  return rows
}

async function crowdRows({ visits, servers: { ledger } }) {
  const { tabs, calls } = CROWD
  const runs = await visits.openMany(tabs, 'crowd', CROWD)
  const refreshes = runs.map(({ startedAt }, i) => {
    const end = runs[i + 1]?.startedAt ?? Infinity
    return ledger.refreshes().filter(({ at }) => at >= startedAt && at < end).length
  })
  const [own, plain] = ['vault', 'plain'].map((way) => runs.map((run) => run[way].ms))
  const succeeded = (way) => Math.min(...runs.map((run) => run[way].succeeded))
  const what = `${tabs} tabs × ${calls} calls, expired token`
  return [
    {
      what: `${what}: refreshes`,
      own: refreshes.join(', '),
      ratio: {
        text: `${succeeded('vault')} of ${tabs * calls} calls succeeded`,
        value: Math.max(...refreshes),
        atMost: true,
        unit: '',
      },
      gate: 1,
      aim: 1,
    },
    {
      what: `${what}: until the last response`,
      own: milliseconds(spread(own)),
      peer: `plain fetch, valid token ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(own, plain)),
    },
  ]
}

async function startRows({ visits }) {
  await visits.signIn({ vault: 'sealed' })
  const samples = await visits.open('start', { rounds: ROUNDS })
  const times = (kind, key) => samples.filter((sample) => sample.kind === kind).map((sample) => sample[key])
  const [running, kept, plain] = ['running', 'kept', 'plain'].map((kind) => times(kind, 'firstByte'))
  return [
    { what: 'page start to handshake, new worker', own: milliseconds(spread(times('fresh', 'handshake'))) },
    {
      what: 'page start to handshake, running worker',
      own: milliseconds(spread(times('running', 'handshake'))),
    },
    {
      what: 'page start to first authorized byte, running worker',
      own: milliseconds(spread(running)),
      peer: `page with a token ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(running, plain)),
    },
    {
      what: 'page start to first authorized byte, new worker, sealed session',
      own: milliseconds(spread(kept)),
      peer: `page with a token ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(kept, plain)),
    },
  ]
}

async function tripRows({ visits }) {
  const trips = []
  for (let trip = 0; trip < TRIPS; trip++) trips.push(await visits.signIn({ vault: 'new' }))
  const times = (key) => milliseconds(spread(trips.map((trip) => trip[key])))
  const what = 'return from the provider, new worker'
  return [
    { what: `${what}: page start to session`, own: times('session') },
    { what: `${what}: page start to first authorized byte`, own: times('firstByte') },
  ]
}
