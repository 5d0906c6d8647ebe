/** The vault in a real browser against plain `fetch` from the same page to the same API. */
import { startChromium } from './chromium.mjs'
import { startBenchSite } from './site.mjs'
import { median, percentile, ratios, spread } from './stats.mjs'
import { megabytesPerSecond, milliseconds, speedRatio, timeRatio } from './table.mjs'
import { Visits } from './visits.mjs'

const MB = 1024 * 1024

const SMALL = { runs: 7, pairs: 100 }
const LARGE = { size: 16 * MB, pairs: 9 }
const CROWD = { tabs: 8, calls: 50, runs: 3 }
const ROUNDS = 9
const TRIPS = 5

/** Long enough for the calls of a crowd and the same calls without a vault. */
const SHORT_LIVED = 5
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
  servers.settings.accessTokenSeconds = SHORT_LIVED
  await visits.signIn('shared')
  progress(`${CROWD.tabs} tabs × ${CROWD.calls} calls on an expired token`)
  const crowd = await crowdRows(bench)
  servers.settings.accessTokenSeconds = LONG_LIVED
  await servers.ledger.accessTokenExpired()
  progress('small request')
  const { rows: small, note } = await smallRows(bench)
  progress('16 MB body')
  const large = [...(await largeRows(bench, 'whole')), ...(await largeRows(bench, 'pieces'))]
  progress('start of a page')
  const start = await startRows(bench)
  progress('way back from the provider')
  const trip = await tripRows(bench)
  return { rows: [...small, ...large, ...crowd, ...start, ...trip], notes: [note] }
}

async function smallRows({ visits }) {
  const { runs, isIsolated, bytes } = await visits.open('small', SMALL)
  const rows = [
    [50, { gate: 1.3, aim: 1.1 }],
    [95, {}],
  ].map(([rank, bounds]) => {
    const [own, plain] = [0, 1].map((i) => runs.map((run) => percentile(run[i], rank)))
    return {
      what: `small request (${bytes} B of JSON), p${rank}`,
      own: milliseconds(spread(own)),
      peer: `plain fetch ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(own, plain)),
      ...bounds,
    }
  })
  const clock = isIsolated
    ? 'each timed by itself, on the 5 µs clock of a cross-origin isolated page'
    : 'each timed by itself, on a clock of 100 µs'
  return { rows, note: `Small requests: ${SMALL.runs} runs of ${SMALL.pairs} pairs in turns, ${clock}.` }
}

const MANNERS = { whole: 'arrayBuffer()', pieces: 'piece by piece' }

async function largeRows({ visits }, read) {
  const [own, plain] = await visits.open('large', { ...LARGE, read })
  const speeds = (times) => times.map((ms) => (LARGE.size / MB / ms) * 1000)
  return [
    {
      what: `16 MB body, ${MANNERS[read]}`,
      own: megabytesPerSecond(spread(speeds(own))),
      peer: `plain fetch ${megabytesPerSecond(spread(speeds(plain)))}`,
      ratio: speedRatio(ratios(speeds(own), speeds(plain))),
      ...(read === 'whole' ? { gate: 0.75, aim: 0.95 } : {}),
    },
  ]
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
      what: `${what}: to the last answer`,
      own: milliseconds(spread(own)),
      peer: `plain fetch, good token ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(own, plain)),
    },
  ]
}

async function startRows({ visits }) {
  const samples = await visits.open('start', { rounds: ROUNDS })
  const times = (kind, key) => samples.filter((sample) => sample.kind === kind).map((sample) => sample[key])
  const [running, plain] = [times('running', 'firstByte'), times('plain', 'firstByte')]
  return [
    { what: 'page start to handshake, new worker', own: milliseconds(spread(times('cold', 'handshake'))) },
    {
      what: 'page start to handshake, running worker',
      own: milliseconds(spread(times('running', 'handshake'))),
    },
    {
      what: 'page start to first authorised byte, running worker',
      own: milliseconds(spread(running)),
      peer: `page with a token ${milliseconds(spread(plain))}`,
      ratio: timeRatio(ratios(running, plain)),
    },
  ]
}

async function tripRows({ visits }) {
  const trips = []
  for (let trip = 0; trip < TRIPS; trip++) trips.push(await visits.signIn('cold'))
  const times = (key) => milliseconds(spread(trips.map((trip) => trip[key])))
  const what = 'back from the provider, new worker'
  return [
    { what: `${what}: page start to session`, own: times('session') },
    { what: `${what}: page start to first authorised byte`, own: times('firstByte') },
  ]
}
