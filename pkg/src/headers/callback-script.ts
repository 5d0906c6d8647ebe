/**
 * The callback page of a Vite build: its scripts become one file, whose hash the page names. Script of the app's other pages
 * can write into the caches of the app's service worker. The callback page then runs none of it, also under another service
 * worker.
 */
import { invalid } from './checks.js'

/** A script that Vite writes. */
interface Chunk {
  type: 'chunk'
  fileName: string
  code: string
  isEntry: boolean
  facadeModuleId: string | null
  moduleIds: string[]
  imports: string[]
}
export type Bundle = Record<string, Chunk | { type: 'asset'; source: string | Uint8Array }>

/** The part of Vite's configuration that says where the bundler is, and what it does. */
interface Vite {
  root: string
  build: { minify?: unknown }
}

/** A file for `emitFile()`. */
interface EmittedAsset {
  type: 'asset'
  fileName: string
  source: string
}

/**
 * Returns the address of a file of the package, in a form that no bundler of an app resolves: its bundle of
 * `strongroom/headers` then has no files that only a build uses.
 */
export const beside = (file: string): string => import.meta.url.replace(/[^/]*$/, file)

/**
 * Merges the scripts of the page that calls `finishLogin()`, if a bundle has one, and writes their hash into the page.
 * Resolves with the file of the merged script.
 *
 * @throws `StrongroomError` `config_invalid` if something stays outside of the file.
 */
export const mergeCallbackPage = async (bundle: Bundle, vite: Vite): Promise<EmittedAsset | undefined> => {
  const [{ createHash }, { fileURLToPath }] = await Promise.all([import('node:crypto'), import('node:url')])
  const entry = entryOf(bundle, fileURLToPath(new URL(beside('callback.js'))))
  if (!entry) return
  const { code, loadsMore } = await merge(bundle, entry, vite)
  const hash = (algorithm: string) => createHash(algorithm).update(code)
  const name = `callback-${hash('sha256').digest('base64url').slice(0, 8)}.js`
  const fileName = entry.fileName.replace(/[^/]*$/, name)
  const integrity = `sha384-${hash('sha384').digest('base64')}`
  const page = Object.values(bundle).find(
    (file) => file.type === 'asset' && String(file.source).includes(entry.fileName),
  )
  if (page?.type !== 'asset') throw invalid(`no page of this build loads ${entry.fileName}`)
  const html = withOneScript(String(page.source), entry.fileName, fileName, integrity)
  // With the option `app`, the app's scripts run in this document, after the login.
  page.source = loadsMore ? html : withPolicy(html, integrity)
  // No other script imports that of a page.
  delete bundle[entry.fileName]
  return { type: 'asset', fileName, source: code }
}

/** Returns the script of the page that runs the package's file `callback`, or `undefined` without such a page. */
const entryOf = (bundle: Bundle, callback: string): Chunk | undefined =>
  Object.values(bundle)
    .filter((file) => file.type === 'chunk')
    .filter(({ isEntry, facadeModuleId }) => isEntry && facadeModuleId?.endsWith('.html'))
    .find((entry) => withImports(bundle, entry).some(({ moduleIds }) => moduleIds.includes(callback)))

/** Returns a script and all that it imports. */
const withImports = (bundle: Bundle, chunk: Chunk, seen = new Set<Chunk>()): Chunk[] => {
  seen.add(chunk)
  for (const name of chunk.imports) {
    const file = bundle[name]
    if (file?.type === 'chunk' && !seen.has(file)) withImports(bundle, file, seen)
  }
  return [...seen]
}

/** The part of Rolldown's interface, and of Rollup's, that is used here. */
type Bundler = (options: object) => Promise<{ generate(options: object): Promise<{ output: Output[] }> }>
interface Output {
  code: string
  imports: string[]
  dynamicImports: string[]
}

/** Resolves with a function that bundles as the app's Vite does. */
const bundlerOf = async ({ root, build }: Vite): Promise<(options: object) => Promise<Output[]>> => {
  const [{ createRequire }, { pathToFileURL }] = await Promise.all([
    import('node:module'),
    import('node:url'),
  ])
  const load = (from: string, name: string) =>
    import(/* webpackIgnore: true */ pathToFileURL(createRequire(from).resolve(name)).href)
  const vite = createRequire(`${root}/package.json`).resolve('vite')
  const run = async (bundler: Bundler, more: object, options: object) =>
    (await (await bundler(options)).generate({ format: 'es', ...more })).output
  // Vite 8 has the first of them, which prints the code again, and earlier versions the second one.
  const { rolldown } = await load(vite, 'rolldown').catch(() => ({}))
  if (rolldown) return (options) => run(rolldown, { minify: build.minify !== false }, options)
  const { rollup } = await load(vite, 'rollup')
  return (options) => run(rollup, {}, options)
}

/** Merges a script with all that it imports. Only what it loads later stays outside. */
const merge = async (
  bundle: Bundle,
  entry: Chunk,
  vite: Vite,
): Promise<{ code: string; loadsMore: boolean }> => {
  const inBundle = {
    name: 'strongroom-callback',
    resolveId(source: string, importer: string | undefined, { kind }: { kind?: string }) {
      if (!importer) return source
      const name = new URL(source, `file:///${importer}`).pathname.slice(1)
      return kind === 'dynamic-import' || !bundle[name] ? { id: source, external: true } : name
    },
    // Rollup does not tell the kind.
    resolveDynamicImport: (source: unknown) => ({ id: String(source), external: true }),
    load: (name: string) => (bundle[name] as Chunk).code,
  }
  const bundleScripts = await bundlerOf(vite)
  const output = await bundleScripts({ input: entry.fileName, plugins: [inBundle], logLevel: 'silent' })
  const [{ code, imports, dynamicImports }] = output as [Output]
  if (output.length > 1 || imports.length)
    throw invalid(
      `the callback page's script imports ${imports.join(', ') || 'other scripts'}, which the hash in the page does not cover: all that callback.ts imports must be part of the build (docs/callback-page.md)`,
    )
  return { code, loadsMore: dynamicImports.length > 0 }
}

/** Returns the HTML of the callback page with its one script, in place of the scripts that Vite has written. */
const withOneScript = (html: string, replaced: string, fileName: string, integrity: string): string => {
  const written = html
    .replace(/\s*<link\b[^>]*\brel="?modulepreload\b[^>]*>/g, '')
    .replace(/<script\b[^>]*>/g, (tag) =>
      tag.includes(replaced)
        ? tag.replace(replaced, fileName).replace(/>$/, ` integrity="${integrity}">`)
        : tag,
    )
  if (!written.includes(integrity) || written.match(/<script\b/g)!.length > 1)
    throw invalid(
      'the callback page must have one script, which calls finishLogin(): remove the others (docs/callback-page.md)',
    )
  return written
}

/**
 * Returns the HTML with a policy that allows this script, and no other. The header's policy says which worker the page may
 * start: without a directive for workers, this one would forbid each.
 */
const withPolicy = (html: string, integrity: string): string => {
  const policy = `<meta http-equiv="Content-Security-Policy" content="script-src '${integrity}'; worker-src 'self'">`
  // Comments may stand before each of these.
  return html.replace(/^(\s*<(!--[^]*?--|!doctype\b[^>]*|html\b[^>]*|head\b[^>]*)>)*/i, `$&\n    ${policy}`)
}
