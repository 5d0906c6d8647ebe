/**
 * Tests the destinations to which the vault sends tokens. The vault's `apis` decides on URLs that this engine parses,
 * and then the policy in the worker's headers decides.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { booted, call, signIn } from '../../support/engines/app.mjs'
import { listen } from '../../support/listen.mjs'

const VECTORS = JSON.parse(await readFile(new URL('../../vectors/egress.json', import.meta.url)))

const STATUSES = [301, 302, 303, 307, 308]

/** Headers that a page sets, and that must not reach other destinations. */
const OWN = { 'X-Api-Key': 'configured by the app', 'X-Trace': 'abc' }

/** Starts a server on another origin. The server allows every origin (CORS) and records its requests. */
async function startElsewhere(app) {
  const requests = []
  const server = await listen({
    handler(request, response) {
      requests.push({ method: request.method, url: request.url, headers: request.headers })
      response.writeHead(200, {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Headers': '*',
        'Access-Control-Allow-Methods': '*',
      })
      response.end('{}')
    },
  })
  const { close } = app
  app.elsewhere = { origin: server.origin, requests }
  app.close = () => Promise.all([close(), server.close()])
}

/**
 * Sends requests for these URLs and methods to the vault, without a session. The page does not parse the URLs. Resolves
 * with the error code of each request.
 */
async function verdicts(tab, asked) {
  return tab.evaluate(
    (list) =>
      new Promise((resolve) => {
        const { port1: port, port2 } = new MessageChannel()
        const codes = new Map()
        port.onmessage = ({ data: [text] }) => {
          const { id, code } = JSON.parse(text)
          if (id === undefined || id === null) return
          codes.set(id, code ?? 'no error')
          if (codes.size === list.length) resolve(list.map((_, index) => codes.get(index + 1)))
        }
        create.shared().port.postMessage('strongroom', [port2])
        port.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
        list.forEach(({ url, method }, index) =>
          port.postMessage([JSON.stringify({ t: 'fetch', id: index + 1, url, method, headers: [] }), []]),
        )
      }),
    asked,
  )
}

const rules = {
  name: 'the vault’s verdict on hostile addresses and methods is that of the native tests',
  async see({ app, visit }) {
    const { prefix, methods } = VECTORS.rule
    app.setConfig({ apis: [{ url: prefix, methods }] })
    const { tab } = await visit()
    await booted(tab)
    const asked = [
      ...VECTORS.urls.map(({ url, expect }) => ({ url, method: 'GET', expect })),
      ...VECTORS.methods.map(({ method, expect }) => ({ url: `${prefix}a`, method, expect })),
    ]
    const codes = await verdicts(tab, asked)
    // The vault rejects an allowed request only because no user is signed in.
    const seen = asked.map(({ url, method }, index) => ({
      url,
      method,
      expect: codes[index] === 'login_required' ? 'allow' : 'deny',
    }))
    assert.deepEqual(seen, asked)
    assert.ok(
      codes.every((code) => /^(login_required|url_not_allowed|method_not_allowed)$/.test(code)),
      `${new Set(codes)}`,
    )
  },
}

const redirects = {
  // claim: api-1
  name: `redirects of the API (${STATUSES.join(', ')}) are blocked: another origin gets no request`,
  async see({ app, visit }) {
    app.setConfig({})
    const { tab } = await visit()
    await signIn(tab)
    app.site.connectSrc.push(app.elsewhere.origin)
    const to = encodeURIComponent(`${app.elsewhere.origin}/taken`)
    for (const status of STATUSES) {
      app.api.clear()
      const { error } = await call(tab, `${app.api.url}redirect?status=${status}&to=${to}`, { headers: OWN })
      assert.equal(error?.code, 'redirect_blocked', `${status}`)
      assert.equal(app.api.requests.length, 1)
      assert.ok(app.api.requests[0].authorization)
    }
    assert.deepEqual(app.elsewhere.requests, [])
  },
}

/** Control for the previous test: shows that the test would notice a redirect that the vault follows. */
const followed = {
  name: 'control: headers of the page’s own `fetch` when it follows a redirect',
  async see({ app, visit }) {
    const { tab } = await visit('/empty')
    app.elsewhere.requests.length = 0
    const to = encodeURIComponent(`${app.elsewhere.origin}/taken`)
    app.api.on('away', ({ response }) => {
      response.writeHead(302, { Location: decodeURIComponent(to) })
      response.end()
    })
    await tab.evaluate(
      (url, headers) => fetch(url, { headers: { ...headers, Authorization: 'Bearer x' } }).catch(() => {}),
      `${app.api.origin}/open/away`,
      OWN,
    )
    const { headers } = app.elsewhere.requests.find(({ method }) => method === 'GET') ?? {}
    assert.ok(headers, 'the redirect was not followed, so nothing was shown')
    assert.equal(headers['x-api-key'], OWN['X-Api-Key'])
    return headers.authorization ? 'its headers and `Authorization`' : 'its headers, without `Authorization`'
  },
}

const policy = {
  // claim: script-26
  name: 'the worker’s policy stops what a rule allows: nothing is sent',
  async see({ app, visit }) {
    app.elsewhere.requests.length = 0
    app.site.connectSrc = app.site.connectSrc.filter((origin) => origin !== app.elsewhere.origin)
    app.setConfig({ apis: [...app.config.apis, { url: `${app.elsewhere.origin}/` }] })
    const stopped = await visit()
    await signIn(stopped.tab)
    const { error } = await call(stopped.tab, `${app.elsewhere.origin}/me`, { headers: OWN })
    assert.equal(error?.isTypeError, true)
    assert.deepEqual(app.elsewhere.requests, [])
    // Control experiment: if the policy allows the destination, the request is not blocked.
    app.site.connectSrc.push(app.elsewhere.origin)
    const free = await visit()
    await signIn(free.tab)
    assert.equal((await call(free.tab, `${app.elsewhere.origin}/me`)).value?.status, 200)
    assert.ok(app.elsewhere.requests.some(({ headers }) => headers.authorization))
  },
}

const pagePolicy = {
  name: 'the page’s policy needs no `connect-src`, and keeps its own `fetch` from the API',
  async see({ app, visit }) {
    app.setConfig({})
    const before = app.site.pageCsp
    app.site.pageCsp = before.replace(/connect-src [^;]*/, "connect-src 'none'")
    try {
      const { tab } = await visit()
      await signIn(tab)
      assert.equal((await call(tab, `${app.api.url}orders`)).value.status, 200)
      app.api.clear()
      const { error } = await tab.evaluate((url) => settle(fetch(url)), `${app.api.url}orders`)
      assert.equal(error.isTypeError, true)
      assert.deepEqual(app.api.requests, [])
    } finally {
      app.site.pageCsp = before
    }
  },
}

const reflection = {
  name: 'a response that contains the request’s token does not reach the page',
  async see({ app, visit }) {
    app.setConfig({})
    app.api.on('mirror', ({ request, response }) => {
      response.writeHead(200, { 'Content-Type': 'text/plain' })
      response.end(`You sent ${request.headers.authorization}.`)
    })
    const { tab } = await visit()
    await signIn(tab)
    const { error } = await call(tab, `${app.api.url}on/mirror`)
    assert.equal(error?.code, 'token_reflected')
    assert.ok(app.api.requests.at(-1).authorization)
  },
}

const standalone = {
  // claim: script-6
  name: 'the standalone worker reads one file, which the page cannot choose, and follows no redirect',
  async see({ app, visit }) {
    const { site } = app
    const worker = '/strongroom/standalone.js'
    const config = '/strongroom/strongroom.json'
    const before = site.pageCsp
    site.workers.push(worker)
    site.files[config] = JSON.stringify(app.config)
    site.pageCsp = before.replace("worker-src 'self'", "worker-src 'self' blob:")
    try {
      const { tab } = await visit('/empty')
      const start = (query, imported) =>
        tab.evaluate(
          async (path, source) => {
            const blob = new Blob([source ?? ''], { type: 'text/javascript' })
            const instance = new Worker(source ? URL.createObjectURL(blob) : path, { type: 'module' })
            const { error } = await settle(connect(instance, { timeout: 20 }))
            instance.terminate()
            return error?.code ?? 'connected'
          },
          worker + query,
          imported && `import '${site.origin}${worker}'`,
        )
      const from = site.requests.length
      assert.equal(await start('?config=/other.json#/other.json'), 'connected')
      assert.equal(await start('', true), 'unsupported')
      app.elsewhere.requests.length = 0
      const undo = site.override(config, {
        status: 302,
        headers: { Location: `${app.elsewhere.origin}/config.json` },
      })
      assert.equal(await start(''), 'config_unavailable')
      undo()
      assert.deepEqual(app.elsewhere.requests, [])
      const files = site.requests.slice(from).flatMap(({ path }) => (path.endsWith('.json') ? [path] : []))
      assert.deepEqual(files, [config, config])
    } finally {
      site.pageCsp = before
    }
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const egress = [
  {
    name: 'egress',
    app: { plainFetch: true, provider: { accessTokenSeconds: 3600 } },
    async prepare(app) {
      await startElsewhere(app)
      app.site.pageCsp += ` ${app.elsewhere.origin}`
    },
    capabilities: [rules, redirects, followed, policy, pagePolicy, reflection, standalone],
  },
]
