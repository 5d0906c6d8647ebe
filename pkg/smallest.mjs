/**
 * Prints the name of the file that is smallest after compression. `cargo xtask build` runs this script for each module
 * that should be a small download:
 *
 *   node pkg/smallest.mjs <brotli | gzip> <file>...
 */
import { readFileSync } from 'node:fs'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const [format, ...files] = process.argv.slice(2)
const brotli = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS }
const compress = {
  brotli: (bytes) => brotliCompressSync(bytes, { params: brotli }),
  gzip: (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }),
}[format]
const sizes = files.map((file) => compress(readFileSync(file)).length)
console.log(files[sizes.indexOf(Math.min(...sizes))])
