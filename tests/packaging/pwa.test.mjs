// The service workers of docs/pwa.md, made by the tools themselves, in a built app with a callback page and the generated
// headers. In a browser, the vault must work beside them, and script that writes into their caches must reach neither
// the vault nor the callback page.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { build as esbuild } from 'esbuild'
import { build as viteBuild } from 'vite'
import { readGuide } from '../recipes/guide.mjs'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL, leftOut, rows } from '../support/combinations.mjs'
import { killWorkers } from '../support/device.mjs'
import { stopServiceWorkers } from '../support/escrow.mjs'
import { PNG, show } from '../support/media.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { until } from '../support/until.mjs'
import { installWorkers, modules } from '../support/workers.mjs'
import { install, pack } from './tarball.mjs'

const time = { timeout: 60_000 }
const run = promisify(execFile)

const html = (script, head) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>A page</title>
    <link rel="icon" href="data:," />
    ${head}
    <script type="module" src="${script}"></script>
  </head>
  <body></body>
</html>
`

let browser, callbackGuide, config, guide, mediaGuide, project, servers

/** Returns the last argument of the only call in a block. */
const lastArgument = (block) => new Function(`return ${/\{[^]*\}/.exec(block)[0]}`)()
const pluginOptions = (hasMedia) =>
  hasMedia
    ? new Function(`return ${/VitePWA\((\{[^]*?\n *\})\)/.exec(mediaGuide.block('importScripts:'))[1]}`)()
    : lastArgument(guide.block('VitePWA('))

/** What Workbox writes with `skipWaiting` and `clientsClaim`, the defaults of vite-plugin-pwa's `autoUpdate`. */
const TAKES_OVER = `
import { clientsClaim } from 'workbox-core'
self.skipWaiting()
clientsClaim()`

/** Functions that write the service worker of a built app. `vite-plugin-pwa` has written it already. */
const TOOLS = {
  async 'vite-plugin-pwa'() {},

  async 'Workbox generateSW'({ built, hasFirst, hasMedia, takesOver }) {
    const { default: workbox } = await import(`${modules}workbox-build/build/index.js`)
    const [alone] = guide.row('Workbox `generateSW`')
    await workbox.generateSW({
      globDirectory: built,
      swDest: `${built}/sw.js`,
      navigateFallback: 'index.html',
      ...(hasFirst ? pluginOptions(hasMedia).workbox : lastArgument(`{ ${alone.slice(0, 2).join()} }`)),
      ...(takesOver && { skipWaiting: true, clientsClaim: true }),
    })
  },

  async 'Workbox in a worker of your own'({ folder, built, hasMedia, takesOver }) {
    const { default: workbox } = await import(`${modules}workbox-build/build/index.js`)
    const code = (hasMedia ? mediaGuide : guide).block('// src/sw.ts')
    await writeFile(`${folder}/src/sw.ts`, code + (takesOver ? TAKES_OVER : ''))
    await esbuild({
      entryPoints: [`${folder}/src/sw.ts`],
      outfile: `${folder}/sw.js`,
      bundle: true,
      define: { 'process.env.NODE_ENV': '"production"' },
      nodePaths: [modules, `${project}/node_modules`],
      logLevel: 'warning',
    })
    const { globIgnores } = pluginOptions().workbox
    const files = { swSrc: `${folder}/sw.js`, swDest: `${built}/sw.js` }
    await workbox.injectManifest({ globDirectory: built, globIgnores, ...files })
  },

  async 'Angular’s'({ folder, built, hasMedia }) {
    const angular = `${modules}@angular/service-worker/`
    const settings = guide
      .block('// ngsw-config.json')
      .replace(/^\/\/.*/, '')
      .replace('"!/first.js"', hasMedia ? '"!/first.js", "!/media.js"' : '"!/first.js"')
    await writeFile(`${folder}/ngsw-config.json`, settings)
    await run(process.execPath, [`${angular}ngsw-config.js`, 'built', 'ngsw-config.json'], { cwd: folder })
    await copyFile(`${angular}ngsw-worker.js`, `${built}/ngsw-worker.js`)
    const code = hasMedia ? mediaGuide.inline("'ngsw-worker.js'") : guide.block('// public/sw.js')
    await writeFile(`${built}/sw.js`, code)
  },
}

before(async () => {
  const tarball = await pack()
  project = await install('pwa', tarball.path)
  const paths = ['docs/pwa.md', 'docs/callback-page.md', 'docs/media.md']
  ;[guide, callbackGuide, mediaGuide] = await Promise.all(paths.map(readGuide))
  await installWorkers()
  servers = await startServers()
  browser = await launchBrowser()
  config = {
    issuer: servers.provider.issuer,
    clientId: CLIENT_ID,
    redirectUri: '/callback',
    callbackPage: true,
    scope: 'openid profile offline_access orders',
    consent: 'always',
    apis: [{ url: servers.api.url }],
    session: { persist: 'sealed' },
  }
}, time)
after(() => Promise.all([browser?.close(), servers?.close()]))

/**
 * Builds the app of the guides with one of the tools. Without `hasFirst`, with the tool's own options alone. With
 * `hasMedia`, pictures load by URL. With `hasIntegrity`, the callback page is one script, whose hash it names.
 * With `takesOver`, a new service worker waits neither for pages nor for a message.
 */
async function build(tool, { hasFirst = true, hasMedia = false, hasIntegrity = false, takesOver = false }) {
  const folder = [
    project,
    [tool.replaceAll(/\W+/g, '-'), hasFirst, hasMedia, hasIntegrity, takesOver].join('-'),
  ].join('/')
  const built = `${folder}/built`
  await mkdir(`${folder}/public`, { recursive: true })
  await cp(`${project}/src`, `${folder}/src`, { recursive: true })
  const isPlugin = tool === 'vite-plugin-pwa'
  const manifest = '<link rel="manifest" href="/manifest.webmanifest" />'
  const callback = (part) => callbackGuide.block(part)
  const files = {
    'index.html': html('/src/main.ts', isPlugin ? '' : manifest),
    'callback.html': callback('<!-- callback.html'),
    'public/first.js': guide.block('// public/first.js'),
    ...(!isPlugin && { 'public/manifest.webmanifest': '{ "name": "A test", "start_url": "/" }' }),
    'src/auth.worker.ts': `import { vault } from 'strongroom/worker'\nvault(${JSON.stringify(configOf(hasMedia))})`,
    'src/media.ts': mediaGuide.block('// src/media.ts'),
    'src/workers.ts': callback('// src/workers.ts'),
    'src/auth.ts': callback('// src/auth.ts'),
    'src/callback.ts': callback('// src/callback.ts'),
    'src/register.ts': guide.block('// main.ts'),
  }
  for (const [path, text] of Object.entries(files)) await writeFile(`${folder}/${path}`, text)
  const { VitePWA } = await import(`${modules}vite-plugin-pwa/dist/index.js`)
  const { viteHeaders } = await import(`${project}/node_modules/strongroom/dist/headers.js`)
  await viteBuild({
    root: folder,
    configFile: false,
    logLevel: 'error',
    plugins: [
      hasIntegrity && viteHeaders(configOf(hasMedia), { worker: '/assets/auth.worker.js' }),
      isPlugin && VitePWA({ ...pluginOptions(hasMedia), manifest: { name: 'A test', icons: [] } }),
    ],
    build: {
      target: 'es2022',
      outDir: built,
      rolldownOptions: {
        input: [...PAGES, ...(hasMedia ? ['src/media.ts'] : [])].map((name) => `${folder}/${name}`),
        ...(hasMedia && { output: { entryFileNames } }),
      },
    },
    worker: { format: 'es', rolldownOptions: { output: { entryFileNames: 'assets/[name].js' } } },
  })
  await TOOLS[tool]({ folder, built, hasFirst, hasMedia, takesOver })
  return built
}

const entryFileNames = ({ name }) => (name === 'media' ? 'media.js' : 'assets/[name]-[hash].js')

const configOf = (hasMedia) => {
  const media = { url: `${servers.api.url}on/files/`, reflection: 'headers', media: '/media/' }
  return hasMedia ? { ...config, apis: [media, ...config.apis] } : config
}

const PAGES = ['index.html', 'callback.html']

/** The promises of `build()`, by tool and options. */
const builds = {}

/** Serves a build with the guide's headers. Resolves with a page under the control of the build's service worker. */
async function start(tool, options = {}) {
  const { site } = servers
  const { hasMedia = false } = options
  const built = await (builds[`${tool} ${JSON.stringify(options)}`] ??= build(tool, options))
  const { securityHeaders } = await import(`${project}/node_modules/strongroom/dist/headers.js`)
  const given = lastArgument(guide.block('securityHeaders('))
  const headers = securityHeaders(configOf(hasMedia), { ...given, origin: site.origin })
  site.isDown = false
  // The guide's callback page names no icon, so the browser requests this one.
  site.files['/favicon.ico'] = ''
  site.serviceWorkers = [given.serviceWorker]
  site.roots.splice(0, Infinity, built)
  site.routes = Object.assign(site.routes, { '/callback': '/callback.html', '/orders': '/index.html' })
  const files = (await readdir(built, { recursive: true })).map((path) => [`/${path}`, headers.page])
  site.headers = {
    ...Object.fromEntries(files),
    [given.worker]: headers.worker,
    '/callback.html': headers.callback,
  }
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(20_000)
  const printed = (page.printed = [])
  page.on('console', (message) => printed.push(message.text()))
  page.on('pageerror', (error) => printed.push(error.message))
  await page.goto(site.origin)
  await shows(page, { status: 'connected', user: null })
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}))
  // The next vault starts under the control of the service worker.
  await page.goto('about:blank')
  await killWorkers(page).catch(() => {})
  await page.goto(`${site.origin}/orders`)
  assert.ok(await page.evaluate(() => !!navigator.serviceWorker.controller))
  await shows(page, { status: 'connected', user: null })
  return { page, site, built, printed }
}

/** Waits until the app shows this state. */
async function shows(page, expected) {
  try {
    await page.waitForFunction((expected) => {
      const shown = JSON.parse(document.documentElement.dataset.result ?? '{}')
      return Object.entries(expected).every(([name, value]) => shown[name] === value)
    }, expected)
  } catch (error) {
    const shown = await page.evaluate(() => [location.href, document.documentElement.dataset.result])
    throw new Error([error.message, ...shown, ...page.printed].join('\n'))
  }
}

async function signIn(page) {
  await page.evaluate(() => void auth.login())
  await giveConsent(page)
  await page.waitForURL('**/orders')
  await shows(page, { status: 'connected', user: 'alice' })
}

/** Resolves with the URL and the body of each response in the caches, and the headers of its request. */
const cached = (page) =>
  page.evaluate(async () => {
    const found = []
    for (const name of await caches.keys()) {
      const cache = await caches.open(name)
      for (const request of await cache.keys()) {
        const response = await cache.match(request)
        found.push([request.url, [...request.headers].join(), await response.text()])
      }
    }
    return found
  })

/** Adds a line to each script in the caches. Resolves with their number. */
const plant = (page) =>
  page.evaluate(async () => {
    let count = 0
    for (const name of await caches.keys()) {
      const cache = await caches.open(name)
      for (const request of await cache.keys()) {
        const { pathname } = new URL(request.url)
        if (!pathname.endsWith('.js')) continue
        const { headers } = await cache.match(request)
        const code = `fetch('/planted?' + location.pathname, { keepalive: true }).catch(() => {});\n`
        const body = code + (await (await cache.match(request)).text())
        await cache.put(
          request,
          new Response(body, { headers: { 'Content-Type': headers.get('content-type') } }),
        )
        count++
      }
    }
    return count
  })

const call = (page) =>
  page.evaluate(
    (url) =>
      auth.fetch(url).then(
        ({ status }) => status,
        ({ name, code }) => code ?? name,
      ),
    `${servers.api.url}orders`,
  )

for (const tool of rows(Object.keys(TOOLS))) {
  describe(tool, { timeout: 300_000 }, () => {
    test(
      'a user signs in, and calls the API; the caches have the shell, and nothing of the vault',
      time,
      async () => {
        const { page, site, printed } = await start(tool)
        const since = site.requests.length
        await signIn(page)
        assert.equal(await call(page), 200)
        assert.ok(site.requests.slice(since).some(({ path }) => path === '/callback'))
        const responses = await cached(page)
        const paths = responses.map(([url]) => new URL(url).pathname)
        assert.ok(paths.includes('/index.html'), `${paths}`)
        assert.ok(
          paths.every((path) => !/auth\.worker|\.wasm|callback|first/.test(path)),
          `${paths}`,
        )
        const { value: code } = servers.ledger.newest('authorization_code')
        const text = JSON.stringify(responses)
        assert.ok(!text.includes(code))
        const requests = responses.map(([url, headers]) => `${url} ${headers}`).join()
        for (const part of [servers.api.origin, config.issuer, 'Bearer'])
          assert.ok(!requests.includes(part), part)
        const [worker] = page.context().serviceWorkers()
        assert.deepEqual(await worker.evaluate(() => [typeof Worker, typeof SharedWorker]), [
          'undefined',
          'undefined',
        ])
        // The callback page warns, because it cannot see what the service worker does.
        assert.deepEqual(
          printed.filter((line) => !/a service worker controls the callback page/.test(line)),
          [],
        )
        await page.context().close()
      },
    )

    const usual = { ...time, skip: !ALL && tool !== 'vite-plugin-pwa' && 'only with --all' }
    // claim: end-25
    test('without a network, the app starts, uses a vault that runs, and recovers', usual, async () => {
      const { page, site } = await start(tool)
      await signIn(page)
      site.isDown = true
      // The vault of this tab runs on.
      const tab = await page.context().newPage()
      await tab.goto(`${site.origin}/orders`)
      await shows(tab, { status: 'connected', user: 'alice' })
      await tab.close()
      // No vault runs any more.
      await page.goto('about:blank')
      await killWorkers(page)
      await page.goto(`${site.origin}/orders`)
      await shows(page, { status: 'failed', code: 'worker_failed' })
      site.isDown = false
      await page.evaluate(() => dispatchEvent(new Event('online')))
      // The app connects by itself, five seconds after the failure.
      await shows(page, { status: 'connected', user: 'alice' })
      assert.equal(await call(page), 200)
      await page.context().close()
    })

    test('pictures load by URL, and no cache has one', time, async () => {
      servers.api.on('files', ({ response }) => {
        response.writeHead(200, { 'Content-Type': 'image/png', 'Content-Length': PNG.length }).end(PNG)
      })
      const { page } = await start(tool, { hasMedia: true })
      await signIn(page)
      assert.equal(await page.evaluate(() => auth.media()), true)
      for (const n of [1, 2]) assert.equal(await show(page, 'img', { src: `/media/${n}.png` }), 'load')
      const paths = (await cached(page)).map(([url]) => new URL(url).pathname)
      assert.ok(paths.includes('/index.html'), `${paths}`)
      assert.ok(
        paths.every((path) => !path.startsWith('/media/')),
        `${paths}`,
      )
      await page.context().close()
    })

    leftOut('a lazy route loads after the service worker was stopped', time, async () => {
      const { page, site, built } = await start(tool)
      const [lazy] = (await readdir(built, { recursive: true })).filter((path) => /lazy/.test(path))
      const load = async () => {
        await page.goto(`${site.origin}/orders`)
        await shows(page, { status: 'connected' })
        await stopServiceWorkers(page)
        return () => page.evaluate(() => lazy())
      }
      // Without a network: a service worker that starts again knows no page.
      const offline = await load()
      site.isDown = true
      assert.equal(await offline(), 'lazy')
      // After a deployment, the server no longer has the file.
      site.isDown = false
      const deployed = await load()
      const undo = site.override(`/${lazy}`, { status: 404 })
      assert.equal(await deployed(), 'lazy')
      undo()
      // A response to another query is another one.
      await load()
      const name = await page.evaluate(async (url) => {
        const headers = { 'Content-Type': 'text/javascript' }
        const cache = await caches.open('runtime')
        await cache.put(`${url}?a`, new Response('export const name = "of a"', { headers }))
        return (await import(`${url}?b`)).name
      }, `/${lazy}`)
      assert.equal(name, 'lazy')
      await page.context().close()
    })

    // claim: callback-9
    test('script that writes into the caches reaches neither vault nor callback page', time, async () => {
      const { page, built } = await start(tool)
      assert.deepEqual(await reached(page, built), { isCallback: false, isVault: false })
      await page.context().close()
    })

    // claim: callback-9
    test('script that replaces the service worker during a login reaches neither', time, async () => {
      const { page, site, built } = await start(tool, { takesOver: /^Workbox/.test(tool) })
      const attacker = await page.context().newPage()
      await attacker.goto(`${site.origin}/orders`)
      assert.deepEqual(await reached(page, built, attacker), { isCallback: false, isVault: false })
      await page.context().close()
    })
  })
}

// claim: callback-9
test('with the options of a tool alone, the callback page works, but script reaches it', time, async () => {
  const { page, built } = await start('Workbox generateSW', { hasFirst: false })
  await signIn(page)
  const paths = (await cached(page)).map(([url]) => new URL(url).pathname)
  assert.ok(!paths.some((path) => /callback\.html|auth\.worker.*\.js|\?/.test(path)), `${paths}`)
  await page.evaluate(() => auth.logout())
  await shows(page, { user: null })
  assert.equal((await reached(page, built)).isCallback, true)
  await page.context().close()
})

// claim: callback-9
test('with integrity, the callback page runs nothing of the caches', time, async () => {
  const { page, site, printed } = await start('Workbox generateSW', { hasFirst: false, hasIntegrity: true })
  await signIn(page)
  await page.evaluate(() => auth.logout())
  await shows(page, { user: null })
  await plant(page)
  const since = site.requests.length
  await page.evaluate(() => void auth.login())
  await giveConsent(page)
  await page.waitForURL('**/callback?**')
  await until(() => printed.some((line) => /integrity/.test(line)))
  assert.deepEqual(
    site.requests.slice(since).filter(({ path }) => path === '/planted'),
    [],
  )
  await page.context().close()
})

/** Registers the service worker under another address, and lets it take over. Runs in a page. */
const replaceWorker = async () => {
  const { serviceWorker } = navigator
  const isNew = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
  const registration = await serviceWorker.register('/sw.js?x')
  const activate = () => registration.waiting?.postMessage({ type: 'SKIP_WAITING' })
  if (registration.installing) registration.installing.onstatechange = activate
  // It may have been installed before `register()` has resolved.
  activate()
  await isNew
}

/**
 * Writes into the caches, and signs in. With `attacker`, script of that page replaces the service worker when the callback
 * page's script is requested. Resolves with the places in which the written code has run, when it has run in the app that
 * comes after the login.
 */
async function reached(page, built, attacker) {
  const { site } = servers
  const { requests, origin } = site
  assert.ok((await plant(page)) > 0)
  await page.goto('about:blank')
  await killWorkers(page).catch(() => {})
  await page.goto(`${origin}/orders`)
  await shows(page, { status: 'connected', user: null })
  const since = requests.length
  // The page's own script is requested at once, and what it imports only when it has arrived.
  let done
  const hold = () => (done ??= attacker.evaluate(replaceWorker))
  const undo = attacker ? site.override('/callback', { hold }) : () => {}
  await signIn(page).finally(undo)
  const places = () => requests.slice(since).flatMap(({ path, query }) => (path === '/planted' ? query : []))
  while (!places().includes('?/orders')) await page.evaluate(() => new Promise(requestAnimationFrame))
  return {
    isCallback: places().includes('?/callback'),
    isVault: places().some((place) => /worker/.test(place)),
  }
}
