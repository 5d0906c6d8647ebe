/**
 * Bundles pkg/src into pkg/dist, next to the wasm. `cargo xtask build` runs it after it has written
 * pkg/glue, which is git-ignored. There, for each module:
 *
 *   pkg/glue/<module>.js        wasm-bindgen's glue (target web)
 *   pkg/glue/<module>.d.ts      its types, generated from src/bindings
 *   pkg/glue/<module>_bg.wasm   the core, after wasm-opt
 *
 * An entry imports the glue of its module by its relative path, such as '../glue/strongroom.js', so that
 * esbuild, tsc and editors find it with no alias. It passes
 * `new URL('./strongroom_bg.wasm', import.meta.url)` to the loader: that expression has to reach
 * dist/worker.js as it stands, since it is what bundlers look for.
 *
 * Each entry is a file of its own, without shared chunks: the page loads one file, the worker loads
 * one file and the wasm, and neither waits for a second round trip.
 */
import { build } from 'esbuild'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const at = (path) => new URL(path, import.meta.url)

/** Which module an entry loads. */
const MODULES = { worker: 'strongroom', core: 'strongroom_core' }

/**
 * Copies a module to dist, beside the entry that loads it.
 *
 * wasm-bindgen tells imports of one name apart by 16 hexadecimal digits, which do not compress. Numbers in
 * their place, of the same length so that the module's layout stays, save 0.4 KB of brotli.
 */
const copyModule = async (entry, module) => {
  let wasm = await readFile(at(`./glue/${module}_bg.wasm`), 'latin1')
  let script = await readFile(at(`./dist/${entry}.js`), 'utf8')
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(Buffer.from(wasm, 'latin1')))
  const names = imports.map(({ name }) => name).filter((name) => name.startsWith('__wbg_'))
  for (const [i, from] of names.entries()) {
    if (!/_[0-9a-f]{16}$/.test(from)) throw new Error(`${from} is named otherwise: mend copyModule()`)
    const to = from.slice(0, -16) + String(i).padStart(16, '0')
    for (const text of [wasm, script]) {
      if (text.split(from).length !== 2)
        throw new Error(`${from} is not there exactly once: mend copyModule()`)
    }
    wasm = wasm.replace(from, to)
    script = script.replace(from, to)
  }
  await writeFile(at(`./dist/${module}_bg.wasm`), wasm, 'latin1')
  await writeFile(at(`./dist/${entry}.js`), script)
  const url = `new URL("./${module}_bg.wasm",import.meta.url)`
  if (!script.includes(url)) {
    throw new Error(
      `dist/${entry}.js has lost ${url}: bundlers will not find the wasm. Mend src/${entry}.ts.`,
    )
  }
}

await rm(at('./dist'), { recursive: true, force: true })
await mkdir(at('./dist'))
await build({
  absWorkingDir: fileURLToPath(at('.')),
  entryPoints: ['src/index.ts', 'src/worker.ts', 'src/core.ts'],
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  logLevel: 'warning',
})
for (const [entry, module] of Object.entries(MODULES)) await copyModule(entry, module)
// npm packs what lies in the package's own folder.
for (const file of ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md']) {
  if (existsSync(at(`../${file}`))) await copyFile(at(`../${file}`), at(`./${file}`))
}
