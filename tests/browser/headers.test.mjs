// The headers of `strongroom/headers` in a browser, and on the hosts' own software where it is a dependency.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Miniflare } from 'miniflare'
import { createServer, preview } from 'vite'
import { cloudflareHeaders, securityHeaders, viteHeaders } from '../../pkg/dist/headers.js'
import { call, signIn, startApp } from '../support/app.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { startElsewhere } from '../support/elsewhere.mjs'
import { CONFIG, CSP, generate, MEDIA, OPTIONS } from '../support/headers.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 60_000 }

for (const [base, loads] of [
  [true, true],
  [false, false],
]) {
  test(`base: ${base} lets <base> change the page’s addresses: ${loads}`, time, async () => {
    let headers = {}
    const files = {
      '/main.js': "document.title = 'loaded'",
      '/orders/7': '<!doctype html><base href="/"><script src="main.js"></script>',
    }
    const site = await listen({
      handler: ({ url }, response) => {
        const type = url.endsWith('.js') ? 'text/javascript' : 'text/html'
        response.writeHead(files[url] ? 200 : 404, { ...headers, 'Content-Type': type }).end(files[url])
      },
    })
    const origin = `http://127.0.0.1:${site.port}`
    headers = generate({}, { base, origin }).page
    const { browser, close } = await shareBrowser()
    try {
      const page = await browser.newPage()
      await page.goto(`${origin}/orders/7`)
      assert.equal(await page.title(), loads ? 'loaded' : '')
      await page.close()
    } finally {
      await close()
      await site.close()
    }
  })
}

/** Calls `use` with a folder that contains the files of a small app. */
async function withFiles(files, use) {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-headers-'))
  try {
    await mkdir(join(folder, 'assets'))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const FILES = { 'index.html': '<!doctype html>', 'auth.worker.js': '', 'assets/worker-1a2b.js': '' }

/** Returns those headers of a response that strongroom generates. */
const received = (headers, { page, worker }) => {
  const names = Object.keys({ ...page, ...worker })
  return Object.fromEntries(names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)]] : [])))
}

for (const [worker, path] of [
  ['/auth.worker.js', '/auth.worker.js'],
  ['/assets/', '/assets/worker-1a2b.js'],
]) {
  test(`Cloudflare sends one policy per file; worker: ${worker}`, time, async () => {
    const options = { ...OPTIONS, worker }
    const expected = generate({}, { worker })
    await withFiles({ ...FILES, _headers: cloudflareHeaders(CONFIG, options) }, async (directory) => {
      const cloudflare = new Miniflare({ modules: true, script: 'export default {}', assets: { directory } })
      try {
        const fetchFrom = (at) => cloudflare.dispatchFetch(`https://app.example.com${at}`)
        const get = async (at) => (await fetchFrom(at)).headers
        assert.deepEqual(received(await get('/'), expected)[CSP], expected.page[CSP])
        const { 'Cache-Control': _, ...onWorker } = received(await get(path), expected)
        const { 'Cache-Control': __, ...expectedOnWorker } = expected.worker
        assert.deepEqual(onWorker, expectedOnWorker)
        // This path would leave the folder if Cloudflare decoded it.
        assert.equal((await fetchFrom('/assets/..%2fauth.worker.js')).status, 404)
      } finally {
        await cloudflare.dispose()
      }
    })
  })
}

test('Vite’s preview sends all headers, its server all but the page’s policy', time, async () => {
  await withFiles(FILES, async (root) => {
    const shared = { root, configFile: false, logLevel: 'silent', plugins: [viteHeaders(CONFIG, OPTIONS)] }
    const previewed = await preview({
      ...shared,
      build: { outDir: '.' },
      preview: { port: 0, host: '127.0.0.1' },
    })
    const served = await createServer({
      ...shared,
      server: { port: 0, host: '127.0.0.1', hmr: false, ws: false },
    })
    try {
      const { port } = previewed.httpServer.address()
      const expected = generate({}, { origin: `http://127.0.0.1:${port}` })
      const get = async (server, at, init) =>
        fetch(`http://127.0.0.1:${server.httpServer.address().port}${at}`, init)
      const page = await get(previewed, '/')
      assert.deepEqual(received(page.headers, { page: expected.page }), expected.page)
      const worker = await get(previewed, '/auth.worker.js')
      assert.deepEqual(received(worker.headers, { worker: expected.worker }), expected.worker)
      const named = await get(previewed, '/?worker_file')
      assert.equal(named.headers.get(CSP), expected.page[CSP])
      const foreign = await get(previewed, '/auth.worker.js', { headers: { 'Service-Worker': 'script' } })
      assert.equal(foreign.status, 403)
      assert.match(await foreign.text(), /option `serviceWorker` of viteHeaders/)
      await served.listen()
      const developed = await get(served, '/')
      const { [CSP]: policy, ...others } = expected.page
      assert.ok(policy)
      assert.deepEqual(received(developed.headers, { page: others }), others)
      assert.equal(developed.headers.get(CSP), null)
      const source = await get(served, '/auth.worker.js?worker_file&type=module')
      // In development, the worker imports other files of the server.
      const { port: at } = served.httpServer.address()
      const sourcesOf = { 'worker-src': ["'self'"] }
      assert.equal(
        source.headers.get(CSP),
        generate({}, { origin: `http://127.0.0.1:${at}`, page: sourcesOf }).worker[CSP],
      )
    } finally {
      await Promise.all([new Promise((closed) => previewed.httpServer.close(closed)), served.close()])
    }
  })
})

test('Vite’s servers have nothing at the addresses of media()', time, async () => {
  await withFiles(FILES, async (root) => {
    const shared = { root, configFile: false, logLevel: 'silent', plugins: [viteHeaders(MEDIA, OPTIONS)] }
    const port = { port: 0, host: '127.0.0.1' }
    const previewed = await preview({ ...shared, build: { outDir: '.' }, preview: port })
    const served = await createServer({ ...shared, server: { ...port, hmr: false, ws: false } })
    try {
      await served.listen()
      for (const server of [previewed, served]) {
        const origin = `http://127.0.0.1:${server.httpServer.address().port}`
        for (const path of ['/media/a', '/media/']) {
          const response = await fetch(origin + path, { headers: { Accept: 'text/html' } })
          assert.equal(response.status, 404, path)
          assert.equal(response.headers.get('X-Content-Type-Options'), 'nosniff')
        }
        assert.equal((await fetch(`${origin}/`)).status, 200)
      }
    } finally {
      await Promise.all([new Promise((closed) => previewed.httpServer.close(closed)), served.close()])
    }
  })
})

test('both of Vite’s servers send the headers of the callback page', time, async () => {
  const config = { ...CONFIG, redirectUri: '/callback', callbackPage: true }
  await withFiles({ ...FILES, 'callback.html': '<title>callback</title>' }, async (root) => {
    const shared = { root, configFile: false, logLevel: 'silent', plugins: [viteHeaders(config, OPTIONS)] }
    const port = { port: 0, host: '127.0.0.1' }
    const previewed = await preview({ ...shared, build: { outDir: '.' }, preview: port })
    const served = await createServer({ ...shared, server: { ...port, hmr: false, ws: false } })
    try {
      await served.listen()
      for (const server of [previewed, served]) {
        const origin = `http://127.0.0.1:${server.httpServer.address().port}`
        const { headers, ok } = await fetch(`${origin}/callback?code=1`)
        const { callback } = generate(config, { origin })
        const policy = server === served ? "frame-ancestors 'none'" : callback[CSP]
        const expected = { ...callback, [CSP]: policy }
        assert.ok(ok)
        assert.deepEqual(received(headers, { page: expected }), expected)
      }
    } finally {
      await Promise.all([new Promise((closed) => previewed.httpServer.close(closed)), served.close()])
    }
  })
})

test(
  'Vite’s preview sends the list of exits for its own address, and its server only if asked',
  time,
  async () => {
    const config = { ...CONFIG, clientId: 'spa', redirectUri: '/callback' }
    const metadata = { authorization_endpoint: 'https://id.example.com/authorize' }
    const list = ({ headers }) => headers.get('Connection-Allowlist')
    const port = { port: 0, host: '127.0.0.1' }
    await withFiles(FILES, async (root) => {
      const start = async (exits) => {
        const plugins = [viteHeaders(config, { ...OPTIONS, metadata, exits })]
        const shared = { root, configFile: false, logLevel: 'silent', plugins }
        const previewed = await preview({ ...shared, build: { outDir: '.' }, preview: port })
        const served = await createServer({ ...shared, server: { ...port, hmr: false, ws: false } })
        await served.listen()
        const lists = []
        for (const { httpServer } of [previewed, served]) {
          const origin = `http://127.0.0.1:${httpServer.address().port}`
          const { page } = securityHeaders(config, { ...OPTIONS, origin, metadata, exits: {} })
          lists.push({ sent: list(await fetch(origin)), own: page['Connection-Allowlist'] })
        }
        await Promise.all([new Promise((closed) => previewed.httpServer.close(closed)), served.close()])
        return lists
      }
      const [previewed, served] = await start({})
      assert.equal(previewed.sent, previewed.own)
      assert.equal(served.sent, null)
      const [, asked] = await start({ development: true })
      assert.equal(asked.sent, asked.own)
    })
  },
)

for (const [name, guarded] of [
  ['Vite refuses encoded slashes in the worker’s folder', true],
  ['a control: a server that decodes them starts a file of another folder', false],
]) {
  test(name, time, async () => {
    // A server that decodes the path, as nginx does.
    const decoding = {
      name: 'decoding',
      configurePreviewServer({ middlewares }) {
        middlewares.use((request, _, next) => {
          request.url = new URL(decodeURIComponent(request.url), 'http://any').pathname
          next()
        })
      },
    }
    const headers = viteHeaders(CONFIG, { worker: '/assets/' })
    // In the control, the plugin sees only decoded paths.
    const plugins = guarded ? [headers, decoding] : [decoding, headers]
    const files = { ...FILES, 'assets/worker-1a2b.js': 'postMessage(1)', 'evil.js': 'postMessage(1)' }
    await withFiles(files, async (root) => {
      const shared = { root, configFile: false, logLevel: 'silent', plugins }
      const server = await preview({
        ...shared,
        build: { outDir: '.' },
        preview: { port: 0, host: '127.0.0.1' },
      })
      const { browser, close } = await shareBrowser()
      try {
        const page = await browser.newPage()
        await page.goto(`http://127.0.0.1:${server.httpServer.address().port}/`)
        const starts = (path) =>
          page.evaluate(
            (url) =>
              new Promise((resolve) => {
                const worker = new Worker(url)
                worker.onmessage = () => resolve(true)
                worker.onerror = () => resolve(false)
              }),
            path,
          )
        assert.equal(await starts('/assets/worker-1a2b.js'), true)
        assert.equal(await starts('/evil.js'), false)
        assert.equal(await starts('/assets/..%2fevil.js'), !guarded)
        assert.equal(await starts('/%61ssets%2f..%2Fevil.js'), !guarded)
        await page.close()
      } finally {
        await close()
        await new Promise((closed) => server.httpServer.close(closed))
      }
    })
  })
}

/** In the browser, the vault's configuration has two APIs. */
let app
let elsewhere
const WORKER = '/strongroom/standalone.js'

before(async () => {
  elsewhere = await startElsewhere()
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  const { files } = app.site
  // The standalone worker is one file, so `worker-src` needs to name no other.
  files['/tools.js'] = files['/tools.js'].replaceAll('/auth.worker.js', WORKER)
  files['/strongroom/strongroom.json'] = JSON.stringify({ ...app.config, apis: allApis() })
})
after(() => Promise.all([app?.close(), elsewhere?.close()]))

const allApis = () => [...app.config.apis, { url: `${elsewhere.origin}/` }]

/** Signs in under the headers for these APIs. Resolves with the outcomes of calls to both servers. */
async function outcomes(apis) {
  const { site, config, api } = app
  const options = { origin: site.origin, worker: WORKER }
  const generated = securityHeaders({ ...config, apis }, options)
  const restore = [
    site.override('/index.html', { headers: generated.page }),
    site.override(WORKER, { headers: generated.worker }),
  ]
  elsewhere.paths.length = 0
  try {
    const page = await app.open()
    await signIn(page)
    const results = [await call(page, `${api.url}me`), await call(page, `${elsewhere.origin}/me`)]
    await page.evaluate(() => auth.logout())
    await page.context().close()
    return results
  } finally {
    for (const undo of restore) undo()
  }
}

// claim: script-26
test('under its headers the worker reaches what is named only', time, async () => {
  const [named, other] = await outcomes(app.config.apis)
  assert.equal(named.value?.status, 200)
  assert.ok(other.error?.isTypeError, JSON.stringify(other))
  assert.deepEqual(elsewhere.paths, [])
})

test('a control: under headers that name it, it is reached', time, async () => {
  const results = await outcomes(allApis())
  assert.deepEqual(
    results.map(({ value }) => value?.status),
    [200, 200],
  )
  assert.deepEqual([...new Set(elsewhere.paths)], ['/me'])
})
