// The adapters for middleware, each called as its framework calls it. `frameworks_node24.test.mjs` runs the frameworks.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Hono } from 'hono'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import * as fastify from '../../pkg/dist/edge/fastify.js'
import * as h3 from '../../pkg/dist/edge/h3.js'
import * as hono from '../../pkg/dist/edge/hono.js'
import * as next from '../../pkg/dist/edge/next.js'
import * as reactRouter from '../../pkg/dist/edge/react-router.js'
import * as tanstackStart from '../../pkg/dist/edge/tanstack-start.js'
import { setClocks } from '../support/clocks.mjs'
import { ORIGIN, startInProcess } from '../support/edge/in_process.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 60_000 }
/** Seconds. */
const TOKEN = 3600
/** A time at which the access token has expired, in milliseconds. */
const LATER = (TOKEN + 10) * 1000
let upstream, app, handler

before(async () => {
  upstream = await listen({ handler: (_, response) => response.end('orders') })
  app = await startInProcess((config) => (handler = createTokenHandler({ ...config, log() {} })), {
    accessTokenSeconds: TOKEN,
    handler: {
      session: { recheck: 0, idle: 2 * TOKEN },
      coordinator: inIsolate(),
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['GET', 'POST'] }],
    },
  })
}, time)
after(async () => {
  setClocks(0)
  await app?.close()
  await upstream?.close()
})

/** Returns a request of a signed-in user whose access token has expired. */
async function requestOf(path = '/orders', headers = {}) {
  setClocks(0)
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  setClocks(LATER)
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  return new Request(ORIGIN + path, { headers: { ...headers, cookie } })
}

/** Serves a request with Node. */
async function onNode(request, run) {
  let failure
  const server = await listen({
    handler: (req, res) => run(req, res).catch((error) => (failure = error) && res.destroy()),
  })
  try {
    const { pathname } = new URL(request.url)
    return await fetch(server.origin + pathname, { headers: request.headers })
  } catch (error) {
    throw failure ?? error
  } finally {
    await server.close()
  }
}

/** Runs an app of h3 on Node. `run` is called as h3 calls the handlers of an app. */
const onH3 = (request, run) => onNode(request, (req, res) => run({ context: {}, node: { req, res } }))

/** Runs an app of Fastify on Node. The hooks of the app run after those of the adapter. */
const onFastify = (request, run) =>
  onNode(request, async (req, res) => {
    const hooks = {}
    await fastify.strongroom(handler)({ decorateRequest() {}, addHook: (name, hook) => (hooks[name] = hook) })
    const [given, headers] = [{ raw: req }, { 'set-cookie': [] }]
    const header = (name, value) =>
      name === 'set-cookie' ? headers[name].push(value) : (headers[name] = value)
    const reply = { raw: res, header }
    const passed = new Promise((resolve) => {
      res.on('close', resolve)
      hooks.onRequest(given, reply, resolve)
    })
    await passed
    if (res.headersSent) return
    const response = await run(given.strongroom.auth)
    await hooks.onSend(given, reply)
    for (const [name, value] of response.headers) header(name, value)
    res.writeHead(response.status, headers)
    res.end(await response.text())
  })

/** Calls each adapter for a request. `run` is the app: it gets `auth`, and returns a response. */
const ADAPTERS = {
  async 'react-router'(request, run) {
    const context = new Map()
    const middleware = reactRouter.strongroom(handler)
    return middleware({ request, context }, () => run(context.get(reactRouter.authContext)))
  },
  async 'tanstack-start'(request, run) {
    const next = async ({ auth }) => ({ response: await run(auth) })
    const result = await tanstackStart.strongroom(handler)(request, next)
    return result instanceof Response ? result : result.response
  },
  async hono(request, run) {
    const app = new Hono()
    app.use(hono.strongroom(handler))
    app.get('*', (c) => run(c.get('auth')))
    return app.fetch(request)
  },
  fastify: onFastify,
  h3: (request, run) =>
    onH3(request, async (event) => {
      const { res } = event.node
      await h3.strongroom(handler)(event)
      if (res.headersSent) return
      const response = await run(event.context.auth)
      res.statusCode = response.status
      for (const [name, value] of response.headers) {
        if (name === 'set-cookie') res.appendHeader(name, value)
        else res.setHeader(name, value)
      }
      res.end(await response.text())
    }),
}

const CACHE_HEADERS = [
  'cdn-cache-control',
  'surrogate-control',
  'vercel-cdn-cache-control',
  'cloudflare-cdn-cache-control',
  'netlify-cdn-cache-control',
  'x-accel-expires',
  'expires',
  'age',
]

const namesOf = (response) => response.headers.getSetCookie().map((cookie) => cookie.split('=')[0])

for (const [name, call] of Object.entries(ADAPTERS)) {
  test(`${name}: handler responds to its endpoints`, time, async () => {
    const run = () => assert.fail('the app was called')
    const response = await call(await requestOf('/auth/session', { 'x-strongroom': '1' }), run)
    assert.equal((await response.json()).session.claims.sub, 'alice')
  })

  test(`${name}: app’s response has one cookie of the latest session, and the app’s own`, time, async () => {
    const texts = []
    const response = await call(await requestOf(), async (auth) => {
      const responses = await Promise.all([auth.call('/api/a'), auth.call('/api/b'), auth.session()])
      texts.push(await responses[0].text(), responses[2].claims.sub)
      return new Response('page', { status: 404, headers: { 'set-cookie': 'own=1' } })
    })
    assert.deepEqual(texts, ['orders', 'alice'])
    assert.equal(`${response.status} ${await response.text()}`, '404 page')
    assert.deepEqual(namesOf(response).sort(), ['__Host-strongroom', 'own'])
    assert.equal(response.headers.get('cache-control'), 'private, no-store')
  })

  test(`${name}: response that does not use the session stays as it is`, time, async () => {
    const response = await call(await requestOf(), () => new Response('page'))
    assert.deepEqual(namesOf(response), [])
    assert.equal(response.headers.get('cache-control'), null)
  })
}

for (const [name, call] of Object.entries(ADAPTERS)) {
  test(`${name}: response object of the app stays without headers of the session`, time, async () => {
    const response = new Response(null, { status: 204 })
    const run = async (auth) => ((await auth.call('/api/a')).text(), response)
    assert.deepEqual(namesOf(await call(await requestOf(), run)), ['__Host-strongroom'])
    assert.deepEqual([...response.headers], [])
  })

  test(`${name}: headers of the app let no cache store the session’s response`, time, async () => {
    const headers = Object.fromEntries(CACHE_HEADERS.map((name) => [name, '600']))
    const run = async (auth) => {
      await (await auth.call('/api/a')).text()
      return new Response('page', { headers: { ...headers, 'cache-control': 'public', 'x-own': '1' } })
    }
    const response = await call(await requestOf(), run)
    assert.equal(response.headers.get('cache-control'), 'private, no-store')
    assert.deepEqual(
      CACHE_HEADERS.filter((name) => response.headers.has(name)),
      [],
    )
    assert.equal(response.headers.get('x-own'), '1')
    const other = await call(await requestOf(), () => new Response('page', { headers }))
    assert.equal(other.headers.get('surrogate-control'), '600')
  })
}

test('tanstack-start: copy has what TanStack Start stores in a response', time, async () => {
  const options = { to: '/' }
  const redirect = Object.assign(new Response(null, { status: 307 }), { options })
  const mark = Symbol.for('tanstack-start:protected-response-headers')
  Object.defineProperty(redirect, mark, { value: new Map(), configurable: true })
  const run = async (auth) => ((await auth.call('/api/a')).text(), redirect)
  const response = await ADAPTERS['tanstack-start'](await requestOf(), run)
  assert.notEqual(response, redirect)
  assert.equal(response.options, options)
  assert.equal(response[mark], redirect[mark])
  assert.equal(await ADAPTERS['tanstack-start'](await requestOf(), () => redirect), redirect)
})

test('tanstack-start: response that cannot be copied stays as it is', time, async () => {
  const upgrade = Object.defineProperty(new Response(), 'status', { value: 101 })
  for (const given of [Response.error(), upgrade]) {
    const run = async (auth) => ((await auth.call('/api/a')).text(), given)
    assert.equal(await ADAPTERS['tanstack-start'](await requestOf(), run), given)
  }
})

test('tanstack-start: response whose headers cannot be changed gets them, too', time, async () => {
  const run = async (auth) => ((await auth.call('/api/a')).text(), Response.redirect(`${ORIGIN}/x`))
  const response = await ADAPTERS['tanstack-start'](await requestOf(), run)
  assert.equal(response.headers.get('location'), `${ORIGIN}/x`)
  assert.deepEqual(namesOf(response), ['__Host-strongroom'])
})

test('h3: request of the server to itself shares the session of the page', time, async () => {
  const response = await onH3(await requestOf(), async (event) => {
    const middleware = h3.strongroom(handler)
    await middleware(event)
    const inner = { context: {}, node: { req: { __unenv__: event.context }, res: {} } }
    await middleware(inner)
    await inner.context.auth.call('/api/a')
    event.node.res.end()
  })
  assert.deepEqual(namesOf(response), ['__Host-strongroom'])
})

test('h3: cached handler cannot use the session', time, async () => {
  const response = await onH3(await requestOf(), async (event) => {
    const middleware = h3.strongroom(handler)
    await middleware(event)
    assert.equal((await event.context.session).claims.sub, 'alice')
    const inner = { context: {}, node: { req: { __unenv__: event.context }, res: {} } }
    await middleware(inner)
    const uses = ({ context }) => [
      () => context.auth.call('/api/a'),
      () => context.auth.session(),
      () => context.session,
    ]
    const refused = { code: 'unsupported', message: /defineEventHandler/ }
    // Nitro sets this member for a cached handler.
    inner.context.cache = { options: {} }
    for (const use of uses(inner)) await assert.rejects(async () => use(), refused)
    assert.equal((await event.context.session).claims.sub, 'alice')
    delete inner.context.cache
    event.context.cache = { options: {} }
    for (const use of [...uses(event), ...uses(inner)]) await assert.rejects(async () => use(), refused)
    event.node.res.end()
  })
  assert.equal(response.status, 200)
})

test('next: authForAction allows POST for actions and forms only', time, async () => {
  const statusOf = async (headers) => {
    const { headers: all } = await requestOf('/', { 'sec-fetch-site': 'same-origin', ...headers })
    all.set('host', new URL(ORIGIN).host)
    return (await next.authForAction(handler, all).call('/api/a', { method: 'POST' })).headers.get(
      'x-strongroom',
    )
  }
  for (const type of ['multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'text/plain'])
    assert.equal(await statusOf({ 'content-type': type }), null)
  assert.equal(await statusOf({ 'next-action': '1' }), null)
  for (const headers of [{}, { 'content-type': 'application/json' }, { 'content-type': 'text/plainer' }])
    assert.equal(await statusOf(headers), 'cross_site_request')
})

test('next: authForAction refuses a form that a service worker has passed on', time, async () => {
  const { headers } = await requestOf('/orders', {
    origin: ORIGIN,
    'content-type': 'application/x-www-form-urlencoded',
    'sec-fetch-site': 'same-origin',
    'sec-fetch-mode': 'navigate',
    'sec-fetch-dest': 'document',
    accept: 'text/html',
  })
  const post = async () =>
    (await next.authForAction(handler, headers).call('/api/a', { method: 'POST' })).status
  assert.equal(await post(), 200, 'a control')
  headers.set('sec-fetch-dest', 'empty')
  assert.equal(await post(), 403)
})
