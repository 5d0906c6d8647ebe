/**
 * strongroom beside what people use today, measured in one run:
 *
 *   cargo xtask bench [--only core|browser|peers|size] [--markdown]
 *
 * Every number is the median of several runs, with the lowest and the highest in brackets; every ratio is
 * the median of the ratios within one round, where both sides took turns. ✓ and ✗ say whether the project's
 * gate and aim are met by this run; the command succeeds either way.
 */
import { options, progress, run } from './sections.mjs'
import { comparisonTable, table } from './table.mjs'

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

await run(SECTIONS)
