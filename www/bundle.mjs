/** How the scripts of all pages are bundled. */
import { fileURLToPath } from 'node:url'
import { dist } from '../tests/support/dist.mjs'

/** The package's entries, with the files that bundles contain. */
const ALIASES = Object.fromEntries(
  [
    ['strongroom', 'index.js'],
    ['strongroom/headers', 'headers.js'],
    ['strongroom/inspector', 'inspector.js'],
    ['strongroom/inspector/record', 'inspector/record.js'],
    ['strongroom/vault-frame', 'vault-frame.js'],
    ['strongroom/worker', 'worker.js'],
  ].map(([name, file]) => [name, fileURLToPath(new URL(file, dist))]),
)

/** Options of esbuild for the scripts of all pages. */
export const BUNDLE = {
  outdir: 'dist',
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  // tsconfig.json is ignored, because its `paths` lead to type declarations and not to scripts.
  tsconfigRaw: {},
  alias: ALIASES,
  logLevel: 'warning',
}
