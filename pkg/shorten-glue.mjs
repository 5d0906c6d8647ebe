/**
 * Renames the imports and exports of a wasm module to their short names in the module's glue, and removes code of the
 * glue that this package does not use. `cargo xtask build` runs this script for each module:
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

/**
 * Encodes a string of ASCII characters, which has a byte for each character, in the memory of the module. This takes a
 * fifth of the time of `encode()`, and leaves no copy of a secret outside that memory.
 */
const ENCODE_ASCII = `
    const place = malloc(arg.length, 1) >>> 0;
    const { read } = cachedTextEncoder.encodeInto(arg, getUint8ArrayMemory0().subarray(place, place + arg.length));
    if (read === arg.length) {
        WASM_VECTOR_LEN = read;
        return place;
    }
    // The characters that were encoded may be a part of a secret.
    getUint8ArrayMemory0().fill(0, place, place + arg.length);
    wasm.__wbindgen_free(place, arg.length, 1);
`

/** Code of wasm-bindgen's glue, with its replacement. */
const UNUSED = [
  // Strings are encoded with one call, because the module does not export the function that resizes memory.
  [
    /function passStringToWasm0\(arg, malloc, realloc\) \{\n {4}if \(realloc === undefined\) \{\n([^]*?return ptr;\n) {4}\}\n[^]*?\n\}\n/,
    `function passStringToWasm0(arg, malloc) {\n${ENCODE_ASCII}$1}\n`,
  ],
  // An import that catches errors is wrapped once, instead of by a second function that passes on its arguments.
  [
    /function handleError\(f, args\) \{\n {4}try \{\n {8}return f\.apply\(this, args\);\n {4}\} catch \(e\) \{\n([^]*?) {4}\}\n\}\n/,
    'const handleError = (f) => (...args) => {\n    try {\n        return f(...args);\n    } catch (e) {\n$1    }\n}\n',
  ],
  // The buffer of a memory that has grown is another object.
  [
    /if \(cachedDataViewMemory0 === null \|\| [^\n]*\) \{\n/,
    'if (cachedDataViewMemory0?.buffer !== wasm.memory.buffer) {\n',
  ],
  // `initSync()` gets a compiled module.
  [
    /function initSync\(module\) \{(\n[^\n]*return wasm;\n)[^]*?(?= {4}const instance)/,
    'function initSync({ module }) {$1    const imports = __wbg_get_imports();\n',
  ],
]

/** An import that catches errors. */
const CATCHING = /function\(\) \{ return handleError\((function [^]*?), arguments\); \}/g

/** Returns the glue without unused code. Throws if the glue has a function in a form that is not known here. */
const withoutUnused = (glue) =>
  UNUSED.reduce((text, [pattern, replacement]) => {
    const [, name] = /(\w+(?=\\\()|cached\w+)/.exec(pattern.source)
    if (text.includes(name) && !pattern.test(text)) throw new Error(`wasm-bindgen's glue has another ${name}`)
    return text.replace(pattern, replacement)
  }, glue)

/** An import that returns a string, or `undefined`. */
const RETURNING_STRING =
  /(?:const|var) ptr1 = [^\n]*passStringToWasm0\(ret, [^\n]*\n[^\n]*WASM_VECTOR_LEN;\n[^\n]*\(arg0 >>> 0\)[^\n]*len1, true\);\n[^\n]*ptr1, true\);\n/g

/** Replaces the code of all imports that return a string. */
const RETURN_STRING = `function returnString(address, text) {
    const ptr = text == null ? 0 : passStringToWasm0(text, wasm.__wbindgen_malloc);
    getDataViewMemory0().setInt32((address >>> 0) + 4, WASM_VECTOR_LEN, true);
    getDataViewMemory0().setInt32(address >>> 0, ptr, true);
}
`

/** A check of a class. All classes of these checks exist wherever the module runs. */
const CHECKING_CLASS =
  /let result;\n *try \{\n *(result = arg0 instanceof \w+;)\n *\} catch \(_\) \{\n *result = false;\n *\}\n/g

const shorter =
  withoutUnused(glue)
    .replace(CATCHING, 'handleError($1)')
    .replace(RETURNING_STRING, 'returnString(arg0, ret);\n')
    .replace(CHECKING_CLASS, 'const $1\n') + (RETURNING_STRING.test(glue) ? RETURN_STRING : '')
if (/\barguments\);/.test(shorter)) throw new Error("wasm-bindgen's glue has another call of handleError")

const { code } = await minify(shorter, {
  module: true,
  ecma: 2022,
  compress: {
    defaults: false,
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
