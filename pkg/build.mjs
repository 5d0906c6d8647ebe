/**
 * Bundles pkg/src into pkg/dist, next to the wasm. `cargo xtask build` writes pkg/glue, which is git-ignored, and then
 * runs this script. `cargo xtask demo` runs it with the name of another folder, into which it writes only what the demo
 * loads. pkg/glue contains these files for the vault's module (strongroom) and the token handler's (strongroom_edge):
 *
 *   pkg/glue/<module>.js        wasm-bindgen's glue (target web)
 *   pkg/glue/<module>.d.ts      its types, generated from src/browser and src/edge/module
 *   pkg/glue/<module>_bg.wasm   the core, after wasm-opt
 *
 * An entry imports its module's glue by a relative path, such as '../glue/strongroom.js', so that esbuild, tsc and
 * editors find the glue without an alias. The entry passes `new URL('./strongroom_bg.wasm', import.meta.url)` to the
 * loader. The build must leave this expression unchanged in dist/worker.js, because bundlers look for it.
 *
 * Each entry becomes one file, without shared chunks, except on servers (`edge-common.js`). The page loads one file, and the
 * worker loads one file and the wasm, so neither page nor worker waits for a second round trip. Code that most pages never
 * need is in separate files, which a page imports when it needs the code: see entries.mjs.
 */
import { build } from 'esbuild'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { minify } from 'terser'
import { llms, skills, userDocuments, withoutComments } from './assistants.mjs'
import { buildTesting } from './build-testing.mjs'
import {
  BINDINGS,
  CALLBACK,
  DEMO,
  ENTRIES,
  EXTENSION,
  FRAMEWORKS,
  LAZY,
  LAZY_IMPORT,
  PROGRAM,
  SERVER,
  TOOLS,
} from './entries.mjs'

const at = (path) => new URL(path, import.meta.url)
const [demo] = process.argv.slice(2)
const dist = (path) => at(demo ? `../${demo}/${path}` : `./dist/${path}`)

/** Copies the vault's module to dist. Throws if a file that needs the module's URL no longer contains it. */
const copyVaultModule = async () => {
  await copyFile(at('./glue/strongroom_bg.wasm'), dist('strongroom_bg.wasm'))
  const url = 'new URL("./strongroom_bg.wasm",import.meta.url)'
  for (const file of ['worker.js', 'standalone.js', 'wasm-url.js']) {
    const script = await readFile(dist(file), 'utf8')
    if (!script.includes(url))
      throw new Error(`dist/${file} has lost ${url}, so bundlers would not find the module`)
  }
}

/** Copies the module of the token handler, and writes it as base64 for servers whose code may be bundled. */
const copyEdgeModule = async () => {
  const bytes = await readFile(at('./glue/strongroom_edge_bg.wasm'))
  await writeFile(dist('strongroom_edge_bg.wasm'), bytes)
  await writeFile(dist('edge-module.js'), `export default '${bytes.toString('base64')}'\n`)
}

/**
 * Minifies an entry's file again with Terser, which saves 4 to 5 % of esbuild's output, and writes its source map. The
 * map contains the sources if it is that of an app's code, which people step through. `format` has options of Terser's
 * output: by default the file has a single line, besides the comment that names the map.
 */
const shrink = async (entry, format = {}) => {
  const file = dist(`${entry}.js`)
  const map = dist(`${entry}.js.map`)
  const sourceMap = {
    content: await readFile(map, 'utf8'),
    includeSources: !hasNoSources(entry),
    url: `${basename(entry)}.js.map`,
  }
  const compress = { passes: 3, if_return: false, pure_getters: true, unsafe_arrows: true }
  const options = { module: true, ecma: 2022, compress, format, sourceMap }
  const minified = await minify(await readFile(file, 'utf8'), options)
  await writeFile(file, minified.code)
  await writeFile(map, minified.map)
}

/**
 * Directives at the start of a file, which esbuild drops from the source. With "use client", React's server components
 * use the file only in the browser.
 */
const DIRECTIVES = { react: { preamble: '"use client";' } }

/**
 * Resolves the import of a lazily loaded file to a file in the same folder, because all lazily loaded files are
 * directly in `dist`. Another source with the name of such a file would not become part of its bundle.
 */
const lazy = ({ path, kind }) => {
  if (kind !== 'dynamic-import') throw new Error(`${path} has the name of a file that pages load later`)
  return { path: `./${path.split('/').at(-1)}`, external: true }
}

/** For files that contain everything: nothing is loaded later, and no address is imported that only an error names. */
const WHOLE = {
  name: 'whole',
  setup: (build) =>
    build.onLoad({ filter: /\/page\/load\.ts$/ }, () => ({
      contents: 'export const load = (get) => get(), loadExplanation = load, EXPLANATION = 0',
    })),
}

/** Matches the sources whose files in `dist` the program and the core's judgment load, instead of containing them. */
const BESIDE = /\/(error-messages|headers\/core|headers)(\/index)?\.js$/

/** Resolves such an import to the file in `dist`, beside the program's folder. */
const beside = ({ path }) => ({ path: `../${BESIDE.exec(path)[1]}.js`, external: true })

/** Matches imports of files that stay files of their own in `dist`: the handler's common code, and the whole handler. */
const HANDLER = /^(\.\.\/index|\.\/common)\.js$/

/** Resolves such an import of a file for a platform, or of `strongroom/edge/testing`. */
const handler = ({ path, importer }) => {
  if (/\/edge\/index(\.\w+)?\.ts$/.test(importer) && path === './common.js')
    return { path: './edge-common.js', external: true }
  return importer.endsWith('/edge/testing/index.ts') ? { path: '../edge.js', external: true } : undefined
}

await rm(dist(''), { recursive: true, force: true })
await mkdir(dist(''), { recursive: true })
const { version } = JSON.parse(await readFile(at('./package.json'), 'utf8'))
const common = {
  absWorkingDir: fileURLToPath(at('.')),
  outdir: fileURLToPath(dist('')),
  bundle: true,
  plugins: [{ name: 'lazy', setup: (build) => build.onResolve({ filter: LAZY_IMPORT }, lazy) }],
  // Imports that are not bundled: wasm modules, also as base64 (each is in the same folder as the file that imports it),
  // Node's own modules, and the frameworks.
  external: ['*.wasm', '*.wasm?module', './edge-module.js', 'node:*', ...FRAMEWORKS],
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  charset: 'utf8',
  logLevel: 'warning',
  sourcemap: 'external',
  // Only the report of the inspector has it.
  define: { STRONGROOM_VERSION: JSON.stringify(version) },
}
/** Sources of an extension are those of the other files. */
const hasNoSources = (entry) => [SERVER, PROGRAM, TOOLS, EXTENSION].some((entries) => entry in entries)
const sources = (entries) => Object.entries(entries).map(([out, source]) => ({ in: `src/${source}.ts`, out }))
const browser = { ...ENTRIES, ...LAZY, ...BINDINGS }
/** Terser removes white space, and keeps comments for bundlers, which esbuild removes with it. */
const keepComments = { minify: false, minifyIdentifiers: true, minifySyntax: true }
const withoutSources = { ...common, sourcesContent: false }

if (demo) {
  await build({
    ...common,
    sourcemap: false,
    entryPoints: sources({ ...ENTRIES, ...LAZY, ...TOOLS, ...DEMO }),
  })
  await copyVaultModule()
  process.exit()
}

await rm(at('./docs'), { recursive: true, force: true })
await build({ ...common, ...keepComments, entryPoints: sources(browser) })
await build({ ...common, entryPoints: sources(CALLBACK), plugins: [WHOLE] })
await build({
  ...withoutSources,
  ...keepComments,
  entryPoints: sources({ ...TOOLS, ...SERVER }),
  plugins: [
    ...common.plugins,
    { name: 'handler', setup: (build) => build.onResolve({ filter: HANDLER }, handler) },
  ],
})
await build({
  ...withoutSources,
  entryPoints: sources(EXTENSION),
  // The globals of a document exist in a service worker, too.
  plugins: [WHOLE],
  inject: ['src/extension/globals.ts'],
  define: { 'globalThis.document': 'document' },
})
await build({
  ...withoutSources,
  entryPoints: sources(PROGRAM),
  plugins: [{ name: 'beside', setup: (build) => build.onResolve({ filter: BESIDE }, beside) }],
})
for (const entry of Object.keys({ ...browser, ...CALLBACK, ...TOOLS, ...EXTENSION }))
  await shrink(entry, { comments: /webpackIgnore|@vite-ignore/, ...DIRECTIVES[entry] })
if (!/webpackIgnore.*\n.*@vite-ignore/.test(await readFile(dist('index.js'), 'utf8')))
  throw new Error('dist/index.js has lost the comments with which bundlers leave an import to the browser')
await buildTesting(common, WHOLE)
// Server files have line breaks, so that the line number in a stack trace is useful. Browser files have no line breaks,
// because each line break is one more byte to download.
for (const entry of Object.keys({ ...SERVER, ...PROGRAM }))
  await shrink(entry, { max_line_len: 200, comments: /webpackIgnore/ })
await copyVaultModule()
await copyEdgeModule()

/** Returns a document for npm: with the parts that are comments elsewhere, and without those about a clone. */
const forNpm = (text) =>
  text
    .replace(/^<!-- only in the package\n(.*?)^-->$\n/gms, '$1')
    .replace(/<!-- only in the repository -->.*?<!-- end -->\n+/gs, '')

/**
 * Returns a document as the package contains it, without images, comments and text for the site. A link to a packaged file stays. A link to a source
 * file becomes a link to the types of that file. Any other relative link is replaced by its label.
 */
const pack = (file, text) =>
  withoutComments(forNpm(text))
    .replace(/^!\[.*\]\(.*\)\n+/gm, '')
    .replace(/\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)/g, (link, label, path) => {
      const target = join(dirname(file), path)
      const source = /^pkg\/(src\/[\w/-]+)\.ts$/.exec(target)
      if (source) {
        const types = `${source[1].replace('src', 'dist')}.d.ts`
        return `[${label}](${relative(dirname(file), types)})`
      }
      return PACKED.includes(target) ? link : label
    })

/**
 * The documents of the package: those for users, which stand in the index of documents. They are copied into the package's
 * folder, because npm packs only files in that folder.
 */
const index = await readFile(at('../docs/README.md'), 'utf8')
const PACKED = ['LICENSE-MIT', 'LICENSE-APACHE', 'README.md', ...userDocuments(index)]
const packed = async (file) => pack(file, await readFile(at(`../${file}`), 'utf8'))
await mkdir(at('./docs'))
for (const file of PACKED) await writeFile(at(`./${file}`), await packed(file))
const written = Object.entries(skills(await packed('README.md')))
const skillPaths = written.map(([path]) => path)
await writeFile(at('./llms.txt'), llms(index, PACKED, skillPaths))
for (const [path, text] of written) {
  await mkdir(at(`./${dirname(path)}`), { recursive: true })
  await writeFile(at(`./${path}`), text)
}
