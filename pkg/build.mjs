/**
 * Bundles pkg/src into pkg/dist, next to the wasm. `cargo xtask build` runs it after it has written
 * pkg/glue, which is git-ignored:
 *
 *   pkg/glue/strongroom.js        wasm-bindgen's glue (target web)
 *   pkg/glue/strongroom.d.ts      its types, generated from src/bindings.rs
 *   pkg/glue/strongroom_bg.wasm   the core, after wasm-opt
 *
 * src/worker.ts and src/core.ts import the glue by its relative path, '../glue/strongroom.js', so
 * that esbuild, tsc and editors find it with no alias. They pass
 * `new URL('./strongroom_bg.wasm', import.meta.url)` to `init`: that expression has to reach
 * dist/worker.js and dist/core.js as it stands, since it is what bundlers look for.
 *
 * Each entry is a file of its own, without shared chunks: the page loads one file, the worker loads
 * one file and the wasm, and neither waits for a second round trip.
 */
import { build } from 'esbuild'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const at = (path) => new URL(path, import.meta.url)
const WASM_URL = 'new URL("./strongroom_bg.wasm",import.meta.url)'

/**
 * wasm-bindgen tells imports of one name apart by 16 hexadecimal digits, which do not compress. Numbers in
 * their place, of the same length so that the module's layout stays, save 0.4 KB of brotli.
 */
const shortenImports = async () => {
  let wasm = await readFile(at('./glue/strongroom_bg.wasm'), 'latin1')
  const scripts = await Promise.all(
    ['worker', 'core'].map((entry) => readFile(at(`./dist/${entry}.js`), 'utf8')),
  )
  const names = new Set(scripts[0].match(/__wbg_\w+_[0-9a-f]{16}/g))
  if (names.size < 10) throw new Error("wasm-bindgen's imports are named otherwise: mend shortenImports()")
  for (const [i, name] of [...names].entries()) {
    const [from, to] = [name, name.slice(0, -16) + String(i).padStart(16, '0')]
    for (const text of [wasm, ...scripts]) {
      if (text.split(from).length !== 2)
        throw new Error(`${from} is not there exactly once: mend shortenImports()`)
    }
    wasm = wasm.replace(from, to)
    scripts.forEach((text, script) => (scripts[script] = text.replace(from, to)))
  }
  await writeFile(at('./dist/strongroom_bg.wasm'), wasm, 'latin1')
  await writeFile(at('./dist/worker.js'), scripts[0])
  await writeFile(at('./dist/core.js'), scripts[1])
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
await shortenImports()
// npm packs what lies in the package's own folder.
for (const file of ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md']) {
  if (existsSync(at(`../${file}`))) await copyFile(at(`../${file}`), at(`./${file}`))
}

for (const entry of ['worker', 'core']) {
  const code = await readFile(at(`./dist/${entry}.js`), 'utf8')
  if (!code.includes(WASM_URL)) {
    throw new Error(
      `dist/${entry}.js has lost ${WASM_URL}: bundlers will not find the wasm. Mend src/${entry}.ts.`,
    )
  }
}
