/**
 * Measures the bytes that a browser downloads. 1 KB is 1024 bytes. Each file is compressed separately, by brotli at
 * quality 11 or gzip at level 9.
 */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { minify } from 'terser'
import { brotliSize, gzipSize } from './compressed.mjs'
import { BINDINGS, LAZY_IMPORT } from '../pkg/entries.mjs'
import { table } from './table.mjs'

const KB = 1024
const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Sizes in bytes. `gate` and `aim` apply to brotli, or to the format that `counts` names.
 *
 * @typedef {{ name: string, raw: number, gzip: number, brotli: number, gate?: number, aim?: number, counts?: 'gzip' }}
 *   Download
 */

/**
 * The download of an app is page, worker and wasm. The row of `createAuth` is the part of the page that apps without it do
 * not load. The remaining rows are files that only some apps load: error messages (with the first error), event sources
 * and sockets, the client of a token handler, the bindings of frameworks, and the token handler for a server.
 *
 * If clear code needs more than a gate allows, raise the gate, and say why in docs/decisions.md. Leave room over the new size:
 * 2 KB for a module, 0.2 KB for the page, and less for a binding.
 */
const ROWS = [
  { name: 'page (main thread)', files: ['index.js'], gate: 8.9 * KB, aim: 5.5 * KB },
  { name: 'createAuth, on top of connect()', files: ['index.js'], without: 'createAuth' },
  { name: 'worker', files: ['worker.js'] },
  { name: 'wasm', files: ['strongroom_bg.wasm'] },
  {
    name: 'total',
    files: ['index.js', 'worker.js', 'strongroom_bg.wasm'],
    gate: 130 * KB,
    aim: 100 * KB,
  },
  { name: 'error messages, with the first error', files: ['error-messages.js'] },
  { name: 'live, with the first socket', files: ['streaming.js'] },
  { name: 'client over a token handler', files: ['token-handler-client.js'] },
  { name: 'strongroom/media, in the service worker', files: ['media.js'], gate: 2.4 * KB },
  ...Object.keys(BINDINGS).map((name) => ({
    name: `strongroom/${name}`,
    files: [`${name}.js`],
    gate: (name === 'angular' ? 1.1 : 0.6) * KB,
    aim: (name === 'angular' ? 0.8 : 0.4) * KB,
  })),
  { name: 'strongroom/inspector, in development', files: ['inspector.js'], gate: 15 * KB },
  // This gate applies to the size with gzip, because platforms limit that size.
  {
    name: 'strongroom/edge, on a server',
    files: ['edge.workerd.js', 'edge-common.js', 'strongroom_edge_bg.wasm'],
    counts: 'gzip',
    gate: 229 * KB,
    aim: 140 * KB,
  },
]

/** Returns the aim of the download with this name, in KB. */
export const aimOf = (name) => ROWS.find((row) => row.name === name).aim / KB

/** Returns the gate of the download with this name, in KB. */
export const gateOf = (name) => ROWS.find((row) => row.name === name).gate / KB

/** Returns the size to which a download's gate and aim apply. */
export const counted = (download) => download[download.counts ?? 'brotli']

/**
 * For each other library, the exports that an app imports. The bench bundles these exports as pkg/build.mjs bundles
 * strongroom.
 */
const PEERS = [
  { name: 'auth0-spa-js', code: `export { createAuth0Client } from '@auth0/auth0-spa-js'` },
  { name: '@axa-fr/oidc-client, page', code: `export { OidcClient } from '@axa-fr/oidc-client'` },
  { name: 'oidc-client-ts', code: `export { UserManager } from 'oidc-client-ts'` },
]

/**
 * @param {string} [dist] Folder of the built package.
 * @returns {Promise<Download[]>} Rejects with `ENOENT` if the folder is missing.
 */
export function measureOwn(dist = `${root}pkg/dist`) {
  return Promise.all(
    ROWS.map(async ({ files, without, ...row }) => {
      const sizes = (await Promise.all(files.map((file) => read(`${dist}/${file}`)))).map(measure)
      const rest = without && measure(await bundleWithout(without, `${dist}/${files[0]}`))
      const sum = (key) => sizes.reduce((total, size) => total + size[key], 0) - (rest?.[key] ?? 0)
      return { ...row, raw: sum('raw'), gzip: sum('gzip'), brotli: sum('brotli') }
    }),
  )
}

/**
 * Reads a file without the comment that names its source map, since bundlers remove this comment, and browsers load the
 * map only for open developer tools.
 */
async function read(file) {
  const bytes = await readFile(file)
  const comment = bytes.lastIndexOf('\n//# sourceMappingURL=')
  return comment < 0 ? bytes : bytes.subarray(0, comment)
}

/** Resolves with the bytes of a built file as a bundler emits it for an app that does not import `name`. */
async function bundleWithout(name, file) {
  const isLazy = { filter: LAZY_IMPORT }
  const lazy = {
    name: 'lazy',
    setup: (build) => build.onResolve(isLazy, ({ path }) => ({ path, external: true })),
  }
  const options = {
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    charset: 'utf8',
    write: false,
  }
  const all = await build({ ...options, entryPoints: [file], plugins: [lazy], metafile: true, outdir: '.' })
  const [{ exports }] = Object.values(all.metafile.outputs)
  const names = exports.filter((other) => other !== name)
  const contents = `export { ${names} } from ${JSON.stringify(file)}`
  const { outputFiles } = await build({ ...options, stdin: { contents, resolveDir: root }, plugins: [lazy] })
  const shrunk = { module: true, ecma: 2022, compress: { passes: 3 } }
  return Buffer.from((await minify(outputFiles[0].text, shrunk)).code)
}

/** @returns {Promise<Download[]>} */
export function measurePeers() {
  return Promise.all(PEERS.map(measurePeer))
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

const measure = (bytes) => ({ raw: bytes.length, gzip: gzipSize(bytes), brotli: brotliSize(bytes) })

/** @param {Download[]} downloads */
export function downloadTable(downloads, options) {
  const bound = (download, limit) =>
    limit ? `${kilobytes(limit)} ${counted(download) <= limit ? '✓' : '✗'}` : ''
  const cells = downloads.map((download) => [
    download.name,
    ...['raw', 'gzip', 'brotli'].map((key) => kilobytes(download[key])),
    bound(download, download.gate),
    bound(download, download.aim),
  ])
  return table(['KB (1024 bytes)', 'raw', 'gzip', 'brotli', 'gate', 'aim'], cells, {
    ...options,
    numbers: true,
  })
}

export const kilobytes = (bytes) => (bytes / KB).toFixed(2)
