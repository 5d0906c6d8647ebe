// A request without a body can be sent again. In HTTP/2, a body needs neither `Content-Length` nor `Transfer-Encoding`.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as open } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { readBody } from '../../support/body.mjs'
import { setClocks } from '../../support/clocks.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const faults = []
let upstream, app, handler, server, alice, received, onRequest
let now = 0

before(async () => {
  upstream = await listen({
    async handler(request, response) {
      const { 'content-length': length, 'transfer-encoding': coding } = request.headers
      received.push({ body: `${await readBody(request)}`, framing: length ?? coding })
      onRequest(request, response)
    },
  })
  let listener
  const create = (config) => {
    handler = createTokenHandler(config)
    listener = toNodeListener(handler)
    return handler
  }
  app = await startInProcess(create, {
    accessTokenSeconds: 3600,
    handler: {
      coordinator: inIsolate(),
      session: { idle: 36_000 },
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['POST', 'DELETE'] }],
      log: ({ message }) => faults.push(message),
    },
  })
  server = createHttp2(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  alice = new Visitor(app.place)
  await alice.signIn()
}, time)
after(async () => {
  setClocks(0)
  server?.close()
  await app?.close()
  await upstream?.close()
})

const headersOf = (visitor) => ({
  cookie: [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
  'x-strongroom': '1',
  'sec-fetch-site': 'same-origin',
})

/** Sends a request with this body, or with none. Each resolves with the status of the response. */
const VERSIONS = {
  async 'HTTP/1'(method, body) {
    const request = open(`${app.place.urls[0]}/api/a`, { method, headers: headersOf(alice) })
    // Node then sends it in chunks.
    if (body !== undefined) request.setHeader('transfer-encoding', 'chunked')
    request.end(body)
    const [response] = await once(request, 'response')
    await response.toArray()
    return response.statusCode
  },
  async 'HTTP/2'(method, body) {
    const client = connectHttp2(`http://127.0.0.1:${server.address().port}`)
    try {
      const head = { ':method': method, ':path': '/api/a', ...headersOf(alice) }
      const stream = client.request(head, { endStream: body === undefined })
      if (body !== undefined) stream.end(body)
      const [headers] = await once(stream, 'response')
      await stream.toArray()
      return headers[':status']
    } finally {
      client.destroy()
    }
  },
}

/** Lets the API refuse the token of the next request, which is old enough for a new one. */
const refuseOnce = () => {
  setClocks((now += 300_000))
  received = []
  let isRefused = false
  onRequest = (_request, response) => {
    response.statusCode = isRefused ? 200 : 401
    isRefused = true
    response.end()
  }
}

const NONE = { body: '', framing: undefined }
for (const [version, send] of Object.entries(VERSIONS)) {
  // claim: end-22
  test(`${version}: DELETE without a body is sent again after a refused token`, time, async () => {
    refuseOnce()
    assert.equal(await send('DELETE'), 200)
    assert.deepEqual(received, [NONE, NONE])
  })

  test(`${version}: DELETE without a body is sent again on a fresh connection`, time, async () => {
    received = []
    onRequest = (request, response) => (received.length < 2 ? request.socket.destroy() : response.end())
    assert.equal(await send('DELETE'), 200)
    assert.deepEqual(received, [NONE, NONE])
  })

  for (const method of ['POST', 'DELETE']) {
    test(`${version}: ${method} with a streamed body is sent once, and whole`, time, async () => {
      refuseOnce()
      const body = 'a line\n'.repeat(100_000)
      assert.equal(await send(method, body), 401)
      assert.deepEqual(received, [{ body, framing: 'chunked' }])
    })
  }
}

test('HTTP/2: an empty stream counts as no body', time, async () => {
  refuseOnce()
  assert.equal(await VERSIONS['HTTP/2']('DELETE', ''), 200)
  assert.deepEqual(received, [NONE, NONE])
})

test('client that leaves before the first byte of its body is not reported', time, async () => {
  received = []
  faults.length = 0
  const left = once(server, 'stream').then(([stream]) => once(stream, 'close'))
  const client = connectHttp2(`http://127.0.0.1:${server.address().port}`)
  const stream = client.request(
    { ':method': 'POST', ':path': '/api/a', ...headersOf(alice) },
    { endStream: false },
  )
  stream.on('error', () => {})
  await once(stream, 'ready')
  await once(server, 'request')
  client.destroy()
  await left
  // A request that the handler gets later has its response.
  onRequest = (_request, response) => response.end()
  assert.equal(await VERSIONS['HTTP/1']('DELETE'), 200)
  assert.deepEqual([received, faults], [[NONE], []])
})

test('body that the app has read is named in the log', time, async () => {
  faults.length = 0
  const request = new Request(`${app.place.origin}/api/a`, {
    method: 'POST',
    body: 'read',
    headers: headersOf(alice),
  })
  await request.text()
  assert.equal((await handler.fetch(request)).status, 502)
  assert.match(faults.join(), /BodyAlreadyRead/)
})
