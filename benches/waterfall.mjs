/**
 * Shows where the milliseconds of a visit go. The requests are those that passed the link. All else is recorded in the
 * page and in the worker by functions that replace the platform's own (first-visit/marks.js), so the times are a little
 * longer than those of the table, which comes from other builds.
 */
import { startChromium } from './chromium.mjs'
import { CONTENDERS, LINKS, startSlowSite } from './slow-site.mjs'
import { median } from './stats.mjs'
import { table } from './table.mjs'

const ROUNDS = 5
/** The strongroom that is compared, and the library to which it is compared. */
const SHOWN = [Object.keys(CONTENDERS)[0], 'auth0']
const VISITS = { cold: 'first visit', warm: 'second visit', stored: 'stored session' }
/** The width of a chart in characters. */
const WIDTH = 60
/** The largest difference between the clocks of the browser and of this process, in milliseconds. */
const CLOCKS = 20

const NOTES = [
  'Milliseconds since the navigation began, medians of the rounds. A request lasts until the last byte of its response; with "connects", it had to wait for its connection. What lasts longer than the measurement is cut off.',
]

/** Prepends an import to the scripts of the pages and to the worker's file. */
const recording = () => [
  {
    name: 'recording',
    enforce: 'pre',
    transform: (code, id) =>
      /\/first-visit\/(?!marks|visit)[\w.-]+\.js$/.test(id.split('?')[0])
        ? { code: `import './marks.js'\n${code}`, map: null }
        : undefined,
  },
]

export async function measureWaterfalls(progress, { rounds = ROUNDS, markdown } = {}) {
  const charts = []
  let version
  for (const [link, speed] of Object.entries(LINKS)) {
    progress(`builds for ${link}`)
    const site = await startSlowSite(speed, { contenders: SHOWN, plugins: recording })
    try {
      const seen = new Map()
      for (let round = 1; round <= rounds; round++) {
        progress(`waterfall, ${link}, round ${round} of ${rounds}`)
        for (const contender of SHOWN) {
          const chromium = await startChromium()
          version = chromium.version
          try {
            for (const [visit, timeline] of await timelines(site, chromium, contender)) {
              const title = `${CONTENDERS[contender].name}, ${VISITS[visit]}, ${link}`
              seen.set(title, [...(seen.get(title) ?? []), timeline])
            }
          } finally {
            await chromium.close()
          }
        }
      }
      for (const visit of Object.values(VISITS)) {
        for (const contender of SHOWN) {
          const title = `${CONTENDERS[contender].name}, ${visit}, ${link}`
          charts.push(`${title}\n\n${chart(seen.get(title), markdown)}`)
        }
      }
    } finally {
      await site.close()
    }
  }
  return { body: [...charts, ...NOTES].join('\n\n'), version }
}

/** Resolves with the timeline of each visit of one browser. */
async function timelines(site, chromium, contender) {
  const visit = async (what) => {
    site.link.takeExchanges()
    const report = await site.visit(chromium, contender, { what })
    return timelineOf(report, site.link.takeExchanges(), contender)
  }
  await site.settle(chromium)
  const cold = await visit('ready')
  const warm = await visit('ready')
  await site.signIn(chromium, contender)
  return Object.entries({ cold, warm, stored: await visit('call') })
}

/**
 * Returns what happened in a visit, as spans by label. Throws if something is missing that happens in each visit, because
 * then the chart would lack it without saying so.
 */
function timelineOf({ end, timeOrigin, requestStart, spans }, exchanges, contender) {
  const ended = timeOrigin + end
  const requests = exchanges.map(({ method, path, waits, sentAt, receivedAt }) => ({
    label: `network: ${method} ${nameOf(path)}`,
    waits,
    start: sentAt,
    end: receivedAt,
  }))
  // What the vault does in the background may last longer than the measurement. An earlier span is of another page, whose
  // worker should have ended.
  const all = [...requests, ...spans, { label: 'end of the measurement', start: ended }]
    .filter(({ start }) => start >= timeOrigin && start <= ended)
    .toSorted((a, b) => a.start - b.start)
  const difference = requests[0].start - timeOrigin - requestStart
  if (Math.abs(difference) > CLOCKS)
    throw new Error(`the clocks differ by ${difference.toFixed(0)} ms: run this on a quiet machine`)
  const timeline = new Map()
  for (const span of all) {
    const took = Math.min(span.end ?? ended, ended) - span.start
    const occurrence = { waits: span.waits, start: span.start - timeOrigin, took }
    let label = span.label
    for (let n = 2; timeline.has(label); n++) label = `${span.label} (${n})`
    timeline.set(label, occurrence)
  }
  const always = ['page: first line']
  if (CONTENDERS[contender].page === 'strongroom') {
    always.push(
      'page: new SharedWorker',
      'worker: first line',
      'worker: fetch strongroom_bg.wasm',
      'worker: WebAssembly.compileStreaming',
      'worker: WebAssembly.Instance',
      'worker: IndexedDB: open',
      'worker: sends ready',
      'page: receives ready',
    )
  }
  const missing = always.filter((label) => !timeline.has(label))
  if (missing.length) throw new Error(`the recording lacks ${missing.join(', ')}`)
  return timeline
}

/** Returns a path without its query, and without the hash in the name of a file. */
const nameOf = (path) => path.split('?')[0].replace(/-[\w-]{8}\./, '.')

/** Draws what happened in most of the rounds. */
function chart(rounds, markdown) {
  const labels = new Set(rounds.flatMap((timeline) => [...timeline.keys()]))
  const spans = [...labels]
    .map((label) => {
      const seen = rounds.flatMap((timeline) => timeline.get(label) ?? [])
      const of = (key) => median(seen.map((span) => span[key]))
      const waits = seen.filter((span) => span.waits).length > seen.length / 2
      return { label, waits, count: seen.length, start: of('start'), took: of('took') }
    })
    .filter(({ count }) => count > rounds.length / 2)
    .toSorted((a, b) => a.start - b.start)
  const scale = WIDTH / Math.max(...spans.map(({ start, took }) => start + took))
  const rows = spans.map(({ label, waits, start, took }) => {
    const from = Math.min(WIDTH - 1, Math.max(0, Math.floor(start * scale)))
    const width = Math.max(1, Math.round((start + took) * scale) - from)
    const what = waits ? `${label}, connects` : label
    return [start.toFixed(0), took < 0.5 ? '' : took.toFixed(0), what, ' '.repeat(from) + '█'.repeat(width)]
  })
  const drawn = table(['from', 'for', 'what', ''], rows)
  return markdown ? `\`\`\`text\n${drawn}\n\`\`\`` : drawn
}
