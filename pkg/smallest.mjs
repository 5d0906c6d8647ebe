/**
 * Prints the name of the file that is smallest after compression. `cargo xtask build` runs this script for each module
 * that should be a small download:
 *
 *   node pkg/smallest.mjs <brotli | gzip> <file>...
 */
import { readFileSync } from 'node:fs'
import { brotliSize, gzipSize } from './compressed.mjs'

const [format, ...files] = process.argv.slice(2)
const size = { brotli: brotliSize, gzip: gzipSize }[format]
const sizes = files.map((file) => size(readFileSync(file)))
console.log(files[sizes.indexOf(Math.min(...sizes))])
