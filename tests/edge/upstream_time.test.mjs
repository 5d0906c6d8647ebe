// A route has a time limit for the head of its upstream's response, and none for the body.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { startInProcess } from '../support/edge/in_process.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'

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
