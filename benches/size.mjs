/**
 * What a browser downloads, against the budget of the project.
 *
 *   node benches/size.mjs [--peers] [--dist <folder>] [--ceiling]
 *
 * Exits with 1 if a gate is exceeded; with --ceiling, if a ceiling is, where there is one: see downloads.mjs.
 */
import { parseArgs } from 'node:util'
import { downloadTable, kilobytes, measureOwn, measurePeers } from './downloads.mjs'

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    ceiling: { type: 'boolean', default: false },
    dist: { type: 'string' },
  },
})

const own = await measureOwn(options.dist).catch((error) => {
  if (error.code !== 'ENOENT') throw error
  console.error(`${error.path} is not there: run \`cargo xtask build\` first.`)
  process.exit(1)
})
const peers = options.peers ? await measurePeers() : []
console.log(downloadTable([...own, ...peers]))

const [limit, word] = options.ceiling
  ? [({ ceiling, gate }) => ceiling ?? gate, 'limit']
  : [({ gate }) => gate, 'gate']
const exceeded = own.filter((download) => download.brotli > limit(download))
for (const download of exceeded) {
  const [size, most] = [download.brotli, limit(download)].map(kilobytes)
  console.error(`\n${download.name}: ${size} KB of brotli are over the ${word} of ${most} KB`)
}
process.exitCode = exceeded.length > 0 ? 1 : 0
