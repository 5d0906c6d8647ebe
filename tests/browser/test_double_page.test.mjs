// The test double in a page under the headers of `strongroom/headers`. `cargo xtask recipes playwright` runs it in a
// whole app.
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { securityHeaders } from '../../pkg/dist/headers.js'
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
