import { build } from 'esbuild'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../../', import.meta.url))

/**
 * Creates a folder in which the built `strongroom` package is installed.
 *
 * @returns {Promise<{ path: string, remove(): Promise<void> }>}
 */
export async function newFolder() {
  const path = await mkdtemp(join(tmpdir(), 'strongroom-edge-'))
  await mkdir(join(path, 'node_modules'))
  await symlink(join(root, 'pkg'), join(path, 'node_modules/strongroom'))
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}

/**
 * Bundles an entry and everything it imports into one file.
 *
 * An imported wasm module is copied beside the file and its import is kept, for platforms that support this. A module
 * named by `new URL('./….wasm', import.meta.url)` is also copied.
 *
 * @param {object} options
 * @param {string} options.folder From `newFolder()`.
 * @param {string} options.source The entry's source text. It imports absolute paths and packages.
 * @param {string} options.name The file's name.
 * @param {string[]} options.conditions Conditions that select a package's exports.
 * @param {'neutral' | 'node'} options.platform With `'node'`, Node's modules may be imported.
 * @param {'esm' | 'iife'} [options.format]
 * @param {(name: string) => string} [options.wasmAs] Returns source text that replaces an imported wasm module.
 * @returns {Promise<{ file: string, wasm: string[] }>} The paths of the bundle and of the copied wasm files.
 */
export async function bundle({ folder, source, name, conditions, platform, format = 'esm', wasmAs }) {
  const file = join(folder, name)
  const wasm = new Map()
  const modules = {
    name: 'wasm',
    setup(build) {
      build.onResolve({ filter: /\.wasm(\?module)?$/ }, async ({ path, resolveDir, kind, pluginData }) => {
        if (pluginData === 'resolved') return
        const options = { resolveDir, kind, pluginData: 'resolved' }
        const found = await build.resolve(path.replace('?module', ''), options)
        const name = basename(found.path)
        wasm.set(name, found.path)
        return wasmAs ? { path: name, namespace: 'wasm' } : { path: `./${name}`, external: true }
      })
      build.onLoad({ filter: /./, namespace: 'wasm' }, ({ path }) => ({ contents: wasmAs(path) }))
    },
  }
  const { metafile } = await build({
    stdin: { contents: source, resolveDir: folder, sourcefile: 'entry' },
    absWorkingDir: root,
    nodePaths: [join(folder, 'node_modules'), join(root, 'node_modules')],
    bundle: true,
    outfile: file,
    metafile: true,
    format,
    platform,
    mainFields: ['module', 'main'],
    conditions,
    target: 'es2022',
    // Libraries that are written in CommonJS need `require`.
    banner: platform === 'node' ? { js: REQUIRE } : {},
    plugins: [modules],
    logLevel: 'warning',
  })
  for (const input of Object.keys(metafile.inputs)) {
    if (!input.startsWith('pkg/dist/')) continue
    const text = await readFile(join(root, input), 'utf8')
    for (const [, path] of text.matchAll(/new URL\("\.\/([\w-]+\.wasm)",import\.meta\.url\)/g)) {
      wasm.set(path, join(root, dirname(input), path))
    }
  }
  const copies = [...wasm].map(async ([name, from]) => {
    await copyFile(from, join(folder, name))
    return join(folder, name)
  })
  return { file, wasm: await Promise.all(copies) }
}

const REQUIRE = `import { createRequire as __createRequire } from 'node:module'
const require = __createRequire(import.meta.url)`
