/**
 * Tests of the engine's HTTP cache. A page must not read the vault's token through the cache from an API that echoes
 * its request, and no response for one user may reach the next user.
 */
import assert from 'node:assert/strict'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { call, signIn } from '../../support/engines/app.mjs'
import { search } from '../../support/leak.mjs'

/** Response headers that let the engine store the response. */
const CACHEABLE = {
  'max-age': { 'Cache-Control': 'private, max-age=600', 'Accept-Ranges': 'bytes', ETag: '"1"' },
  'no header': {},
}

const MODES = ['default', 'no-store', 'reload', 'no-cache', 'force-cache']

const LENGTH = 3000
const PIECE = 300

function prepare(app) {
  for (const [name, headers] of Object.entries(CACHEABLE)) {
    const answer = ({ request, response, entry }) => {
      const body = `You sent ${entry.authorization}. `.padEnd(LENGTH, '.')
      const length = { 'Content-Type': 'text/plain', 'Content-Length': body.length }
      // With this header, a response to POST may be stored for later requests with GET (RFC 9110 9.3.3).
      if (request.method !== 'GET') response.setHeader('Content-Location', request.url)
      response.writeHead(200, { ...length, ...headers }).end(body)
    }
    app.api.on(nameOf(name), answer)
    app.api.on(nameOf(name, 'who'), ({ response, claims }) =>
      response.writeHead(200, { 'Content-Type': 'text/plain', ...headers }).end(`user: ${claims.sub}`),
    )
  }
}

const nameOf = (header, kind = 'echo') => `${kind}-${header.replace(' ', '-')}`

/**
 * Makes a call with each of `inits`, one after the other. Resolves with the outcome of each call. All calls are in one
 * script, because starting a script in a page takes time.
 */
const callAll = (tab, url, inits) =>
  tab.evaluate(
    async (address, options) => {
      const outcomes = []
      for (const init of options) {
        const read = async (response) => ({ status: response.status, text: await response.text() })
        outcomes.push(await settle(auth.fetch(address, init).then(read)))
      }
      return outcomes
    },
    url,
    inits,
  )

/**
 * The options of several calls: a call without a range, and then calls for all ranges of its response. By then, the
 * cache may have stored the whole response.
 */
const IN_PIECES = [
  {},
  ...Array.from({ length: LENGTH / PIECE }, (_, index) => ({
    cache: 'force-cache',
    headers: { Range: `bytes=${index * PIECE}-${(index + 1) * PIECE - 1}` },
  })),
]

/** Returns the ranges that came from a cache, concatenated. */
const pieces = (outcomes) =>
  outcomes
    .slice(1)
    .map(({ value }) => (value?.status === 206 ? value.text : ''))
    .join('')

const found = (app, text) => search({ page: [text] }, app.ledger.secrets())

/** Resolves with a page of a signed-in user. The vault allows requests with ranges. */
async function signedIn({ app, visit }, rule) {
  app.setConfig({ apis: [{ url: app.api.url, allowHeaders: ['Range', 'If-Range'], ...rule }] })
  const { tab } = await visit()
  await signIn(tab)
  app.api.clear()
  return tab
}

const vault = {
  // claim: script-11
  name: 'the HTTP cache serves no echo of the token: in each cache mode, and in ranges',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene)
    for (const header of Object.keys(CACHEABLE)) {
      const url = `${app.api.url}on/${nameOf(header)}`
      app.api.clear()
      const outcomes = await callAll(tab, url, [...IN_PIECES, ...MODES.map((cache) => ({ cache }))])
      for (const { error } of outcomes) assert.equal(error?.code, 'token_reflected', header)
      assert.deepEqual(found(app, JSON.stringify(outcomes)), [], header)
      assert.equal(app.api.requests.length, outcomes.length, `${header}: some came from the cache`)
    }
  },
}

/** Makes the API reject the newest access token once, so that the vault gets another access token. */
async function refresh({ app, tab }) {
  const before = app.ledger.refreshes().length
  app.api.on('refuse-once', ({ response }) => {
    const isRefused = app.ledger.refreshes().length === before
    response.writeHead(isRefused ? 401 : 200, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end()
  })
  assert.equal((await call(tab, `${app.api.url}on/refuse-once`)).value?.status, 200)
  assert.equal(app.ledger.refreshes().length, before + 1)
}

const afterRefresh = {
  // claim: script-11
  name: 'the HTTP cache serves no echo of the previous token after a refresh',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene)
    const urls = Object.keys(CACHEABLE).map((header) => `${app.api.url}on/${nameOf(header)}`)
    for (const url of urls) assert.equal((await call(tab, url)).error?.code, 'token_reflected', url)
    await refresh({ app, tab })
    for (const url of urls) {
      app.api.clear()
      const outcomes = await callAll(tab, url, [...IN_PIECES, ...MODES.map((cache) => ({ cache }))])
      for (const { error } of outcomes) assert.equal(error?.code, 'token_reflected', url)
      assert.deepEqual(found(app, JSON.stringify(outcomes)), [], url)
      assert.equal(app.api.requests.length, outcomes.length, `${url}: some came from the cache`)
    }
  },
}

const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE']

/** Makes requests of the page itself, without the vault, for whatever the engine has stored of a response. */
const fromCache = (tab, url) =>
  tab.evaluate(
    async (address, methods) => {
      const texts = []
      for (const method of methods) {
        const response = await fetch(address, { method, cache: 'force-cache' })
        texts.push(await response.text())
      }
      return texts
    },
    url,
    ['GET', ...WRITES],
  )

const writes = {
  // claim: script-11
  name: 'the HTTP cache stores no echo in a response to POST, PUT, PATCH or DELETE',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene, { methods: WRITES })
    const url = `${app.api.url}on/${nameOf('max-age')}`
    for (const method of WRITES) {
      const { error } = await call(tab, url, { method, body: method === 'DELETE' ? undefined : 'x' })
      assert.equal(error?.code, 'token_reflected', method)
      app.api.clear()
      const texts = await fromCache(tab, url)
      assert.deepEqual(found(app, texts.join('\n')), [], method)
      assert.equal(app.api.requests.length, texts.length, `${method}: some came from the cache`)
    }
  },
}

const nextUser = {
  // claim: script-11
  name: 'the HTTP cache serves no response of one user to the next',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene)
    const urls = Object.keys(CACHEABLE).map((header) => `${app.api.url}on/${nameOf(header, 'who')}`)
    for (const url of urls) assert.equal((await call(tab, url)).value?.text, 'user: alice', url)
    await tab.evaluate(() => auth.logout())
    await signIn(tab, { prompt: 'login' }, ACCOUNTS[1])
    for (const url of urls) {
      app.api.clear()
      const outcomes = await callAll(
        tab,
        url,
        MODES.map((cache) => ({ cache })),
      )
      for (const { value } of outcomes) assert.equal(value?.text, 'user: bob', url)
      assert.equal(app.api.requests.length, outcomes.length, `${url}: some came from the cache`)
    }
  },
}

const control = {
  name: 'control: what a page’s own `fetch` gets from the cache',
  async see({ app, visit }) {
    const { tab } = await visit('/empty')
    app.api.clear()
    const url = `${app.api.origin}/open/${nameOf('max-age')}`
    const get = (init) =>
      tab.evaluate(
        async (address, options) => {
          const response = await fetch(address, options)
          return { status: response.status, text: await response.text() }
        },
        url,
        init,
      )
    const whole = await get({})
    assert.equal(app.api.requests.length, 1)
    assert.deepEqual(await get({ cache: 'force-cache' }), whole)
    // In WebKitGTK's automated sessions the cache stores nothing, so the row above shows less for WebKitGTK.
    if (app.api.requests.length > 1) return 'nothing: the API was asked again'
    const range = await get({ cache: 'force-cache', headers: { Range: `bytes=0-${PIECE - 1}` } })
    const isPiece = range.status === 206 && range.text === whole.text.slice(0, PIECE)
    return isPiece && app.api.requests.length === 1 ? 'the whole, and ranges of it' : 'the whole'
  },
}

const nextUserControl = {
  name: 'control: with `cache: true` and `force-cache` the next user gets the response of',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene, { cache: true })
    const url = `${app.api.url}on/${nameOf('max-age', 'who')}`
    assert.equal((await call(tab, url)).value?.text, 'user: alice')
    await tab.evaluate(() => auth.logout())
    await signIn(tab, { prompt: 'login' }, ACCOUNTS[1])
    const { value } = await call(tab, url, { cache: 'force-cache' })
    return value.text === 'user: alice' ? 'the previous user' : 'the next user'
  },
}

const allowed = {
  // claim: script-11
  name: 'control: the part of an echo that the cache serves if a rule allows it',
  async see(scene) {
    const { app } = scene
    const tab = await signedIn(scene, { cache: true })
    const outcomes = await callAll(tab, `${app.api.url}on/${nameOf('max-age')}`, IN_PIECES)
    return found(app, pieces(outcomes)).length ? 'the token, in ranges' : 'nothing in ranges'
  },
}

export const httpCache = [
  {
    name: 'the HTTP cache',
    app: { plainFetch: true, provider: { accessTokenSeconds: 3600 } },
    prepare,
    capabilities: [vault, afterRefresh, writes, nextUser, control, allowed, nextUserControl],
  },
]
