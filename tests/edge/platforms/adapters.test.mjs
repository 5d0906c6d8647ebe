// The adapters for middleware, each called as its framework calls it. `frameworks_node24.test.mjs` runs the frameworks.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { after, before, test } from 'node:test'
import { Hono } from 'hono'
import { createTokenHandler, inIsolate, tenants } from '../../../pkg/dist/edge.js'
import * as astro from '../../../pkg/dist/edge/astro.js'
import * as express from '../../../pkg/dist/edge/express.js'
import * as fastify from '../../../pkg/dist/edge/fastify.js'
import * as h3 from '../../../pkg/dist/edge/h3.js'
import * as hono from '../../../pkg/dist/edge/hono.js'
import * as next from '../../../pkg/dist/edge/next.js'
import * as reactRouter from '../../../pkg/dist/edge/react-router.js'
import * as sveltekit from '../../../pkg/dist/edge/sveltekit.js'
import * as tanstackStart from '../../../pkg/dist/edge/tanstack-start.js'
import { setClocks } from '../../support/clocks.mjs'
import { ORIGIN, startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
/** Seconds. */
const TOKEN = 3600
/** A time at which the access token has expired, in milliseconds. */
const LATER = (TOKEN + 10) * 1000
let upstream, app, handler, config

before(async () => {
  upstream = await listen({ handler: (_, response) => response.end('orders') })
  const create = (given) => {
    config = given
    return (handler = createTokenHandler({ ...config, log() {} }))
  }
  app = await startInProcess(create, {
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

/** Serves requests with Node, by HTTP/1 or HTTP/2. `run` gets Node's request and response. */
async function onNode(request, run, isHttp2 = false) {
  let failure
  const handler = (req, res) => run(req, res).catch((error) => (failure = error) && res.destroy?.())
  const server = isHttp2 ? await listenHttp2(handler) : await listen({ handler })
  const { pathname } = new URL(request.url)
  try {
    if (isHttp2) return await fetchHttp2(server.origin, pathname, request.headers)
    const response = await fetch(server.origin + pathname, { headers: request.headers })
    const { status, headers } = response
    return new Response((await response.text()) || null, { status, headers })
  } catch (error) {
    throw failure ?? error
  } finally {
    await server.close()
  }
}

async function listenHttp2(handler) {
  const server = createHttp2(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}

async function fetchHttp2(origin, path, headers) {
  const client = connectHttp2(origin)
  try {
    const stream = client.request({ ':path': path, ...Object.fromEntries(headers) })
    const [{ ':status': status, ...fields }] = await once(stream, 'response')
    const all = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
    return new Response((await stream.toArray()).join(''), { status, headers: all })
  } finally {
    client.destroy()
  }
}

/** Resolves when middleware has passed a request on, or has responded. */
const passed = (res, start) =>
  new Promise((resolve) => {
    res.on('close', resolve)
    start(resolve)
  })

/**
 * Calls each adapter for an app whose response is that of Node. `run` is the app: it gets `auth`, and writes to the
 * response.
 */
const NODE = {
  async express(req, res, run) {
    res.locals = {}
    await passed(res, (next) => express.strongroom(handler)(req, res, next))
    if (!res.headersSent) await run(res.locals.auth)
  },
  async fastify(req, res, run) {
    const hooks = {}
    await fastify.strongroom(handler)({ decorateRequest() {}, addHook: (name, hook) => (hooks[name] = hook) })
    const given = { raw: req }
    await passed(res, (done) => hooks.onRequest(given, { raw: res }, done))
    if (!res.headersSent) await run(given.strongroom.auth)
  },
  async h3(req, res, run) {
    const event = { context: {}, node: { req, res } }
    await h3.strongroom(handler)(event)
    if (!res.headersSent) await run(event.context.auth)
  },
  async hono(req, res, run) {
    const app = new Hono()
    app.use(hono.strongroom(handler))
    app.get('*', async (c) => {
      await run(c.get('auth'))
      return new Response(null, { headers: { 'x-hono-already-sent': 'true' } })
    })
    const headers = Object.entries(req.headers).filter(([name]) => !name.startsWith(':'))
    // As the package @hono/node-server does.
    const response = await app.fetch(new Request(ORIGIN + req.url, { headers }), {
      incoming: req,
      outgoing: res,
    })
    if (!res.headersSent) write(res, response)
  },
}

/** Runs an app whose response is written to that of Node by `write`. */
const written = (serve, write) => (request, run) =>
  onNode(request, (req, res) => serve(req, res, async (auth) => write(res, await run(auth))))

/** Writes a response as Express and h3 do. */
const write = async (res, response) => {
  res.statusCode = response.status
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') res.appendHeader(name, value)
    else res.setHeader(name, value)
  }
  res.end(await response.text())
}

/** Writes a response as Fastify does, whose `reply` has headers of its own. */
const reply = async (res, response) => {
  const headers = { ...Object.fromEntries(response.headers), 'set-cookie': response.headers.getSetCookie() }
  res.writeHead(response.status, headers)
  res.end(await response.text())
}

/** Calls each adapter for an app that returns a response. */
const WEB = {
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
  async sveltekit(request, run) {
    const event = { request, locals: {} }
    return sveltekit.strongroom(handler)({ event, resolve: ({ locals }) => run(locals.auth) })
  },
  async astro(request, run) {
    const context = { request, locals: {}, isPrerendered: false }
    return astro.strongroom(handler)(context, async () => run(context.locals.auth))
  },
}

/** Calls each adapter for a request. `run` is the app: it gets `auth`, and returns a response. */
const ADAPTERS = {
  ...WEB,
  express: written(NODE.express, write),
  fastify: written(NODE.fastify, reply),
  h3: written(NODE.h3, write),
}

const CACHE_HEADERS = [
  'cdn-cache-control',
  'surrogate-control',
  'vercel-cdn-cache-control',
  'cloudflare-cdn-cache-control',
  'netlify-cdn-cache-control',
  'edge-control',
  'akamai-edge-control',
  'x-litespeed-cache-control',
  'x-accel-expires',
  'expires',
  'age',
]
const GIVEN = {
  ...Object.fromEntries(CACHE_HEADERS.map((name) => [name, '600'])),
  'Cache-Control': 'public, no-transform',
  'X-Own': '1',
}

const namesOf = (response) => response.headers.getSetCookie().map((cookie) => cookie.split('=')[0])

/** Checks that a response with these headers of the app is for its user only, and keeps the others. */
const assertIsPrivate = (response, what) => {
  assert.equal(response.headers.get('cache-control'), 'private, no-store, no-transform', what)
  assert.deepEqual(
    CACHE_HEADERS.filter((name) => response.headers.has(name)),
    [],
    what,
  )
  assert.equal(response.headers.get('x-own'), '1', what)
}

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
    assert.deepEqual(namesOf(response), ['own', '__Host-strongroom'])
    assert.equal(response.headers.get('cache-control'), 'private, no-store')
  })

  test(`${name}: response that does not use the session stays as it is`, time, async () => {
    const response = await call(await requestOf(), () => new Response('page', { headers: GIVEN }))
    assert.deepEqual(namesOf(response), [])
    assert.equal(response.headers.get('cache-control'), 'public, no-transform')
    assert.equal(response.headers.get('edge-control'), '600')
  })

  test(`${name}: response object of the app stays without headers of the session`, time, async () => {
    const response = new Response(null, { status: 204 })
    const run = async (auth) => ((await auth.call('/api/a')).text(), response)
    assert.deepEqual(namesOf(await call(await requestOf(), run)), ['__Host-strongroom'])
    assert.deepEqual([...response.headers], [])
  })

  // claim: handler-74
  test(`headers of the app let no cache store the session’s response: ${name}`, time, async () => {
    const run = async (auth) => {
      await (await auth.call('/api/a')).text()
      return new Response('page', { headers: GIVEN })
    }
    assertIsPrivate(await call(await requestOf(), run))
  })

  test(`${name}: event stream of the app is not transformed`, time, async () => {
    const headers = { 'content-type': 'text/event-stream' }
    const run = async (auth) => (await auth.session(), new Response('data: 1\n\n', { headers }))
    const response = await call(await requestOf(), run)
    assert.equal(response.headers.get('cache-control'), 'private, no-store, no-transform')
  })
}

for (const [name, call] of Object.entries(WEB)) {
  // claim: handler-74
  test(`session cannot be used for the first time in a stream: ${name}`, time, async () => {
    const codes = []
    const response = await call(await requestOf(), (auth) => {
      const pull = async (controller) => {
        await auth.session().catch(({ code }) => codes.push(code))
        controller.close()
      }
      return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }))
    })
    await response.text()
    assert.deepEqual(codes, ['unsupported'])
    assert.equal(response.headers.get('cache-control'), null)
  })
}

const fields = Object.entries({ ...GIVEN, 'Set-Cookie': ['own=1', 'two=2'] })
/** The ways to write a head, which all replace the headers that were set before. */
const WAYS = {
  'no head': (res) => fields.forEach((field) => res.setHeader(...field)),
  'a flushed head': (res) => (fields.forEach((field) => res.setHeader(...field)), res.flushHeaders()),
  'an object': (res) => res.writeHead(200, Object.fromEntries(fields)),
  'a reason and an object': (res) => res.writeHead(200, 'OK', Object.fromEntries(fields)),
  pairs: (res) => res.writeHead(200, fields),
  'an array': (res) => res.writeHead(200, fields.flat()),
  'a reason and an array with repeated names': (res) =>
    res.writeHead(200, 'OK', [
      ...fields.filter(([name]) => name !== 'Set-Cookie').flat(),
      ...['Set-Cookie', 'own=1', 'Set-Cookie', 'two=2'],
    ]),
}

for (const [name, serve] of Object.entries(NODE)) {
  for (const isHttp2 of [false, true]) {
    /** Runs an app that writes the head of its response itself. */
    const visit = async (app) =>
      onNode(
        await requestOf(),
        (req, res) => serve(req, res, async (auth) => (await app(auth, res), res.end())),
        isHttp2,
      )
    const what = `${name}, HTTP/${isHttp2 ? 2 : 1}`

    for (const [way, writeHead] of Object.entries(WAYS)) {
      test(
        // claim: handler-74
        `head that the app writes itself is private, and keeps all cookies: ${what}, ${way}`,
        time,
        async () => {
          const response = await visit(async (auth, res) => {
            res.setHeader('Set-Cookie', 'layer=1')
            res.setHeader('X-Layer', '1')
            await (await auth.call('/api/a')).text()
            writeHead(res)
            res.write('page')
          })
          assertIsPrivate(response)
          const layer = /head/.test(way) ? [] : ['layer']
          assert.deepEqual(namesOf(response), [...layer, 'own', 'two', '__Host-strongroom'])
          assert.equal(response.headers.get('x-layer'), '1')
          assert.equal(await response.text(), 'page')
        },
      )
    }

    test(`${what}: response whose head is sent while a call is in flight is private`, time, async () => {
      const response = await visit(async (auth, res) => {
        const called = auth.call('/api/a')
        res.writeHead(200, GIVEN)
        res.write(await (await called).text())
      })
      assertIsPrivate(response)
      assert.equal(await response.text(), 'orders')
    })

    // claim: handler-74
    test(`session cannot be used for the first time after the head: ${what}`, time, async () => {
      const codes = []
      const response = await visit(async (auth, res) => {
        res.flushHeaders()
        for (const use of [() => auth.call('/api/a'), () => auth.session(), () => auth.endReason()])
          await use().catch(({ code }) => codes.push(code))
      })
      assert.deepEqual(codes, Array(3).fill('unsupported'))
      assert.equal(response.headers.get('cache-control'), null)
    })

    test(`${what}: slow page, and a call after the head, bring no cookie`, time, async () => {
      const slow = await visit(async (auth, res) => {
        await auth.call('/api/a')
        setClocks(LATER + 2000)
        res.writeHead(200, { 'Set-Cookie': 'own=1' })
      })
      const late = await visit(async (auth, res) => {
        setClocks(0)
        await auth.session()
        res.flushHeaders()
        setClocks(LATER)
        res.write(await (await auth.call('/api/a')).text())
      })
      assert.deepEqual([namesOf(slow), namesOf(late)], [['own'], []])
      assert.equal(await late.text(), 'orders')
      for (const { headers } of [slow, late]) assert.equal(headers.get('cache-control'), 'private, no-store')
    })
  }
}

for (const [name, mount, isTold] of [
  ['express', '/auth', true],
  ['express', '/auth/deeper', true],
  ['express', '/authx', false],
  ['express', '/app', false],
  ['express', undefined, false],
  ['hono', '/auth/*', true],
  ['hono', '/app/*', false],
  ['hono', '*', false],
]) {
  test(`${name}: log says ${isTold ? 'once' : 'nothing'} if it is mounted at ${mount}`, time, async () => {
    const lines = []
    const handler = createTokenHandler({ ...config, log: (line) => lines.push(line) })
    const middleware = express.strongroom(handler)
    const visit = {
      express: () =>
        onNode(new Request(ORIGIN), async (req, res) => {
          Object.assign(req, { baseUrl: mount })
          await passed(res, (next) => middleware(req, Object.assign(res, { locals: {} }), next))
          res.end()
        }),
      hono: () => new Hono().use(mount, hono.strongroom(handler)).request(mount.replace('*', 'x')),
    }[name]
    for (let time = 0; time < 2; time++) await visit()
    const told = lines.map(({ level, code, message }) => `${level} ${code} ${/without a path/.test(message)}`)
    assert.deepEqual(told, isTold ? ['warn config_invalid true'] : [])
  })
}

test('express: session of a request without a tenant adds no header', time, async () => {
  const middleware = express.strongroom(tenants({ select: () => undefined, create: () => undefined }))
  const response = await onNode(new Request(ORIGIN), async (req, res) => {
    res.locals = {}
    await passed(res, (next) => middleware(req, res, next))
    res.end(`${await res.locals.session}`)
  })
  assert.equal(await response.text(), 'null')
  assert.equal(response.headers.get('cache-control'), null)
})

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

/** Runs an app of h3 on Node. `run` is called as h3 calls the handlers of an app. */
const onH3 = (request, run) => onNode(request, (req, res) => run({ context: {}, node: { req, res } }))

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
