/**
 * Compares the bytes that a browser downloads with the gates and aims in benches/downloads.mjs.
 *
 *   node benches/size.mjs [--peers] [--write] [--dist <folder>]
 *
 * `--write` also writes the sizes into the documents: see benches/figures.mjs. Exits with 1 if a gate is exceeded.
 */
import { parseArgs } from 'node:util'
import { counted, downloadTable, kilobytes, measureOwn, measurePeers } from './downloads.mjs'
import { write } from './figures.mjs'

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    dist: { type: 'string' },
  },
})

const own = await measureOwn(options.dist).catch((error) => {
  if (error.code !== 'ENOENT') throw error
  console.error(`${error.path} is missing: run \`cargo xtask build\` first.`)
  process.exit(1)
})
const peers = options.peers || options.write ? await measurePeers() : []
console.log(downloadTable([...own, ...peers]))
if (options.write)
  console.log(`\nwritten: ${(await write([...own, ...peers])).join(', ') || 'nothing to change'}`)

const exceeded = own.filter((download) => counted(download) > download.gate)
for (const { name, gate, counts = 'brotli', ...sizes } of exceeded) {
  console.error(
    `\n${name}: ${kilobytes(sizes[counts])} KB of ${counts} are over the gate of ${kilobytes(gate)} KB`,
  )
}
process.exitCode = exceeded.length > 0 ? 1 : 0
