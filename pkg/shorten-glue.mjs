/**
 * Renames the imports and exports of a wasm module to their short names in the module's glue. `cargo xtask build` runs
 * this script for each glue file:
 *
 *   node pkg/shorten-glue.mjs <glue of wasm-bindgen> <JSON: short names by long ones> <file to write>
 */
import { readFile, writeFile } from 'node:fs/promises'
import { minify } from 'terser'

const [input, names, output] = process.argv.slice(2)
const props = {}
for (const [long, short] of Object.entries(JSON.parse(await readFile(names, 'utf8'))))
  props[`$${long}`] = short

// Hides FinalizationRegistry, by which the glue would free objects of the module after garbage collection. After a trap
// of the module, freeing an object throws an error that no code can catch.
const glue = `const FinalizationRegistry = undefined;\n${await readFile(input, 'utf8')}`

const { code } = await minify(glue, {
  module: true,
  ecma: 2022,
  compress: {
    defaults: false,
    // The glue's warnings are about ways to load a module that this package does not use.
    drop_console: true,
    // The functions that the glue passes to the module do not use `this`, and nothing calls them with `new`. They can
    // therefore become arrow functions and methods.
    unsafe_arrows: true,
    unsafe_methods: true,
  },
  mangle: {
    keep_fnames: true,
    properties: { only_cache: true, builtins: true },
  },
  nameCache: { vars: { props: {} }, props: { props } },
  format: { beautify: true, comments: false },
})
await writeFile(output, code)
