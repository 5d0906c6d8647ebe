// The callback page of docs/callback-page.md, built by bundlers as its second page, under the generated headers. In a
// browser, a login must end in the app, and the callback page must load none of the app's scripts.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build as esbuild } from 'esbuild'
import { build as viteBuild } from 'vite'
import webpack from 'webpack'
import { readGuide } from '../recipes/guide.mjs'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL } from '../support/combinations.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { install, pack } from './tarball.mjs'

const time = { timeout: 120_000 }

/** The page's source, and the pages of tools that do not build HTML. */
const page = (script) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>A page</title>
    <link rel="icon" href="data:," />
    <script type="module" src="${script}"></script>
  </head>
  <body></body>
</html>
`

/** Writes the pages for scripts that a tool has built. */
async function writePages(folder) {
  await writeFile(`${folder}/built/index.html`, page('/main.js'))
  await writeFile(`${folder}/built/callback.html`, page('/callback.js'))
}

/** Functions that build the app into the folder `built`. */
const BUNDLERS = {
  async vite(folder, config) {
    const { viteHeaders } = await import(`${project}/node_modules/strongroom/dist/headers.js`)
    await viteBuild({
      root: folder,
      configFile: false,
      plugins: [viteHeaders(config, { worker: '/auth.worker.js' })],
      logLevel: 'error',
      build: { target: 'es2022', outDir: 'built', rolldownOptions: { input: PAGES } },
      worker: { format: 'es', rolldownOptions: { output: { entryFileNames: '[name].js' } } },
    })
  },

  async webpack(folder) {
    const stats = await promisify(webpack)({
      mode: 'production',
      // The minifier takes most of the time. tests/packaging/matrix.test.mjs runs a minified app.
      optimization: { minimize: ALL },
      context: folder,
      entry: { main: './src/main.ts', callback: './src/callback.ts' },
      output: { path: `${folder}/built`, filename: '[name].js', publicPath: '/' },
      module: {
        rules: [{ test: /\.ts$/, use: fileURLToPath(new URL('typescript_loader.mjs', import.meta.url)) }],
      },
    })
    assert.deepEqual(stats.toJson({ all: false, errors: true }).errors, [])
    await writePages(folder)
  },

  async esbuild(folder) {
    await esbuild({
      absWorkingDir: folder,
      entryPoints: ['src/main.ts', 'src/callback.ts', 'src/auth.worker.ts'],
      outdir: 'built',
      bundle: true,
      splitting: true,
      format: 'esm',
      logLevel: 'warning',
    })
    await cp(
      `${folder}/../node_modules/strongroom/dist/strongroom_bg.wasm`,
      `${folder}/built/strongroom_bg.wasm`,
    )
    await writePages(folder)
  },
}

/** The pages in the guide's line for Vite. */
let PAGES
let browser, guide, project, servers

before(async () => {
  const tarball = await pack()
  project = await install('callback', tarball.path)
  guide = await readGuide('docs/callback-page.md')
  PAGES = /input: (\[.*?\])/.exec(guide.inline('rolldownOptions'))[1].match(/[\w.]+(?=')/g)
  servers = await startServers()
  browser = await launchBrowser()
})
after(() => Promise.all([browser?.close(), servers?.close()]))

/**
 * Writes the guide's files, and builds them. With `app`, the callback page may start the app in its own document. `changed`
 * are other contents of files.
 */
async function build(bundler, { session, app, changed, name = app ? 'app' : 'alone' }) {
  const folder = `${project}/${bundler}-${name}`
  await mkdir(folder)
  await cp(`${project}/src`, `${folder}/src`, { recursive: true })
  const config = {
    issuer: servers.provider.issuer,
    clientId: CLIENT_ID,
    redirectUri: '/callback',
    callbackPage: true,
    scope: 'openid profile offline_access',
    consent: 'always',
    apis: [{ url: servers.api.url }],
    session,
  }
  const workers = guide.block('// src/workers.ts')
  const callback = guide.block('// src/callback.ts')
  const withApp = guide.block('finishLogin({ shared, dedicated, app:').trim()
  const files = {
    'index.html': page('/src/main.ts'),
    'callback.html': guide.block('<!-- callback.html'),
    'src/auth.worker.ts': `import { vault } from 'strongroom/worker'\nvault(${JSON.stringify(config)})`,
    // esbuild does not find workers, so this is the address of the built one.
    'src/workers.ts':
      bundler === 'esbuild'
        ? workers.replaceAll("new URL('./auth.worker.ts', import.meta.url)", "'/auth.worker.js'")
        : workers,
    'src/auth.ts': guide.block('// src/auth.ts'),
    'src/callback.ts': app ? callback.replace(/^finishLogin.*$/m, withApp) : callback,
    ...changed,
  }
  for (const [path, text] of Object.entries(files)) await writeFile(`${folder}/${path}`, text)
  await BUNDLERS[bundler](folder, config)
  return { config, built: `${folder}/built` }
}

/** Serves a build under the headers that the package generates. */
async function serve({ config, built }) {
  const { site } = servers
  const { securityHeaders } = await import(`${project}/node_modules/strongroom/dist/headers.js`)
  const scripts = (await readdir(built, { recursive: true })).filter((path) => path.endsWith('.js'))
  const headers = securityHeaders(config, {
    origin: site.origin,
    worker: '/any.js',
    page: { 'worker-src': ["'self'"] },
  })
  site.roots.splice(0, Infinity, built)
  site.routes['/callback'] = '/callback.html'
  site.headers = {
    '/index.html': headers.page,
    '/callback.html': headers.callback,
    // A policy of a script file takes effect only if the script becomes a worker.
    ...Object.fromEntries(scripts.map((path) => [`/${path}`, headers.worker])),
  }
  site.routes['/orders'] = '/index.html'
  // The guide's page names no icon, so the browser requests this one.
  site.files['/favicon.ico'] = ''
  return site
}

/** Signs in. Resolves with what the app shows, the scripts that the callback page has loaded, and what was printed. */
async function signIn(site) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    const printed = []
    const requested = []
    page.on('console', (message) => printed.push(message.text()))
    page.on('pageerror', (error) => printed.push(error.message))
    page.on('request', (request) => requested.push(new URL(request.url()).pathname))
    const shown = async (part) => {
      const found = page.locator(`html[data-result*='${part}']`)
      await found.waitFor({ state: 'attached' }).catch((error) => {
        throw new Error([error.message, ...printed].join('\n'))
      })
      return JSON.parse(await found.getAttribute('data-result'))
    }
    await page.goto(`${site.origin}/orders?list=1`)
    assert.equal((await shown('null')).user, null)
    const ofApp = requested.splice(0).filter((path) => path.endsWith('.js'))
    await page.click('html')
    await giveConsent(page)
    const { user, document } = await shown('alice')
    const { pathname, search } = new URL(page.url())
    const onCallback = requested.slice(
      requested.indexOf('/callback'),
      requested.lastIndexOf('/orders') + 1 || undefined,
    )
    return { user, document, address: pathname + search, printed, ofApp, onCallback }
  } finally {
    await context.close()
  }
}

for (const bundler of Object.keys(BUNDLERS)) {
  test(`${bundler} builds a callback page that loads nothing of the app`, time, async () => {
    const site = await serve(await build(bundler, { session: { persist: 'sealed' } }))
    const { ofApp, onCallback, ...rest } = await signIn(site)
    assert.deepEqual(rest, { user: 'alice', document: '/orders', address: '/orders?list=1', printed: [] })
    assert.ok(
      onCallback.some((path) => path.endsWith('.js')),
      `${onCallback}`,
    )
    // The entry of the app is the first script that its page loads.
    assert.ok(!onCallback.includes(ofApp[0]), `${ofApp[0]} in ${onCallback}`)
  })

  test(`${bundler} builds a callback page in which the app starts`, time, async () => {
    const site = await serve(await build(bundler, { app: true }))
    const { user, document, address, printed } = await signIn(site)
    assert.deepEqual(
      { user, document, address, printed },
      { user: 'alice', document: '/callback', address: '/orders?list=1', printed: [] },
    )
  })
}

/** Resolves with the attributes of the callback page's tags. */
async function builtPage({ built }) {
  const html = await readFile(`${built}/callback.html`, 'utf8')
  const [, file] = /src="([^"]*)"/.exec(html)
  const hash = createHash('sha384').update(await readFile(built + file))
  return { html, hash: `sha384-${hash.digest('base64')}` }
}

test('vite writes the hash of the callback page’s only script into the page', time, async () => {
  const { html, hash } = await builtPage(await build('vite', { name: 'hash' }))
  assert.match(html, /<!doctype html>[^]*<head>\s*<meta http-equiv="Content-Security-Policy"/)
  assert.ok(html.includes(`integrity="${hash}"`) && html.includes(`script-src '${hash}';`), html)
  assert.equal(html.match(/<(script|link)\b/g).length, 1)
})

test('vite allows the app’s scripts in a callback page in which the app starts', time, async () => {
  const { html, hash } = await builtPage(await build('vite', { app: true, name: 'hash-app' }))
  assert.ok(html.includes(`integrity="${hash}"`), html)
  assert.ok(!html.includes('Content-Security-Policy'), html)
})

const FOREIGN = 'https://cdn.example.com/monitoring.js'
for (const [what, file, change, expected] of [
  [
    'imports a script that it does not contain',
    'src/callback.ts',
    (code) => `import '${FOREIGN}'\n${code}`,
    /callback page's script imports https:\/\/cdn\.example\.com\/monitoring\.js/,
  ],
  [
    'has a second script',
    'callback.html',
    (code) => code.replace('<script', `<script src="${FOREIGN}"></script>\n    <script`),
    /the callback page must have one script/,
  ],
]) {
  test(`vite refuses a callback page that ${what}`, time, async () => {
    const block = guide.block(file === 'callback.html' ? '<!-- callback.html' : `// ${file}`)
    const changed = { [file]: change(block) }
    await assert.rejects(build('vite', { changed, name: what.replaceAll(' ', '-') }), expected)
  })
}
