/**
 * What a browser downloads, against the budget of the project. 1 KB is 1024 bytes; compression is what a
 * careful server does once per release: brotli at quality 11, gzip at level 9, each file on its own.
 *
 *   node benches/size.mjs [--peers] [--dist <folder>]
 *
 * Exits with 1 if a gate is exceeded. `strongroom/core` is not counted: it is an entry of its own, which
 * nobody downloads together with the vault.
 */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const KB = 1024
const root = fileURLToPath(new URL('..', import.meta.url))

/** @type {{ name: string, files: string[], gate?: number, aim?: number }[]} In bytes of brotli. */
const ROWS = [
  { name: 'page (main thread)', files: ['index.js'], gate: 4 * KB, aim: 2.5 * KB },
  { name: 'worker', files: ['worker.js'] },
  { name: 'wasm', files: ['strongroom_bg.wasm'] },
  { name: 'total', files: ['index.js', 'worker.js', 'strongroom_bg.wasm'], gate: 45 * KB, aim: 30 * KB },
]

/** What an app imports of each, bundled as pkg/build.mjs bundles ours. */
const PEERS = [
  { name: 'auth0-spa-js', code: `export { createAuth0Client } from '@auth0/auth0-spa-js'` },
  { name: 'oidc-client-ts', code: `export { UserManager } from 'oidc-client-ts'` },
]

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    dist: { type: 'string', default: `${root}pkg/dist` },
  },
})

const rows = await Promise.all(ROWS.map(measureRow))
const peers = options.peers ? await Promise.all(PEERS.map(measurePeer)) : []
print([...rows, ...peers])

const exceeded = rows.filter(({ gate, brotli }) => gate !== undefined && brotli > gate)
for (const { name, gate, brotli } of exceeded) {
  console.error(`\n${name}: ${kilobytes(brotli)} KB of brotli are over the gate of ${kilobytes(gate)} KB`)
}
process.exitCode = exceeded.length > 0 ? 1 : 0

async function measureRow(row) {
  const contents = await Promise.all(row.files.map((file) => read(`${options.dist}/${file}`)))
  const sizes = contents.map(measure)
  const sum = (key) => sizes.reduce((total, size) => total + size[key], 0)
  return { ...row, raw: sum('raw'), gzip: sum('gzip'), brotli: sum('brotli') }
}

async function measurePeer({ name, code }) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    charset: 'utf8',
    write: false,
  })
  return { name, ...measure(outputFiles[0].contents) }
}

async function read(file) {
  try {
    return await readFile(file)
  } catch {
    console.error(`${file} is not there: run \`cargo xtask build\` first.`)
    process.exit(1)
  }
}

function measure(bytes) {
  const brotli = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  }
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }).length,
    brotli: brotliCompressSync(bytes, { params: brotli }).length,
  }
}

function print(rows) {
  const columns = ['raw', 'gzip', 'brotli', 'gate', 'aim']
  const line = (name, cells) => console.log(name.padEnd(20) + cells.map((cell) => cell.padStart(9)).join(''))
  line('KB (1024 bytes)', columns)
  for (const row of rows) {
    line(
      row.name,
      columns.map((column) => (row[column] === undefined ? '' : kilobytes(row[column]))),
    )
  }
}

function kilobytes(bytes) {
  return (bytes / KB).toFixed(2)
}
