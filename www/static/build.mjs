/**
 * Builds the pages that need no server: the demo with its worker, and the playground. They may be in any folder of any
 * origin, since all their addresses are relative.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { STYLE } from '../../tests/support/pages.mjs'
import { BUNDLE } from '../bundle.mjs'
import { readPage } from '../page.mjs'
import { readExamples } from '../playground/examples.mjs'

const at = (path) => new URL(path, import.meta.url)

/** Files of the static demo that replace files of the demo with servers. */
const REPLACED = {
  name: 'static',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(addresses|popup)\.js$/ }, ({ path }) => ({
      path: fileURLToPath(at(path.replace('.js', '.ts'))),
    }))
  },
}

/** Returns the address of a document on a site whose folders have the pages `demo` and `playground`. */
const onSite = (name) => `../${name.replace(/README$/, '')}`

/**
 * @param {object} [options]
 * @param {(name: string) => string} [options.document] Returns the address of a document in `docs`, such as `protection`
 *   or `providers/README`, relative to the pages.
 * @returns {Promise<Record<string, string | Uint8Array>>} The files by path, such as `/demo/index.html`.
 */
export async function buildStatic({ document = onSite } = {}) {
  const wasm = await readFile(at('../../pkg/dist/strongroom_bg.wasm'))
  const shared = {}
  for (const name of ['style.css', 'icon.svg', 'dial.svg']) shared[name] = await readFile(at(`../${name}`))
  const comparison = (await readPage('local-storage.html', ['static'], document))
    .replaceAll('"./', '"../')
    .replace(/<script .*<\/script>/, '<script src="../comparison.js" defer></script>')
  shared['header.css'] = await readFile(at('header.css'))
  Object.assign(shared, await bundle(['header.ts'], 'iife'))
  const demo = {
    ...shared,
    ...(await bundle(['../app.ts', 'auth.worker.ts'], 'esm')),
    // A sandboxed frame cannot load modules, and the provider's pages have to know their script's address.
    ...(await bundle(['comparison.ts', 'authorize.ts', 'logout.ts'], 'iife')),
    'strongroom_bg.wasm': wasm,
    'provider.css': STYLE,
    'index.html': current('demo', await readPage('index.html', ['static'], document)),
    'comparison/index.html': comparison,
    'provider/authorize/index.html': await readFile(at('authorize.html')),
    'provider/logout/index.html': await readFile(at('logout.html')),
  }
  const playground = {
    ...shared,
    ...(await bundle(['../playground/playground.ts', '../playground/auth.worker.ts'], 'esm')),
    'strongroom_bg.wasm': wasm,
    'playground.css': await readFile(at('../playground/playground.css')),
    'index.html': current(
      'playground',
      await readPage('playground/index.html', ['static'], document),
    ).replace(/(?<=id="examples">)(?=<)/, JSON.stringify(await readExamples()).replaceAll('<', '\\u003c')),
  }
  return { ...within('/demo/', demo), ...within('/playground/', playground) }
}

/** Marks the page of this folder in the site's header. */
const current = (folder, html) => html.replace(`href="../${folder}/"`, '$& aria-current="page"')

function within(folder, files) {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [folder + name, content]))
}

async function bundle(entryPoints, format) {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(at('.')),
    entryPoints,
    entryNames: '[name]',
    ...BUNDLE,
    format,
    plugins: [REPLACED],
    define: { FRAME: '""', HANDLER: '""' },
    // `viteHeaders()` imports modules of Node, and the playground does not call it.
    external: ['node:*'],
  })
  return Object.fromEntries(outputFiles.map(({ path, contents }) => [path.split('/').at(-1), contents]))
}

/**
 * Returns the response headers of a file: those that docs/deployment.md recommends.
 *
 * @param {string} path A path of `buildStatic()`, such as `/demo/index.html`.
 * @param {object} place
 * @param {string} place.origin The site's origin.
 * @param {string} [place.base] The folder with the pages, without a slash at its end.
 */
export function headersOf(path, { origin, base = '' }) {
  const [folder] = path.match(/^\/\w+\//)
  const own = base + folder
  const frames = folder === '/demo/' ? { 'frame-src': [`${origin}${own}comparison/`] } : {}
  // The demo's provider and API are in its worker, and the playground's worker sends no requests.
  const { page, worker } = securityHeaders(
    { issuer: origin, apis: [] },
    { origin, worker: `${own}auth.worker.js`, trustedTypes: ['auth-worker'], page: frames },
  )
  if (path.endsWith('/auth.worker.js')) return worker
  if (path.startsWith('/demo/comparison/')) {
    const CSP = 'Content-Security-Policy'
    // For WebKit, a sandboxed document has no `'self'`.
    const policy = page[CSP].replace("frame-ancestors 'none'", "frame-ancestors 'self'").replaceAll(
      "'self'",
      origin,
    )
    return { ...page, [CSP]: `${policy}; sandbox allow-scripts` }
  }
  return page
}

/**
 * Returns the rules of a `_headers` file, which hosts such as Cloudflare Pages read, for one of the folders.
 *
 * @param {'demo' | 'playground'} folder
 * @param {{ origin: string, base?: string }} place As for `headersOf()`.
 */
export function headersFile(folder, place) {
  const of = (file) => headersOf(`/${folder}/${file}`, place)
  const page = of('index.html')
  const rule = (path, headers, removed = {}) => {
    const removals = Object.keys(removed).map((name) => `  ! ${name}`)
    const lines = Object.entries(headers).map(([name, value]) => `  ${name}: ${value}`)
    return [`${place.base ?? ''}/${folder}/${path}`, ...removals, ...lines, ''].join('\n')
  }
  const worker = rule('auth.worker.js', of('auth.worker.js'), page)
  const frame = folder === 'demo' ? rule('comparison/*', of('comparison/index.html'), page) : ''
  return rule('*', page) + worker + frame
}
