// The callback page of docs/callback-page.md, built by bundlers as its second page, under the generated headers. In a
// browser, a login must end in the app, and the callback page must load none of the app's scripts.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build as esbuild } from 'esbuild'
import { build as viteBuild, createLogger } from 'vite'
import webpack from 'webpack'
import { readGuide } from '../recipes/guide.mjs'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL, leftOut, rows } from '../support/combinations.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { install, installLocked, pack, root, unpack } from './tarball.mjs'

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
  async vite(folder, config, { pages: input = PAGES, output, plugins = [], copy, ...more } = {}) {
    const home = dirname(folder)
    const own = `${home}/node_modules/strongroom`
    const used = copy ? `${folder}-other/node_modules/strongroom` : own
    if (copy) await cp(own, used, { recursive: true })
    const { viteHeaders } = await import(`${used}/dist/headers.js`)
    const warned = []
    const isOld = home === vite7
    const { build } = isOld
      ? await import(`${vite7}/node_modules/vite/dist/node/index.js`)
      : { build: viteBuild }
    const bundlerOptions = isOld ? 'rollupOptions' : 'rolldownOptions'
    await build({
      root: folder,
      configFile: false,
      plugins: [viteHeaders(config, { worker: '/auth.worker.js' }), ...plugins],
      customLogger: { ...createLogger('error'), warn: (message) => warned.push(message) },
      worker: { format: 'es', [bundlerOptions]: { output: { entryFileNames: '[name].js' } } },
      ...more,
      build: {
        target: 'es2022',
        outDir: 'built',
        [bundlerOptions]: { input: isOld ? input.map((path) => `${folder}/${path}`) : input, output },
        ...more.build,
      },
    })
    return warned.filter((message) => message.startsWith('strongroom'))
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

/** The folder of apps that Vite 7 builds. The root's Rolldown is in a folder above it, as in many repositories. */
const vite7 = `${root}target/packaging/vite-7`

/** The pages in the guide's line for Vite. */
let PAGES
let browser, guide, project, servers

before(async () => {
  const tarball = await pack()
  project = await install('callback', tarball.path)
  await installLocked(fileURLToPath(new URL('apps/vite-7/', import.meta.url)), vite7)
  await unpack(vite7, tarball.path)
  guide = await readGuide('docs/callback-page.md')
  PAGES = /input: (\[.*?\])/.exec(guide.inline('rolldownOptions'))[1].match(/[\w.]+(?=')/g)
  servers = await startServers()
  browser = await launchBrowser()
})
after(() => Promise.all([browser?.close(), servers?.close()]))

/**
 * Writes the guide's files, and builds them. With `app`, the callback page may start the app in its own document. `changed`
 * returns other contents of files, and `vite` other options of Vite.
 */
async function build(bundler, { session, app, changed, vite, name = app ? 'app' : 'alone', home = project }) {
  const folder = `${home}/${bundler}-${name}`
  await rm(folder, { recursive: true, force: true })
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
  }
  Object.assign(files, changed?.({ html: files['callback.html'], callback: files['src/callback.ts'] }))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(`${folder}/${path}`), { recursive: true })
    await writeFile(`${folder}/${path}`, text)
  }
  const warned = await BUNDLERS[bundler](folder, config, vite)
  return { config, built: `${folder}/built`, warned }
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

for (const bundler of rows(Object.keys(BUNDLERS))) {
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

/** Asserts that a page has one script, whose hash it names. Resolves with the page, and with the script's path. */
async function assertHash(built, path, base = '/') {
  const html = await readFile(`${built}/${path}`, 'utf8')
  const running = html.replaceAll(/<!-- [^]*?-->|<script type="(application|importmap)/g, '')
  assert.equal(running.match(/<script\b|modulepreload/gi).length, 1, html)
  const [, address] = /src="([^"]*)"/.exec(running)
  const url = new URL(base === './' ? address : address.replace(base, '/'), `http://any/${path}`)
  const code = await readFile(built + decodeURI(url.pathname), 'utf8')
  const hash = `sha384-${createHash('sha384').update(code).digest('base64')}`
  assert.ok(html.includes(` integrity="${hash}"`), html)
  if (base === './') {
    // The expression by which Vite writes the worker's relative address.
    const [worker] = /(?<=new URL\()new URL\(`[^]*?\.href(?=,``)/.exec(code)
    const file = new Function(`return ${worker.replaceAll('import.meta.url', JSON.stringify(url.href))}`)()
    assert.equal(new URL(file).pathname, '/auth.worker.js')
  }
  return { html, hash, url, code }
}

/** Asserts that only the hashed script may run in a page. */
async function assertAlone(...build) {
  const { html, hash } = await assertHash(...build)
  assert.match(html, /<!doctype html>[^]*<head>\s*<meta http-equiv="Content-Security-Policy"/)
  assert.ok(html.includes(`script-src '${hash}';`), html)
  // The policy would refuse it.
  assert.doesNotMatch(html, /importmap/)
}

const slug = (what) => what.replaceAll(/\W+/g, '-')

// claim: callback-9
test('vite writes the hash of the callback page’s only script into the page', time, async () => {
  await assertAlone((await build('vite', { name: 'hash' })).built, 'callback.html')
})

/** The callback page's script, which waits for its workers. */
const waiting = ({ callback }) => ({
  'src/callback.ts': callback.replace(/import (.*) from ('.\/workers.ts')/, 'const $1 = await import($2)'),
})
const TWO_FOLDERS = {
  base: './',
  output: { entryFileNames: 'pages/of/[name].js', chunkFileNames: 'parts/[name].js' },
}

const MAP = '<script type="importmap">{ "imports": {} }</script>'
const secondScript =
  (tag) =>
  ({ html }) => ({ 'callback.html': html.replace('<script', `${tag}\n    <script`) })

for (const [what, changed, vite] of [
  ['is the entry of a page'],
  ['may need an import map', secondScript(MAP)],
  ['loads later, as its workers do', waiting],
  [
    'is loaded by a function with a name',
    ({ callback }) => ({
      'src/callback.ts': `${callback.replace("() => import('./main.ts')", 'start')}
function start() {
  document.title = 'Starts'
  return import('./main.ts')
}`,
    }),
  ],
  ['is in another folder', undefined, TWO_FOLDERS],
  [
    'is no page’s entry',
    ({ callback }) => ({
      'src/main.ts': "import('./start.ts')",
      'src/start.ts': "import './auth.ts'\ndocument.title = 'App'",
      'src/callback.ts': callback.replace('./main.ts', './start.ts'),
    }),
  ],
]) {
  leftOut(`vite leaves the app outside of the callback page’s file if it ${what}`, time, async () => {
    const { built } = await build('vite', { app: true, changed, vite, name: `app-${slug(what)}` })
    const { html, url, code } = await assertHash(built, 'callback.html', vite?.base)
    assert.ok(!html.includes('Content-Security-Policy'), html)
    assert.equal(html.includes(MAP), what.includes('import map'))
    const [[, app], ...others] = code.matchAll(/\bimport\([`"']([^`"']*)[`"']\)/g)
    assert.deepEqual(others, [])
    await readFile(built + new URL(app, url).pathname)
  })
}

const DE = { pages: ['index.html', 'de/callback.html', 'callback.html'] }
const BOTH = ['callback.html', 'de/callback.html']
const inGroup = (name, file) => ({ output: { codeSplitting: { groups: [{ name, test: file }] } } })
leftOut('vite builds a callback page that waits for its workers', time, async () => {
  const session = { persist: 'sealed' }
  const site = await serve(await build('vite', { session, changed: waiting, name: 'waiting' }))
  const { user, document, printed } = await signIn(site)
  assert.deepEqual({ user, document, printed }, { user: 'alice', document: '/orders', printed: [] })
})

/** Builds: what is special, the changed files, the options of Vite, and the pages whose only script has a hash. */
const PROTECTED = [
  [
    'two callback pages with two scripts',
    ({ html, callback }) => ({
      'de/callback.html': html.replace('callback.ts', 'de.ts'),
      'src/de.ts': `document.documentElement.lang = 'de'\n${callback}`,
    }),
    DE,
    BOTH,
  ],
  ['two callback pages with one script', ({ html }) => ({ 'de/callback.html': html }), DE, BOTH],
  [
    'an app that can load callback.ts',
    () => ({ 'src/main.ts': "import './auth.ts'\ndocument.onclick = () => import('./callback.ts')" }),
  ],
  [
    'an app that imports callback.ts',
    () => ({ 'src/main.ts': "import './auth.ts'\nimport './callback.ts'" }),
    {},
    ['callback.html', 'index.html'],
  ],
  ['a group of callback.ts', undefined, inGroup('group', /callback\.ts|workers\.ts/)],
  ['a group of everything', undefined, inGroup('group', /./)],
  [
    'finishLogin() that loads later',
    ({ callback }) => ({
      'src/callback.ts': callback
        .replace(/import \{ finishLogin.*/, '')
        .replace(
          /^finishLogin(.*)/m,
          "import('strongroom/callback').then(({ finishLogin }) => finishLogin$1)",
        ),
    }),
  ],
  ['workers that load later', waiting],
  [
    'an app that imports something else beside finishLogin()',
    () => ({
      'src/all.ts': "export { finishLogin } from 'strongroom/callback'\nexport { auth } from './auth.ts'",
      'src/main.ts': "import { auth } from './all.ts'\nglobalThis.auth = auth",
    }),
  ],
  [
    'addresses that the app makes',
    undefined,
    {
      experimental: { renderBuiltUrl: (name) => `https://cdn.example.com/files/${name}?v=1` },
      base: '/files/',
    },
  ],
  [
    'addresses with a query',
    undefined,
    {
      plugins: [
        {
          name: 'query',
          transformIndexHtml: { order: 'post', handler: (html) => html.replaceAll('.js"', '.js?v=1"') },
        },
      ],
    },
  ],
  ['a script in a comment', secondScript('<!-- <script src="/old.js"></script> -->')],
  ['data', secondScript('<script type="application/ld+json">{ "name": "<!--" }</script>')],
  ['an import map', secondScript(MAP)],
  ['the plugin of another copy', undefined, { copy: true }],
  [
    'a page whose name ends like the callback page’s',
    () => ({ 'a-callback.html': page('/src/main.ts') }),
    {
      pages: ['a-callback.html', 'index.html', 'callback.html'],
      output: { entryFileNames: '[name].js' },
      build: { manifest: true },
    },
  ],
  ['relative addresses', undefined, { base: './' }],
  ['relative addresses and two folders', undefined, TWO_FOLDERS],
  ['a base', undefined, { base: '/app/' }],
  [
    'a name with an umlaut',
    ({ callback }) => ({
      'src/wörker.ts': "export * from './workers.ts'",
      'src/main.ts': "import './wörker.ts'\nimport './auth.ts'",
      'src/callback.ts': callback.replace('./workers.ts', './wörker.ts'),
    }),
    inGroup('wörker', /w(ö|o)rkers?\.ts/),
  ],
]
for (const [what, changed, vite = {}, expected = ['callback.html']] of rows(PROTECTED)) {
  test(`vite writes the hash with ${what}`, time, async () => {
    const { built } = await build('vite', { changed, vite, name: slug(what) })
    const files = await readdir(built, { recursive: true })
    for (const path of files.filter((path) => path.endsWith('.html'))) {
      if (expected.includes(path)) await assertAlone(built, path, vite.base)
      else assert.doesNotMatch(await readFile(`${built}/${path}`, 'utf8'), /integrity/, path)
    }
    // All that another file names is there.
    const manifest = files.find((path) => path.endsWith('manifest.json'))
    if (!manifest) return
    for (const { file } of Object.values(JSON.parse(await readFile(`${built}/${manifest}`, 'utf8'))))
      assert.ok(files.includes(file), file)
  })
}

for (const [what, changed, vite] of [
  [
    'is not a part of the build',
    ({ html }) => ({ 'public/callback.html': html.replace('/src/callback.ts', '/callback.js') }),
    { pages: ['index.html', 'src/callback.ts'] },
  ],
  ['is not there', undefined, { pages: ['index.html'] }],
  ['is not the only one that can load finishLogin()', PROTECTED.find(([what]) => /can load/.test(what))[1]],
]) {
  leftOut(`vite warns of a callback page that ${what}`, time, async () => {
    const { warned } = await build('vite', { changed, vite, name: slug(what) })
    assert.equal(warned.length, 1)
    assert.match(warned[0], /callbackPage: true.*docs\/callback-page\.md/)
  })
}

test('vite finds finishLogin() in a path of Windows', async () => {
  const { viteHeaders } = await import(`${project}/node_modules/strongroom/dist/headers.js`)
  const config = { issuer: 'https://id.example.com', apis: [], redirectUri: '/callback', callbackPage: true }
  const plugin = viteHeaders(config, { worker: '/auth.worker.js' })
  await plugin.configResolved({ root: 'C:/app', base: '/', build: {} })
  const imported = {
    'C:/app/callback.html': ['C:\\app\\node_modules\\strongroom\\dist\\callback.js'],
  }
  const context = {
    getModuleIds: () => Object.keys(imported),
    getModuleInfo: (id) => ({ isEntry: true, importedIds: imported[id] ?? [], dynamicallyImportedIds: [] }),
  }
  // The page was found, and this build has written none.
  await assert.rejects(plugin.generateBundle.handler.call(context, {}, {}), /the build has no callback\.html/)
})

const firstLine =
  (line) =>
  ({ callback }) => ({ 'src/callback.ts': `${line}\n${callback}` })
leftOut('vite 7 writes the hash of a file by Rollup', time, async () => {
  const older = (name, changed, app) => build('vite', { home: vite7, name, changed, app })
  await assertAlone((await older('hash')).built, 'callback.html')
  await assertHash((await older('app', undefined, true)).built, 'callback.html')
  // Rolldown would keep the order.
  await assert.rejects(
    older('later', waiting),
    /callback\.html imports .*, which this version of Vite would run/,
  )
  await assert.rejects(
    older('computed', firstLine('import(location.hash)')),
    /the script of callback\.html imports location\.hash, which/,
  )
})

test('vite warns of no callback page that has the hash', time, async () => {
  assert.deepEqual((await build('vite', { name: 'control' })).warned, [])
})

const FOREIGN = 'https://cdn.example.com/monitoring.js'
/** A plugin that changes files after the other plugins. */
const later = (type, change) => ({
  plugins: [
    {
      name: 'later',
      generateBundle: {
        order: 'post',
        handler(_, bundle) {
          for (const [name, file] of Object.entries(bundle)) {
            if (name.endsWith(type))
              file[file.type === 'chunk' ? 'code' : 'source'] = change(file.code ?? file.source)
          }
        },
      },
    },
  ],
})
for (const [what, changed, expected, vite] of [
  [
    'imports a script that it does not contain',
    firstLine(`import '${FOREIGN}'`),
    /the script of callback\.html imports https:\/\/cdn\.example\.com\/monitoring\.js/,
  ],
  [
    'later imports a script that it does not contain',
    firstLine(`import('${FOREIGN}')`),
    /the script of callback\.html imports https:\/\/cdn\.example\.com\/monitoring\.js/,
  ],
  [
    'later imports an address that it computes',
    firstLine('import(location.hash)'),
    /the script of callback\.html imports location\.hash, which/,
  ],
  [
    'has a second script after a comment that ends at once',
    secondScript(`<!--><script src="${FOREIGN}"></script><!-- -->`),
    /callback\.html must have one script/,
  ],
  [
    'has a second script',
    secondScript(`<script src="${FOREIGN}"></script>`),
    /callback\.html must have one script/,
  ],
  [
    'has a second script in capitals',
    secondScript(`<SCRIPT SRC="${FOREIGN}"></SCRIPT>`),
    /callback\.html must have one script/,
  ],
  [
    'gets another script afterwards',
    undefined,
    /callback\.html was changed after its hash was written/,
    later('.html', (html) => html.replace('</head>', '<script src="/a.js"></script></head>')),
  ],
  [
    'has a script that changes afterwards',
    undefined,
    /callback\.html was changed after its hash was written/,
    later('.js', (code) => `/* banner */${code}`),
  ],
]) {
  leftOut(`vite refuses a callback page that ${what}`, time, async () => {
    await assert.rejects(build('vite', { changed, vite, name: slug(what) }), expected)
  })
}
