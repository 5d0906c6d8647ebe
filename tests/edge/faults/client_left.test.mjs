// A client that disconnects before its response is not reported as a fault of the upstream.
import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const faults = []
let upstream, app, handler, alice, onRequest

before(async () => {
  upstream = await listen({ handler: (request, response) => onRequest(request, response) })
  const create = (config) => (handler = createTokenHandler(config))
  app = await startInProcess(create, {
    accessTokenSeconds: 600,
    handler: {
      coordinator: inIsolate(),
      session: { grace: 0 },
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/` }],
      log: ({ code }) => faults.push(code),
    },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
  assert.deepEqual(faults, [])
}, time)
after(async () => {
  await app?.close()
  await upstream?.close()
})

/** Returns a request of the app's script to the upstream. */
const requestWith = (signal, visitor = alice) => {
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }
  return new Request(`${app.place.origin}/api/a`, { headers, signal })
}

const call = (signal, visitor) => handler.fetch(requestWith(signal, visitor))

test('client that leaves causes no line in the log', time, async () => {
  const client = new AbortController()
  let closed
  onRequest = (_request, response) => {
    closed = once(response, 'close')
    client.abort()
  }
  await call(client.signal)
  await closed
  assert.deepEqual(faults, [])
})

test('upstream that breaks off is reported', time, async () => {
  onRequest = (_request, response) => response.destroy()
  const response = await call()
  assert.equal(response.status, 502)
  assert.deepEqual(faults, ['upstream_unavailable'])
})

test('handler listens for a disconnect until the response has arrived', time, async () => {
  const request = requestWith()
  const listeners = () => getEventListeners(request.signal, 'abort').length
  let whileSent
  for (const [status, body] of [
    [200, 'short'],
    [204, undefined],
  ]) {
    onRequest = (_request, response) => {
      whileSent = listeners()
      response.writeHead(status, body && { 'content-length': body.length }).end(body)
    }
    assert.equal((await handler.fetch(request)).status, status)
    assert.deepEqual([whileSent, listeners()], [1, 0])
  }
})

const ofServerCode = (signal, visitor) => handler.for(requestWith(signal, visitor)).call('/api/a')

for (const [title, [send, signal, status]] of Object.entries({
  'client that has left ends no session by a cookie that was replaced': [call, AbortSignal.abort(), 200],
  // claim: handler-23
  'client that has left ends no session in server code': [ofServerCode, AbortSignal.abort(), 200],
  'control: client that is there ends it': [call, undefined, 401],
  'control: client that is there ends it in server code': [ofServerCode, undefined, 401],
}))
  test(title, time, async () => {
    onRequest = (_request, response) => response.end()
    app.provider.settings.accessTokenSeconds = 2
    const bob = new Visitor(app.place)
    await bob.signIn({ account: 'bob' })
    const copy = bob.copy()
    await app.provider.letAccessTokenExpire()
    for (let i = 0; i < 2; i++) assert.equal((await bob.call('/api/a')).status, 200)
    await send(signal, copy)
    assert.equal((await bob.call('/api/a')).status, status)
  })
