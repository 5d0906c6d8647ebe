// A route has a time limit for the head of its upstream's response, and none for the body.
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { leftOut } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { PLATFORMS } from '../../support/edge/platforms.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const faults = []
let upstream, app, handler, alice, onRequest

before(async () => {
  const answer = (request, response) => request.url === '/hang' || onRequest(request, response)
  upstream = await listen({ handler: answer })
  const create = (config) => (handler = createTokenHandler(config))
  const route = { prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['GET', 'POST'], timeout: 1 }
  app = await startInProcess(create, {
    accessTokenSeconds: 600,
    handler: { coordinator: inIsolate(), routes: [route], log: ({ code }) => faults.push(code) },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
  faults.length = 0
}, time)
after(async () => {
  await app?.close()
  await upstream?.close()
})

const call = (init = {}, path = '/api/a') => {
  const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const { headers: more, ...rest } = init
  const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', ...more }
  return handler.fetch(new Request(app.place.origin + path, { headers, ...rest }))
}

// claim: handler-38
test('upstream without a response gets 502, and its request ends', time, async () => {
  for (const init of [{}, { method: 'POST', body: 'a', headers: { 'content-length': '1' } }]) {
    let closed
    onRequest = (_request, response) => {
      closed = once(response, 'close')
    }
    const response = await call(init)
    assert.equal(response.status, 502)
    assert.equal((await response.json()).error.code, 'upstream_unavailable')
    await closed
  }
  // One line a minute.
  assert.deepEqual(faults.splice(0), ['upstream_unavailable'])
})

/** Waits until a request that begins now has reached the time limit. */
const limitReached = async () => {
  assert.equal((await call({}, '/api/hang')).status, 502)
  faults.length = 0
}

/** Returns a stream that ends after the time limit of the route. */
const slow = () => {
  const encoder = new TextEncoder()
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode('a')),
    async pull(controller) {
      await limitReached()
      controller.enqueue(encoder.encode('b'))
      controller.close()
    },
  })
}

test('body of a response has no time limit', time, async () => {
  onRequest = async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders()
    for await (const part of slow()) response.write(part)
    response.end()
  }
  const response = await call()
  assert.equal(await response.text(), 'ab')
})

/** Node's dispatcher of requests. An operator may replace it. */
const DISPATCHER = Symbol.for(
  `undici.globalDispatcher.${Number.parseInt(process.versions.undici) < 8 ? 1 : 2}`,
)

/** Gives the requests of this process the time limits of an operator's dispatcher, which are shorter than Node's. */
const shortenLimits = () => {
  const own = globalThis[DISPATCHER]
  const limits = { bodyTimeout: 100, headersTimeout: 100 }
  const paths = []
  const dispatch = (options, handler) => {
    paths.push(options.path)
    return own.dispatch({ ...limits, ...options }, handler)
  }
  globalThis[DISPATCHER] = { dispatch }
  const restore = () => {
    globalThis[DISPATCHER] = own
  }
  return { paths, restore }
}

test('silent body outlasts the limits of the process, whose dispatcher sends the request', time, async () => {
  const responses = []
  onRequest = (_request, response) => {
    responses.push(response)
    response.write('a')
  }
  const { paths, restore } = shortenLimits()
  try {
    const response = await call()
    // A control: a request that began later, without the handler.
    const control = await fetch(upstream.origin)
    await assert.rejects(control.text(), ({ cause }) => cause.code === 'UND_ERR_BODY_TIMEOUT')
    responses[0].end('b')
    assert.equal(await response.text(), 'ab')
    assert.deepEqual(paths, ['/a', '/'])
  } finally {
    restore()
  }
})

leftOut('bun: silent body outlasts the limit of the process', time, async () => {
  const events = new EventEmitter()
  onRequest = ({ url }, response) => {
    if (url === '/') return response.end()
    response.write('a')
    events.emit(url, response)
  }
  const limits = { BUN_CONFIG_HTTP_IDLE_TIMEOUT: '1', SITE: upstream.origin }
  const start = (options) => PLATFORMS.bun.start({ ...options, env: { ...options.env, ...limits } })
  const options = { coordinator: 'in-isolate', isolates: 1, upstream: `${upstream.origin}/` }
  const app = await startApp({ start }, options)
  try {
    const visitor = app.visitor()
    await visitor.signIn({ until: ({ origin, pathname }) => origin === app.origin && pathname === '/' })
    const begun = [once(events, '/a'), once(events, '/control')]
    const answer = visitor.call('/api/a')
    const [held] = await begun[0]
    // A control: a later request of the same process, without the handler.
    const control = fetch(`${app.urls[0]}/control`).then((response) => response.text())
    const [ended] = await begun[1]
    await Promise.all([once(ended, 'close'), assert.rejects(control)])
    held.end('b')
    assert.equal(await (await answer).text(), 'ab')
  } finally {
    await app.stop()
  }
})

test('client that leaves ends a silent body', time, async () => {
  let closed
  onRequest = (_request, response) => {
    closed = once(response, 'close')
    response.flushHeaders()
  }
  const client = new AbortController()
  const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { cookie, 'x-strongroom': '1' }
  await fetch(`${app.place.urls[0]}/api/a`, { headers, signal: client.signal })
  client.abort()
  await closed
})

test('upload of unknown length has no time limit', time, async () => {
  onRequest = async (request, response) => {
    let text = ''
    for await (const part of request) text += part
    response.end(text)
  }
  const response = await call({ method: 'POST', body: slow(), duplex: 'half' })
  assert.equal(await response.text(), 'ab')
  assert.deepEqual(faults, [])
})
