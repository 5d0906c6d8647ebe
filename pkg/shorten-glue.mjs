/**
 * Gives the imports and exports of a module their short names in its glue. `cargo xtask build` runs it for each glue:
 *
 *   node pkg/shorten-glue.mjs <glue of wasm-bindgen> <JSON: short names by long ones> <file to write>
 */
import { readFile, writeFile } from 'node:fs/promises'
import { minify } from 'terser'

const [input, names, output] = process.argv.slice(2)
const props = {}
for (const [long, short] of Object.entries(JSON.parse(await readFile(names, 'utf8'))))
  props[`$${long}`] = short

// Otherwise the glue would free objects when the garbage collector finds them. After a trap, freeing an object throws
// an error that nothing can catch.
const glue = `const FinalizationRegistry = undefined;\n${await readFile(input, 'utf8')}`

const { code } = await minify(glue, {
  module: true,
  ecma: 2022,
  compress: {
    defaults: false,
    // The glue's warnings are about ways to load a module that this package does not use.
    drop_console: true,
    // wasm-bindgen's imports use neither `this` nor `new`.
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
