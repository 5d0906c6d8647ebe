// The adapters for middleware, each called as its framework calls it. `frameworks_node24.test.mjs` runs the frameworks.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import * as h3 from '../../pkg/dist/edge/h3.js'
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
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['GET'] }],
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

/** Runs an app of h3 on Node. `run` is called as h3 calls the handlers of an app. */
async function onNode(request, run) {
  let failure
  const server = await listen({
    handler: (req, res) =>
      run({ context: {}, node: { req, res } }).catch((error) => (failure = error) && res.destroy()),
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
  h3: (request, run) =>
    onNode(request, async (event) => {
      const { res } = event.node
      await h3.strongroom(handler)(event)
      if (res.headersSent) return
      const response = await run(event.context.auth)
      res.statusCode = response.status
      for (const cookie of response.headers.getSetCookie()) res.appendHeader('set-cookie', cookie)
      res.end(await response.text())
    }),
}

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

test('tanstack-start: redirect stays the same object', time, async () => {
  const redirect = new Response(null, { status: 307, headers: { location: '/' } })
  const run = async (auth) => ((await auth.call('/api/a')).text(), redirect)
  const response = await ADAPTERS['tanstack-start'](await requestOf(), run)
  assert.equal(response, redirect)
  assert.deepEqual(namesOf(response), ['__Host-strongroom'])
})

test('tanstack-start: response whose headers cannot be changed gets them, too', time, async () => {
  const run = async (auth) => ((await auth.call('/api/a')).text(), Response.redirect(`${ORIGIN}/x`))
  const response = await ADAPTERS['tanstack-start'](await requestOf(), run)
  assert.equal(response.headers.get('location'), `${ORIGIN}/x`)
  assert.deepEqual(namesOf(response), ['__Host-strongroom'])
})

test('h3: request of the server to itself shares the session of the page', time, async () => {
  const response = await onNode(await requestOf(), async (event) => {
    const middleware = h3.strongroom(handler)
    await middleware(event)
    const inner = { context: {}, node: { req: { __unenv__: event.context }, res: {} } }
    await middleware(inner)
    await inner.context.auth.call('/api/a')
    event.node.res.end()
  })
  assert.deepEqual(namesOf(response), ['__Host-strongroom'])
})
