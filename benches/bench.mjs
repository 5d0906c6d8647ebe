/**
 * Compares strongroom with other libraries and with plain `fetch`, in one run:
 *
 *   cargo xtask bench [--only functions|browser|peers|visits|later|media|size] [--markdown]
 *   cargo xtask bench --only visits [--waterfall] [--rounds 5]
 *   cargo xtask bench --only later [--rounds 3]
 *   cargo xtask bench --only media [--rounds 5]
 *
 * Each time and each speed is the median of several rounds, with the lowest and the highest value in brackets. In each
 * round both contenders take turns, which gives a ratio for the round. The ratio in the table is the median of these
 * ratios. ✓ and ✗ show if this run meets the project's gate and aim. The command succeeds even if the run misses them.
 */
import { options, progress, run } from './sections.mjs'
import { comparisonTable, table } from './table.mjs'

const rounds = options.rounds && Number(options.rounds)

/** The sections are imported one at a time, so that no section runs with the code of another section in memory. */
const SECTIONS = {
  async functions() {
    const { measureFunctions } = await import('./functions.mjs')
    const body = comparisonTable(await measureFunctions(progress), options)
    return { title: 'Functions of the core, native, compared with libraries in Node', body }
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
    return { title: 'Compared with other libraries, in headless Chromium', body, version }
  },
  async visits() {
    if (options.waterfall) {
      const { measureWaterfalls } = await import('./waterfall.mjs')
      const { body, version } = await measureWaterfalls(progress, { rounds, markdown: options.markdown })
      return {
        title: 'Where the milliseconds of a visit go, in headless Chromium on a slow link',
        body,
        version,
      }
    }
    const { measureFirstVisits } = await import('./first-visit.mjs')
    const { head, rows, notes, version } = await measureFirstVisits(progress, { rounds })
    const body = [table(head, rows, options), ...notes].join('\n\n')
    return { title: 'The first visit and a second one, in headless Chromium on a slow link', body, version }
  },
  async later() {
    const { measureLater } = await import('./later.mjs')
    const { body, version } = await measureLater(progress, { rounds, markdown: options.markdown })
    return { title: 'What a page waits for later, in headless Chromium', body, version }
  },
  async media() {
    const { measureMedia } = await import('./media.mjs')
    const { rows, notes, version } = await measureMedia(progress, { rounds })
    const body = [comparisonTable(rows, options), ...notes].join('\n\n')
    return { title: 'Pictures and videos by URL, in headless Chromium', body, version }
  },
  async size() {
    const { downloadTable, measureOwn, measurePeers } = await import('./downloads.mjs')
    progress('downloads')
    const downloads = [...(await measureOwn()), ...(await measurePeers())]
    return { title: 'What a browser downloads', body: downloadTable(downloads, options) }
  },
}

await run(SECTIONS, { rounds: ['visits', 'later', 'media'], waterfall: ['visits'] })
