/**
 * strongroom beside what people use today, measured in one run:
 *
 *   cargo xtask bench [--only core|browser|peers|size] [--markdown]
 *
 * Every number is the median of several runs, with the lowest and the highest in brackets; every ratio is
 * the median of the ratios within one round, where both sides took turns. ✓ and ✗ say whether the project's
 * gate and aim are met by this run; the command succeeds either way.
 */
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.mjs'
import { comparisonTable, table } from './table.mjs'

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, markdown: { type: 'boolean', default: false } },
})

/** Loaded when its turn comes, so that none measures with the others' code in memory. */
const SECTIONS = {
  async core() {
    const { measureCore } = await import('./core.mjs')
    return { title: 'strongroom/core in Node', body: comparisonTable(await measureCore(progress), options) }
  },
  async browser() {
    const { measureBrowser } = await import('./browser.mjs')
    const { rows, notes, version } = await measureBrowser(progress)
    const body = [comparisonTable(rows, options), ...notes].join('\n\n')
    return { title: 'The vault in a SharedWorker, in headless Chromium', body, version }
  },
  async peers() {
    const { measurePeers } = await import('./peers.mjs')
    const { head, rows, notes, version } = await measurePeers(progress)
    const body = [table(head, rows, options), ...notes].join('\n\n')
    return { title: 'Beside other libraries, in headless Chromium', body, version }
  },
  async size() {
    const { downloadTable, measureOwn, measurePeers } = await import('./downloads.mjs')
    progress('downloads')
    const downloads = [...(await measureOwn()), ...(await measurePeers())]
    return { title: 'What a browser downloads', body: downloadTable(downloads, options) }
  },
}

const names = Object.keys(SECTIONS)
if (options.only && !names.includes(options.only)) {
  console.error(`--only ${options.only}: there is ${names.join(', ')}`)
  process.exit(2)
}

const sections = []
for (const name of options.only ? [options.only] : names) {
  progress(name)
  sections.push(await SECTIONS[name]())
}
progress('')

const heading = options.markdown ? '### ' : ''
const version = sections.find((section) => section.version)?.version
console.log(`${describeMachine(version)}\n`)
for (const { title, body } of sections) console.log(`${heading}${title}\n\n${body}\n`)

/** To where it is no part of the tables. */
function progress(what) {
  if (what) console.error(`${String(Math.round(performance.now() / 1000)).padStart(4)} s  ${what}`)
  else console.error()
}
