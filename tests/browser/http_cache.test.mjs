// Tests of the browser's HTTP cache. capabilities/http_cache.mjs of the engines has what a page or the next user could read
// from it: here are the options that a page may set, what is on the disk, and the vault's own requests.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { booted, call, giveConsent, serveApp, signIn, startApp, startLogin } from '../support/app.mjs'
import { ARGS, findBrowser, playwrightChromium } from '../support/browser.mjs'

const time = { timeout: 60_000 }

/** Cache headers of responses. Chromium stores all of these responses except the last. */
const CACHEABLE = {
  'no header': {},
  'no-cache': { 'Cache-Control': 'no-cache' },
  ETag: { ETag: '"1"' },
  'private, max-age': { 'Cache-Control': 'private, max-age=600' },
  'no-store': { 'Cache-Control': 'no-store' },
}

const echo = ({ response, entry }, headers) =>
  response
    .writeHead(200, { 'Content-Type': 'text/plain', ...headers })
    .end(`You sent ${entry.authorization}.`)

describe('cache options that a page may set', () => {
  let app
  let page
  before(async () => {
    app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
    app.api.on('who', ({ response, claims }) =>
      response.writeHead(200, CACHEABLE['private, max-age']).end(claims.sub),
    )
    page = await app.open()
    await signIn(page)
  })
  after(() => app?.close())

  test('only-if-cached is a TypeError, as in fetch', time, async () => {
    app.api.clear()
    const outcome = await call(page, `${app.api.url}me`, { cache: 'only-if-cached' })
    assert.equal(outcome.error?.isTypeError, true)
    const plain = await page.evaluate((url) => settle(fetch(url, { cache: 'only-if-cached' })), app.api.url)
    assert.equal(plain.error?.isTypeError, true)
    assert.deepEqual(app.api.requests, [])
  })

  test('a conditional request of the page gets 304', time, async () => {
    app.api.on('conditional', ({ request, response }) => {
      const isSame = request.headers['if-none-match'] === '"7"'
      response.writeHead(isSame ? 304 : 200, { ETag: '"7"' }).end(isSame ? undefined : 'body')
    })
    const url = `${app.api.url}on/conditional`
    assert.equal((await call(page, url)).value?.status, 200)
    const { value } = await call(page, url, { headers: { 'If-None-Match': '"7"' } })
    assert.deepEqual(value, { status: 304, text: '' })
  })

  test('a preflight is reused for PUT, but not for GET', time, async () => {
    const preflights = async (name, method) => {
      app.api.clear()
      for (let time = 0; time < 3; time++) {
        assert.equal((await call(page, `${app.api.url}on/who?${name}`, { method })).value?.status, 200)
      }
      return app.api.preflights.length
    }
    assert.equal(await preflights('put', 'PUT'), 1)
    // Chromium uses no stored preflight for a request with `no-store`.
    assert.equal(await preflights('get', 'GET'), 3)
  })

  // claim: script-11
  test('a cache mode in a message has no effect', time, async () => {
    const url = `${app.api.url}on/who`
    assert.match((await call(page, url)).value.text, /alice/)
    app.api.clear()
    const message = await page.evaluate(
      (address) =>
        new Promise((resolve) => {
          const { port1: port, port2 } = new MessageChannel()
          port.onmessage = ({ data: [text] }) => {
            const told = JSON.parse(text)
            if (told.id === 7) resolve(told)
          }
          create.shared().port.postMessage('strongroom', [port2])
          port.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
          const fetch = { t: 'fetch', id: 7, url: address, method: 'GET', headers: [], cache: 'force-cache' }
          port.postMessage([JSON.stringify(fetch), []])
        }),
      url,
    )
    assert.equal(message.status, 200)
    assert.equal(app.api.requests.length, 1)
  })
})

describe('the profile on disk', () => {
  /**
   * Opens the app in a new profile, runs `act` and closes the browser. Resolves with the contents of all files of the
   * profile.
   */
  async function filesAfter(app, act) {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-profile-'))
    try {
      const context = await playwrightChromium().launchPersistentContext(folder, {
        executablePath: findBrowser(),
        args: ARGS,
      })
      const page = await context.newPage()
      page.setDefaultTimeout(15_000)
      await page.goto(`${app.site.origin}/`)
      await act(page)
      await context.close()
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      return await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name))))
    } finally {
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  /** Returns the kinds of secrets that these files contain in plain text. */
  const kindsIn = (files, secrets) => {
    const kinds = secrets.filter(({ value }) => files.some((file) => file.includes(value)))
    return [...new Set(kinds.map(({ kind }) => kind))]
  }

  const PLANTED = 'planted-5b1f6f0e9c3d4a7f8e2b1c0d9a8b7c6d'

  /** GET is the last, because a write removes the stored response to a GET. */
  const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'GET']

  async function visit(app, page) {
    await startLogin(page)
    await giveConsent(page)
    await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
    await booted(page)
    for (const index of Object.keys(Object.keys(CACHEABLE))) {
      for (const method of METHODS) await call(page, `${app.api.url}on/echo-${index}`, { method })
    }
    const sent = new Set(app.api.requests.map((request) => request.method))
    assert.deepEqual([...sent], METHODS)
    // Control experiment: the page fetches this response without the vault, and the cache on disk then contains it
    // uncompressed.
    const planted = await page.evaluate(
      (url) => fetch(url).then((response) => response.text()),
      `${app.api.origin}/open/planted`,
    )
    assert.equal(planted, PLANTED)
    await page.evaluate(() => auth.logout())
  }

  async function serve(config) {
    const app = await serveApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
    app.setConfig(config(app))
    for (const [index, headers] of Object.values(CACHEABLE).entries()) {
      app.api.on(`echo-${index}`, (exchange) => echo(exchange, headers))
    }
    app.api.on('planted', ({ response }) => {
      response.writeHead(200, { 'Content-Type': 'text/plain', ...CACHEABLE['private, max-age'] }).end(PLANTED)
    })
    return app
  }

  const secrets = (app) => [
    ...app.ledger.secrets().filter(({ kind }) => kind !== 'authorization_code'),
    { kind: 'planted', value: PLANTED },
  ]

  for (const persist of ['memory', 'sealed']) {
    // claim: script-11
    test(`no token is on the disk after a session, ${persist}`, time, async () => {
      const app = await serve(({ api }) => ({
        session: { persist },
        apis: [{ url: api.url, methods: METHODS }],
      }))
      try {
        const files = await filesAfter(app, (page) => visit(app, page))
        assert.deepEqual(kindsIn(files, secrets(app)), ['planted'])
      } finally {
        await app.close()
      }
    })
  }

  // claim: script-11
  test('control: with cache: true the echoed token is on the disk', time, async () => {
    const app = await serve(({ api }) => ({ apis: [{ url: api.url, methods: METHODS, cache: true }] }))
    try {
      const files = await filesAfter(app, (page) => visit(app, page))
      assert.deepEqual(kindsIn(files, secrets(app)).sort(), ['access_token', 'planted'])
    } finally {
      await app.close()
    }
  })
})

test('discovery and keys are revalidated, and token responses are not stored', time, async (t) => {
  const app = await startApp({ kind: 'dedicated', proxied: true })
  t.after(() => app.close())
  app.site.pageCsp = ''
  app.provider.settings.headers = { 'Cache-Control': 'public, max-age=86400' }
  const { requests } = app.proxies.provider
  const sent = (endpoint) => requests.filter((request) => request.endpoint === endpoint)
  const modes = (endpoint) => sent(endpoint).map(({ headers }) => headers['cache-control'])
  const page = await app.open()
  await signIn(page)
  await page.goto(app.site.origin)
  await signIn(page)
  // Chromium sends `max-age=0` for the mode `no-cache`, and `no-cache` for `no-store`.
  for (const [endpoint, expected] of [
    ['discovery', 'max-age=0'],
    ['jwks', 'max-age=0'],
    ['token', 'no-cache'],
  ]) {
    assert.ok(modes(endpoint).length >= 2, endpoint)
    assert.deepEqual([...new Set(modes(endpoint))], [expected], endpoint)
  }
  const url = `${app.provider.issuer}/.well-known/openid-configuration`
  const before = sent('discovery').length
  await page.evaluate(async (address) => (await fetch(address)).text(), url)
  assert.equal(sent('discovery').length, before, 'control: the cache serves a default request')
})
