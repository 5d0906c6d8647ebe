// The hints for the worker's file and the WebAssembly module: their headers, the formats of hosts, and a build by Vite in
// a browser.
// tests/engines has the hint in three engines.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Miniflare } from 'miniflare'
import { build, createLogger, preview } from 'vite'
import {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
  vaultOriginHeaders,
  viteHeaders,
} from '../../pkg/dist/headers.js'
import { startApp } from '../support/app.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { vaultHeaders } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }
const CSP = 'Content-Security-Policy'
const MODULE = '/assets/strongroom_bg-BqTr3x9P.wasm'
const YEAR = 'public, max-age=31536000, immutable'

const CONFIG = { issuer: 'https://id.example.com/', apis: [{ url: 'https://api.example.com/v1/' }] }
const OPTIONS = { origin: 'https://app.example.com', worker: '/auth.worker.js', module: MODULE }
const { module: _, ...PLAIN } = OPTIONS

const preconnect = (origin) => `, <${origin}>; rel=preconnect; crossorigin`

/** The header `Link` that names the worker's file, the module, and the origins of the provider and of the API. */
const LINK = `</auth.worker.js>; rel=prefetch; as=script; crossorigin, <${MODULE}>; rel=prefetch; as=fetch; crossorigin${preconnect('https://id.example.com')}${preconnect('https://api.example.com')}`

/** The beginning of a policy that permits the hints, and nothing else that falls back to `default-src`. */
const namingModule = (origin, path = MODULE, worker = '/auth.worker.js') =>
  [
    `default-src ${origin}${path} ${origin}${worker}`,
    ...['connect', 'font', 'frame', 'manifest', 'media', 'object'].map((name) => `${name}-src 'none'`),
  ].join('; ')

test('pages hint at worker and module, and their policy names them', () => {
  const { page, worker, module } = securityHeaders(CONFIG, OPTIONS)
  const plain = securityHeaders(CONFIG, PLAIN)
  const policy = plain.page[CSP].replace("default-src 'none'", namingModule('https://app.example.com'))
  assert.deepEqual(page, { ...plain.page, [CSP]: policy, Link: LINK })
  assert.equal(plain.worker['Cache-Control'], 'no-cache')
  assert.deepEqual(worker, { ...plain.worker, 'Cache-Control': 'max-age=10' })
  assert.deepEqual(module, { 'Cache-Control': YEAR })
  assert.deepEqual(plain.module, {})
})

test('a worker in a folder has no hint and no rule for caches', () => {
  const { page, worker } = securityHeaders(CONFIG, { ...OPTIONS, worker: '/assets/' })
  assert.ok(page.Link.startsWith(`<${MODULE}>`), page.Link)
  assert.ok(page[CSP].startsWith(`default-src https://app.example.com${MODULE};`))
  assert.equal(worker['Cache-Control'], undefined)
})

/** Returns the origins to which pages connect early, for these changes of the configuration. */
const connected = (changes) => {
  const { Link } = securityHeaders({ ...CONFIG, ...changes }, OPTIONS).page
  return [...Link.matchAll(/<([^>]+)>; rel=preconnect/g)].map(([, origin]) => origin)
}

const PINNED = {
  at: '2026-01-31',
  issuer: CONFIG.issuer,
  authorization_endpoint: 'https://id.example.com/a',
  token_endpoint: 'https://id.example.com/t',
  jwks_uri: 'https://id.example.com/k',
}
const PUSHED = { ...PINNED, pushed_authorization_request_endpoint: 'https://par.example.com/p' }

test('pages connect early to what the worker requests first', () => {
  const [id, api, par] = ['id', 'api', 'par'].map((name) => `https://${name}.example.com`)
  for (const [changes, expected] of [
    [{}, [id, api]],
    [{ pinned: PINNED }, [api]],
    [{ pinned: PUSHED }, [par, api]],
    [{ pinned: PUSHED, par: true }, [par, api]],
    [{ pinned: PUSHED, par: false }, [api]],
    [{ pinned: { ...PUSHED, issuer: 'https://other.example.com' } }, [id, api]],
    [{ pinned: { ...PUSHED, token_endpoint: 'http://id.example.com' } }, [id, api]],
    [{ apis: [] }, [id]],
    [{ apis: [{ url: '/api/' }, { url: 'https://app.example.com/v1/' }] }, [id]],
    [
      { apis: [{ url: '/api/' }, { url: 'https://b.example.com/' }, { url: api }] },
      [id, 'https://b.example.com'],
    ],
    [{ apis: [{ url: 'https://par.example.com/v1/' }], pinned: PUSHED }, [par]],
  ]) {
    assert.deepEqual(connected(changes), expected, JSON.stringify(changes))
  }
})

for (const [what, module] of Object.entries({
  'without a hash': '/strongroom/strongroom_bg.wasm',
  'with a hash that is too short': '/assets/strongroom_bg-1.wasm',
  'with a word instead of a hash': '/assets/strongroom_bg-newest-one.wasm',
  'with a version instead of a hash': '/assets/strongroom_bg-v1.0.0.wasm',
  'with another name': '/assets/strongroom-BqTr3x9P.wasm',
  'of another type': '/assets/strongroom_bg-BqTr3x9P.js',
  'of another origin': 'https://cdn.example.com/strongroom_bg-BqTr3x9P.wasm',
  'with a second link': '/a>; rel=preload,</strongroom_bg-BqTr3x9P.wasm',
  'in a folder': '/assets/',
})) {
  test(`config_invalid: a module ${what}`, () => {
    assert.throws(() => securityHeaders(CONFIG, { ...PLAIN, module }), { code: 'config_invalid' })
  })
}

test('a directive of the caller replaces the one that forbids it', () => {
  const { page } = securityHeaders(CONFIG, {
    ...OPTIONS,
    page: { 'child-src': ["'self'"], 'connect-src': ["'self'"] },
  })
  const names = page[CSP].split('; ').map((directive) => directive.split(' ')[0])
  assert.ok(!names.includes('frame-src'))
  assert.match(page[CSP], /connect-src 'self'/)
  const wide = securityHeaders(CONFIG, { ...OPTIONS, page: { 'default-src': ["'self'"] } }).page[CSP]
  assert.match(
    wide,
    new RegExp(
      `^default-src https://app.example.com${MODULE} https://app.example.com/auth.worker.js 'self'; script-src`,
    ),
  )
})

test('a name that consists of the hash is accepted', () => {
  const module = '/9d3f0a8c2b7e41d6a5f0.wasm'
  assert.ok(securityHeaders(CONFIG, { ...PLAIN, module }).page.Link.includes(`<${module}>`))
})

test('files of hosts have a rule for the module', () => {
  const list = [{ key: 'Cache-Control', value: YEAR }]
  const source = MODULE.replaceAll('.', '\\.')
  assert.deepEqual(nextHeaders(CONFIG, OPTIONS)[2], { source, headers: list })
  assert.equal(nextHeaders(CONFIG, PLAIN).length, 2)
  const block = `${MODULE}\n  Cache-Control: ${YEAR}\n`
  assert.ok(cloudflareHeaders(CONFIG, OPTIONS).endsWith(block))
  assert.ok(netlifyHeaders(CONFIG, { ...OPTIONS, documents: ['/'] }).endsWith(block))
  const { http, server } = nginxHeaders(CONFIG, OPTIONS)
  assert.ok(http.includes(`  ${MODULE} "${YEAR}";\n`))
  assert.ok(http.includes(`map $uri $strongroom_link {\n  default "${LINK}";\n  /auth.worker.js "";\n}`))
  assert.ok(server.includes('add_header Link $strongroom_link always;\n'))
  // nginx would send it with errors, too, if the line had `always`.
  assert.ok(server.includes('add_header Cache-Control $strongroom_cache_control;\n'))
})

/** Calls `use` with the path of a new folder. */
async function withFolder(use) {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-hint-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('Cloudflare lets browsers keep the module', time, async () => {
  await withFolder(async (directory) => {
    const module = '/strongroom_bg-BqTr3x9P.wasm'
    await writeFile(join(directory, module), '')
    await writeFile(join(directory, 'index.html'), '')
    await writeFile(join(directory, '_headers'), cloudflareHeaders(CONFIG, { ...OPTIONS, module }))
    const cloudflare = new Miniflare({ modules: true, script: 'export default {}', assets: { directory } })
    try {
      const get = async (path) => (await cloudflare.dispatchFetch(`https://app.example.com${path}`)).headers
      assert.equal((await get(module)).get('Cache-Control'), YEAR)
      assert.match((await get('/')).get('Link'), /rel=prefetch/)
    } finally {
      await cloudflare.dispose()
    }
  })
})

test('the vault’s origin has the headers of its guide', () => {
  const [app, issuer, api] = ['https://app.example.com', 'https://id.example.com', 'https://api.example.com']
  const guide = vaultHeaders({ app, issuer, api })
  const origin = 'https://vault.example.com'
  const { frame, callback, worker, module } = vaultOriginHeaders(CONFIG, { ...PLAIN, origin, apps: [app] })
  // The guide's worker may consist of several files.
  const asInGuide = (headers) => ({
    ...headers,
    [CSP]: headers[CSP].replace(`worker-src ${origin}/auth.worker.js`, "worker-src 'self'"),
  })
  assert.deepEqual(asInGuide(frame), guide['/frame.html'])
  assert.deepEqual(callback, guide['/callback.html'])
  assert.deepEqual(asInGuide(worker), guide['/auth.worker.js'])
  assert.deepEqual(module, {})
  const hinted = vaultOriginHeaders(CONFIG, { ...OPTIONS, origin, apps: [app] })
  assert.equal(hinted.frame.Link, LINK)
  const list = '(response-origin "https://id.example.com/" "https://api.example.com/");redirects=allow'
  assert.equal(hinted.frame['Connection-Allowlist'], list)
  assert.ok(hinted.frame[CSP].startsWith(namingModule(origin)))
  assert.equal(hinted.callback.Link, undefined)
  for (const apps of [[], 'https://app.example.com', ['https://app.example.com/']]) {
    assert.throws(() => vaultOriginHeaders(CONFIG, { ...PLAIN, origin, apps }), { code: 'config_invalid' })
  }
})

const PACKAGE = fileURLToPath(new URL('../../pkg/dist', import.meta.url))

/** The files of a small app. Its provider does not exist, which does not matter until a login. */
const APP = {
  'index.html':
    '<!doctype html><html><head><title>app</title><link rel="icon" href="data:,"><script type="module" src="./main.js"></script></head></html>',
  'main.js': `
    import { createAuth } from '${PACKAGE}/index.js'
    const auth = createAuth({
      shared: () => new SharedWorker(new URL('./auth.worker.js', import.meta.url), { type: 'module' }),
    })
    auth.connect().then(() => (document.title = 'connected'), (error) => (document.title = error.message))`,
  'auth.worker.js': `
    import { vault } from '${PACKAGE}/worker.js'
    vault({
      issuer: 'https://id.example.com/', clientId: 'spa', redirectUri: '/callback', scope: 'openid',
      apis: [{ url: 'https://api.example.com/v1/' }],
    })`,
}

/** Builds the app with `prefetch`. `base` and `assetFileNames` are Vite's options. */
async function buildApp(
  root,
  {
    base = '/',
    assetFileNames = 'assets/[name]-[hash][extname]',
    entryFileNames = 'assets/[name].js',
    worker = '/assets/auth.worker.js',
  } = {},
) {
  for (const [name, text] of Object.entries(APP)) await writeFile(join(root, name), text)
  const warnings = []
  /** On a slow machine, Vite also tells which plugins took long. */
  const warn = (message) => void (/PLUGIN_TIMINGS/.test(message) || warnings.push(message))
  const output = { assetFileNames }
  const shared = {
    root,
    base,
    configFile: false,
    logLevel: 'silent',
    customLogger: { ...createLogger('silent'), warn },
    plugins: [viteHeaders(CONFIG, { worker, prefetch: true })],
    worker: {
      format: 'es',
      rolldownOptions: { output: { entryFileNames, assetFileNames } },
    },
    build: { rolldownOptions: { output } },
  }
  await build(shared)
  return { shared, warnings, html: await readFile(join(root, 'dist/index.html'), 'utf8') }
}

test('Vite writes the hint, and its preview permits it', time, async () => {
  await withFolder(async (root) => {
    const { shared, warnings, html } = await buildApp(root)
    const [, path] = /<link rel="prefetch" as="fetch" crossorigin href="([^"]+)">/.exec(html)
    assert.match(path, /^\/assets\/strongroom_bg-[\w-]{8}\.wasm$/)
    assert.ok(
      html.includes('<link rel="prefetch" as="script" crossorigin href="/assets/auth.worker.js">'),
      html,
    )
    for (const host of ['id', 'api']) {
      assert.ok(html.includes(`<link rel="preconnect" crossorigin href="https://${host}.example.com">`), html)
    }
    assert.deepEqual(warnings, [])
    const server = await preview({ ...shared, preview: { port: 0, host: '127.0.0.1' } })
    const { browser, close } = await shareBrowser()
    try {
      const origin = `http://127.0.0.1:${server.httpServer.address().port}`
      const response = await fetch(origin + path)
      assert.equal(response.headers.get('Cache-Control'), YEAR)
      const page = await browser.newPage()
      const messages = []
      page.on('console', (message) => messages.push(message.text()))
      await page.goto(origin)
      await page.waitForFunction(() => document.title !== 'app')
      assert.equal(await page.title(), 'connected')
      assert.deepEqual(messages, [])
      const policy = (await fetch(origin)).headers.get(CSP)
      assert.ok(policy.startsWith(namingModule(origin, path, '/assets/auth.worker.js')), policy)
      await page.close()
    } finally {
      await close()
      await new Promise((closed) => server.httpServer.close(closed))
    }
  })
})

test('Vite finds the worker’s file by its content if its name has a hash', time, async () => {
  await withFolder(async (root) => {
    const { html } = await buildApp(root, {
      entryFileNames: 'assets/[name]-[hash].js',
      worker: '/assets/',
    })
    assert.match(
      html,
      /<link rel="prefetch" as="script" crossorigin href="\/assets\/auth\.worker-[\w-]{8}\.js">/,
    )
  })
})

test('with a relative base, the hint is relative', time, async () => {
  await withFolder(async (root) => {
    const { html } = await buildApp(root, { base: './' })
    assert.match(
      html,
      /<link rel="prefetch" as="fetch" crossorigin href="\.\/assets\/strongroom_bg-[\w-]{8}\.wasm">/,
    )
  })
})

test('Vite writes no hint for a module without a hash, and says so', time, async () => {
  await withFolder(async (root) => {
    const { html, warnings } = await buildApp(root, { assetFileNames: 'assets/[name][extname]' })
    assert.doesNotMatch(html, /prefetch|preconnect/)
    assert.match(
      warnings.join(),
      /no prefetch hint, because this build has no strongroom_bg\.wasm with a hash/,
    )
  })
})

test('an error that the browser has kept in place of the module is not used again', time, async () => {
  const app = await startApp({ plainFetch: true })
  try {
    const kept = { 'Cache-Control': YEAR }
    const restore = app.site.override('/strongroom/strongroom_bg.wasm', { status: 404, headers: kept })
    const page = await app.open('/empty')
    const read = () =>
      page.evaluate(async (path) => (await fetch(path)).status, '/strongroom/strongroom_bg.wasm')
    assert.equal(await read(), 404)
    restore()
    assert.equal(await read(), 404, 'control: the browser has kept the error')
    const outcome = await page.evaluate(() => settle(connect(create.shared).then(() => 'connected')))
    assert.deepEqual(outcome, { value: 'connected' })
  } finally {
    await app.close()
  }
})

for (const [name, body, links] of [
  ['the option wasm has an effect only on first use', '', [0, 1]],
  [
    'an element named head does not keep the option wasm from connecting',
    '<iframe name="head"></iframe>',
    [0, 0],
  ],
]) {
  test(name, time, async () => {
    const app = await startApp()
    try {
      const page = await app.open('/empty')
      const seen = await page.evaluate(
        async ([html, wasm]) => {
          document.body.innerHTML = html
          const count = () => document.querySelectorAll('link[rel=prefetch]').length
          const auth = createAuth({ ...create, wasm })
          const before = count()
          const { error } = await settle(auth.connect().then(() => 'connected'))
          return { error, links: [before, count()] }
        },
        [body, '/strongroom/strongroom_bg.wasm'],
      )
      assert.deepEqual(seen, { error: undefined, links })
    } finally {
      await app.close()
    }
  })
}
