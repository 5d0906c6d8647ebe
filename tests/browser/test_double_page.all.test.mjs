// The test double in a page under the headers of `strongroom/headers`. `cargo xtask recipes playwright` runs it in a
// whole app.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { createServer } from 'vite'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { authConfig } from '../recipes/auth_config.mjs'
import { readGuide } from '../recipes/guide.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { listen } from '../support/listen.mjs'
import { startSite } from '../support/site.mjs'

const time = { timeout: 30_000 }

let site, api, browser, close

before(async () => {
  api = await listen({
    handler: (_, response) =>
      response
        .writeHead(200, { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*' })
        .end('orders'),
  })
  site = await startSite({ roots: [fileURLToPath(new URL('../../pkg/dist', import.meta.url))] })
  site.files['/index.html'] = '<!doctype html><title>app</title><link rel="icon" href="data:,">'
  ;({ browser, close } = await shareBrowser())
})
after(() => Promise.all([close?.(), site?.close(), api?.close()]))

/** Creates a world in a page under these headers, signs in and calls the API. Resolves with what happened. */
async function outcome(options) {
  const config = {
    issuer: 'https://id.example.com',
    clientId: 'spa',
    redirectUri: '/callback',
    scope: 'openid profile',
    apis: [{ url: `http://127.0.0.1:${api.port}/` }],
  }
  const { page: headers } = securityHeaders(config, {
    origin: site.origin,
    worker: '/auth.worker.js',
    ...options,
  })
  const restore = site.override('/index.html', { headers })
  const page = await browser.newPage()
  try {
    await page.goto(site.origin)
    return await page.evaluate(async (config) => {
      const { testWorld } = await import('/testing.js')
      const { StrongroomError } = await import('/index.js')
      try {
        const world = await testWorld(config, { api: (request) => fetch(request) })
        world.signIn()
        const response = await world.auth.fetch(config.apis[0].url)
        return await response.text()
      } catch (error) {
        return { code: error.code, message: error.message, isOwn: error instanceof StrongroomError }
      }
    }, config)
  } finally {
    await page.close()
    restore()
  }
}

test('under the headers for production, a world rejects with the fix', time, async () => {
  const { code, message, isOwn } = await outcome({})
  assert.deepEqual([code, isOwn], ['wasm_blocked', true])
  assert.match(
    message,
    /`testing: true` to viteHeaders\(\) or securityHeaders\(\), or add 'wasm-unsafe-eval'/,
  )
})

test('under the headers with testing: true, a world runs and its page calls the API', time, async () => {
  assert.equal(await outcome({ testing: true }), 'orders')
})

test('a control: with WebAssembly alone, the page cannot call the API', time, async () => {
  const { message } = await outcome({ page: { 'script-src': ["'wasm-unsafe-eval'"] } })
  assert.equal(message, 'Failed to fetch')
})

test('in development, the guide’s world signs in and responds without a provider', time, async (t) => {
  const guide = await readGuide('docs/testing-your-app.md')
  const root = await mkdtemp(join(tmpdir(), 'strongroom-world-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'src'))
  const files = {
    'auth.config.ts': await authConfig(),
    'src/auth.ts': guide.block('// src/auth.ts, with a world'),
    'src/auth.world.ts': guide.block('// src/auth.world.ts\n'),
    'src/main.ts': `import { auth } from './auth'\nObject.assign(globalThis, { auth })\n`,
    'index.html': '<link rel="icon" href="data:," /><script type="module" src="/src/main.ts"></script>',
  }
  for (const [path, content] of Object.entries(files)) await writeFile(join(root, path), content)
  const dist = fileURLToPath(new URL('../../pkg/dist', import.meta.url))
  const alias = [
    { find: /^strongroom$/, replacement: `${dist}/index.js` },
    { find: /^strongroom\/(\w+)$/, replacement: `${dist}/$1.js` },
  ]
  const [, mode] = /--mode (\w+)/.exec(guide.inline('npx vite --mode'))
  const server = await createServer({
    root,
    mode,
    configFile: false,
    logLevel: 'error',
    resolve: { alias },
    server: { host: '127.0.0.1', port: 0, fs: { allow: [root, dist] } },
  })
  t.after(() => server.close())
  await server.listen()
  const page = await browser.newPage()
  t.after(() => page.close())
  await page.goto(`http://127.0.0.1:${server.httpServer.address().port}/`)
  await page.waitForFunction(() => globalThis.auth)
  await page.evaluate(() => void auth.login())
  await page.waitForFunction(() => auth.state.session)
  const seen = await page.evaluate(async () => {
    const response = await auth.fetch('https://api.example.com/v1/orders')
    return [auth.state.session.claims.name, (await response.json())[0].url]
  })
  assert.deepEqual(seen, ['Alice', 'https://api.example.com/v1/orders'])
})
