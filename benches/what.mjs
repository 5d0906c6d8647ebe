/**
 * Shows the composition of a download: the bytes of each source in the scripts, and the bytes of each crate and each
 * module of strongroom in the wasm. `cargo xtask size --what` runs this script.
 *
 * The downloaded wasm has no function names, so this script counts the functions of the module before wasm-opt. The
 * bytes of an inlined function count for the function that contains them.
 */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ENTRIES, LAZY_IMPORT } from '../pkg/entries.mjs'
import { table } from './table.mjs'

/** The crates of the modules. */
const OURS = ['browser', 'edge', 'edge_module', 'rules', 'vault', 'wasm']

const root = fileURLToPath(new URL('..', import.meta.url))
const target = process.env.CARGO_TARGET_DIR ?? `${root}target`

/** Leaves out files that the page loads on demand, because they are not a part of this download. */
const external = ({ path }) => ({ path, external: true })

/** Counts the bytes of each source in an entry. */
async function script(entry) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`pkg/src/${ENTRIES[entry]}.ts`],
    bundle: true,
    plugins: [{ name: 'lazy', setup: (build) => build.onResolve({ filter: LAZY_IMPORT }, external) }],
    format: 'esm',
    target: 'es2022',
    minify: true,
    metafile: true,
    write: false,
  })
  const [{ inputs }] = Object.values(metafile.outputs)
  return Object.entries(inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput])
}

/** Returns the path in a function's name, such as `['vault', 'login', …]`. */
function path(name) {
  const mangled = /^_ZN(.*)E$/.exec(name)?.[1]
  if (!mangled) return [name]
  const parts = []
  for (let rest = mangled; rest;) {
    const [digits] = /^\d+/.exec(rest) ?? ['']
    if (!digits) break
    parts.push(rest.slice(digits.length, digits.length + Number(digits)))
    rest = rest.slice(digits.length + Number(digits))
  }
  // An implementation for a type counts where the type is defined. If that type is generic or from Rust's own crates,
  // the implementation counts where the trait is defined.
  const [type, trait] = (parts[0] ?? '')
    .split('$u20$as$u20$')
    .map((text) => /[\w.]*\.\.[\w.]*/.exec(text)?.[0])
  return type || trait ? (type ?? trait).split('..') : parts
}

/** Returns the row of the table to which a function belongs. */
function owner(name) {
  if (/^__wbindgen|_[0-9a-f]{16}$/.test(name)) return 'the boundary, made by wasm-bindgen'
  if (/^mem(cmp|cpy|move|set)$/.test(name)) return 'Rust: compiler_builtins'
  const [crate, module, part] = path(name)
  // The rules and the token handler are large, so each of their modules is a row.
  if (/^(rules|edge)$/.test(crate) && part) return `strongroom: ${crate}::${module}`
  if (OURS.includes(crate)) return `strongroom: ${crate}`
  if (/^(core|alloc|compiler_builtins)$/.test(crate)) return `Rust: ${crate}`
  return /^\w+$/.test(crate) && name.startsWith('_ZN') ? crate : 'other'
}

/** Counts the bytes of the functions of each owner in a compiled module, and of everything that is not code. */
async function wasm(name) {
  const bytes = await readFile(`${target}/xtask/compiled/${name}.wasm`)
  const module = new WebAssembly.Module(bytes)
  const imported = WebAssembly.Module.imports(module).filter(({ kind }) => kind === 'function').length
  const names = functionNames(Buffer.from(WebAssembly.Module.customSections(module, 'name')[0]))
  const sizes = new Map()
  const add = (key, size) => sizes.set(key, (sizes.get(key) ?? 0) + size)
  const reader = at(bytes, 8)
  while (reader.offset < bytes.length) {
    const id = reader.byte()
    const length = reader.number()
    const end = reader.offset + length
    if (id === 10) {
      const count = reader.number()
      for (let i = 0; i < count; i++) {
        const size = reader.number()
        const name = names.get(imported + i) ?? ''
        // These functions do not count, because wasm-bindgen removes them from the module.
        if (!name.startsWith('__wbindgen_describe')) add(owner(name), size)
        reader.offset += size
      }
    } else if (id === 11) {
      add('constants', length)
    } else if (id !== 0) {
      add('types, imports, exports', length)
    }
    reader.offset = end
  }
  return [...sizes]
}

/** Returns the names of functions, by their numbers (WebAssembly Core, appendix A.4.1). */
function functionNames(section) {
  const names = new Map()
  const reader = at(section, 0)
  while (reader.offset < section.length) {
    const id = reader.byte()
    const end = reader.number() + reader.offset
    for (let left = id === 1 ? reader.number() : 0; left > 0; left--) {
      const index = reader.number()
      const length = reader.number()
      names.set(index, section.toString('utf8', reader.offset, reader.offset + length))
      reader.offset += length
    }
    reader.offset = end
  }
  return names
}

/** Returns a reader of bytes and unsigned LEB128 numbers. */
const at = (bytes, offset) => ({
  offset,
  byte() {
    return bytes[this.offset++]
  },
  number() {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = this.byte()
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
  },
})

const parts = [
  ['index.js', await script('index')],
  ['worker.js', await script('worker')],
  ['strongroom_bg.wasm, before wasm-opt', await wasm('strongroom')],
  ['strongroom_edge_bg.wasm, before wasm-opt', await wasm('strongroom_edge')],
]
for (const [name, rows] of parts) {
  const total = rows.reduce((sum, [, size]) => sum + size, 0)
  const cells = rows
    .sort(([, a], [, b]) => b - a)
    .map(([what, size]) => [what, `${size}`, percent(size / total)])
  console.log(`${table([name, 'bytes', ''], [...cells, ['all', `${total}`, '']], { numbers: true })}\n`)
}

function percent(share) {
  return `${(share * 100).toFixed(1)} %`
}
