// The adapter for Express, which writes the session's cookies before the app sends the head of its response.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate, tenants } from '../../pkg/dist/edge.js'
import { strongroom } from '../../pkg/dist/edge/express.js'
import { setClocks } from '../support/clocks.mjs'
import { ORIGIN, startInProcess } from '../support/edge/in_process.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 60_000 }
/** Seconds. */
const TOKEN = 600
let api, app, server, render
let now = 0

/** Moves the clocks to a time at which the latest access token has expired. */
const expire = () => setClocks((now += (TOKEN + 1) * 1000))

before(async () => {
  api = await listen({ handler: (_request, response) => response.end('orders') })
  let middleware
  app = await startInProcess(
    (config) => {
      const handler = createTokenHandler({ ...config, log() {} })
      middleware = strongroom(handler, { origin: ORIGIN })
      return handler
    },
    {
      accessTokenSeconds: TOKEN,
      handler: {
        session: { recheck: 0 },
        coordinator: inIsolate(),
        routes: [{ prefix: '/api/', upstream: `${api.origin}/` }],
      },
    },
  )
  server = await listen({
    handler(request, response) {
      response.locals = {}
      middleware(request, response, (error) => {
        if (error) return response.destroy(error)
        render(response).then(() => response.end())
      })
    },
  })
}, time)
after(async () => {
  setClocks(0)
  await server?.close()
  await app?.close()
  await api?.close()
})

/** Signs in, and requests a page when the access token has expired. Resolves with the visitor and the response. */
async function visit(page) {
  render = page
  const visitor = new Visitor({ origin: ORIGIN, urls: [server.origin] })
  await visitor.signIn({ until: ({ origin, pathname }) => origin === ORIGIN && pathname === '/' })
  expire()
  const { response } = await visitor.go('/')
  return { visitor, response }
}

const SESSION = /^__Host-strongroom=/
const sessionCookies = (response) => response.headers.getSetCookie().filter((cookie) => SESSION.test(cookie))

test('response has the cookies of the latest session, beside those of the app', time, async () => {
  const { visitor, response } = await visit(async (response) => {
    const { auth, session } = response.locals
    response.setHeader('set-cookie', 'first=1')
    assert.equal((await session).claims.sub, 'alice')
    await Promise.all(Array.from({ length: 3 }, () => auth.call('/api/orders')))
    response.setHeader('set-cookie', [...response.getHeader('set-cookie'), 'second=1'])
    expire()
    await auth.call('/api/orders')
  })
  assert.equal(response.headers.get('cache-control'), 'private, no-store')
  assert.equal(sessionCookies(response).length, 1)
  assert.deepEqual(
    response.headers.getSetCookie().filter((cookie) => /^(first|second)=/.test(cookie)),
    ['first=1', 'second=1'],
  )
  const before = app.provider.ledger.refreshes().length
  assert.equal((await visitor.call('/api/orders')).status, 200)
  assert.equal(app.provider.ledger.refreshes().length, before)
})

test('call after the head keeps the session with the previous cookie', time, async () => {
  const { visitor, response } = await visit(async (response) => {
    await response.locals.session
    expire()
    response.flushHeaders()
    response.write(await (await response.locals.auth.call('/api/orders')).text())
  })
  assert.equal(await response.text(), 'orders')
  assert.equal((await visitor.call('/api/orders')).status, 200)
})

test('session cannot be used for the first time after the head', time, async () => {
  const codes = []
  const { response } = await visit(async (response) => {
    response.flushHeaders()
    const { auth, session } = response.locals
    for (const use of [() => auth.call('/api/orders'), () => auth.session(), () => session])
      await assert.rejects(async () => use(), { code: 'unsupported' }).then(() => codes.push(1))
  })
  assert.equal(response.headers.get('cache-control'), null)
  assert.equal(codes.length, 3)
})

test('response whose head is sent while a call is in flight is private', time, async () => {
  const { response } = await visit(async (response) => {
    response.setHeader('cache-control', 'public')
    const called = response.locals.auth.call('/api/orders')
    response.write('orders: ')
    response.write(await (await called).text())
  })
  assert.equal(response.headers.get('cache-control'), 'private, no-store')
  assert.equal(await response.text(), 'orders: orders')
})

test('slow page sets no cookie of the session', time, async () => {
  for (const seconds of [0, 2]) {
    const { visitor, response } = await visit(async (response) => {
      response.setHeader('set-cookie', 'own=1')
      await response.locals.auth.call('/api/orders')
      setClocks((now += seconds * 1000))
    })
    assert.equal(sessionCookies(response).length, seconds ? 0 : 1)
    assert.equal(response.headers.getSetCookie().includes('own=1'), true)
    assert.equal(response.headers.get('cache-control'), 'private, no-store')
    assert.equal((await visitor.call('/api/orders')).status, 200)
  }
})

test('headers of the app let no cache store the session’s response', time, async () => {
  const given = { 'Cache-Control': 'public', 'CDN-Cache-Control': 'max-age=60', Expires: '0', 'X-Own': '1' }
  const ways = {
    setHeader: (response) => Object.entries(given).forEach((entry) => response.setHeader(...entry)),
    'writeHead with an object': (response) => response.writeHead(200, given),
    'writeHead with an array': (response) => response.writeHead(200, 'OK', Object.entries(given).flat()),
  }
  for (const [name, write] of Object.entries(ways)) {
    const { response } = await visit(async (response) => {
      await response.locals.session
      write(response)
    })
    const names = ['cache-control', 'cdn-cache-control', 'expires', 'x-own']
    assert.deepEqual(
      names.map((name) => response.headers.get(name)),
      ['private, no-store', null, null, '1'],
      name,
    )
  }
})

test('page that does not use the session gets no header', time, async () => {
  const { response } = await visit(async () => {})
  assert.deepEqual([response.headers.get('cache-control'), sessionCookies(response)], [null, []])
})

test('session of a request without a tenant adds no header', time, async () => {
  const middleware = strongroom(tenants({ select: () => undefined, create: () => undefined }))
  const server = await listen({
    handler(request, response) {
      response.locals = {}
      const respond = async () => response.end(`${await response.locals.session}`)
      middleware(request, response, () => respond().catch((error) => response.destroy(error)))
    },
  })
  try {
    const response = await fetch(server.origin)
    assert.equal(await response.text(), 'null')
    assert.equal(response.headers.get('cache-control'), null)
  } finally {
    await server.close()
  }
})
