/**
 * Bundles strongroom/testing into one script. The script contains three parts besides the code in src/testing:
 *
 * - `PAGE_CODE`, a function that runs the page's code. Its parameter shadows the page's globals, so that the same
 *   sources run with virtual time, and several times in one process.
 * - `CORE_CODE`, a function that runs the glue of the core. Each world has a module of its own.
 * - `MODULE`, the core in base64, because test runners do not load files by URL.
 */
import { build } from 'esbuild'
import { readFile, writeFile } from 'node:fs/promises'

/** The names of `PageGlobals` in src/testing/platform.ts. */
const globals = async () => {
  const source = await readFile(new URL('./src/testing/platform.ts', import.meta.url), 'utf8')
  const [, members] = /interface PageGlobals \{([^}]+)\}/.exec(source)
  return [...members.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name)
}

/** Bundles a file, with everything that it imports, into an expression for its exports. */
const bundle = async (common, whole, entry) => {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [`src/testing/${entry}.ts`],
    plugins: [whole],
    format: 'iife',
    globalName: 'exported',
    write: false,
    sourcemap: false,
    // The glue never loads the module by URL.
    define: { 'import.meta.url': '""' },
  })
  return `${outputFiles[0].text};return exported`
}

/**
 * @param common The build options that all files of the package share.
 * @param whole The plugin for files that contain everything.
 */
export const buildTesting = async (common, whole) => {
  const [names, page, core, module] = await Promise.all([
    globals(),
    bundle(common, whole, 'page'),
    bundle(common, whole, 'core'),
    readFile(new URL('./glue/strongroom_testing_bg.wasm', import.meta.url), 'base64'),
  ])
  const parts = [
    `const PAGE_CODE=(globals)=>{const {${names}}=globals;${page}};`,
    `const CORE_CODE=()=>{${core}};`,
    `const MODULE="${module}";`,
  ]
  await build({
    ...common,
    entryPoints: [{ in: 'src/testing/index.ts', out: 'testing' }],
    banner: { js: parts.join('\n') },
    sourcemap: true,
    sourcesContent: false,
    plugins: [
      {
        name: 'page',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/page\/index\.js$/ }, () => ({ path: './index.js', external: true })),
      },
    ],
  })
  const file = new URL('./dist/testing.js', import.meta.url)
  await writeFile(file, (await readFile(file, 'utf8')).trimEnd())
}
