// Tests of `toNodeListener()`, which connects Node's HTTP servers to a fetch-style handler.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request as open } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { test } from 'node:test'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'

/** Starts a server for the duration of a test. */
async function serve(t, handler, options, create = createServer) {
  const server = create(toNodeListener(handler, options)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections?.()
  })
  const { port } = server.address()
  return { port, url: `http://127.0.0.1:${port}` }
}

/**
 * Sends raw bytes. Resolves with a string: the status of the response, and the URL that the handler got, or `-` if
 * there is no such URL.
 */
async function raw(port, head) {
  const socket = connect(port, '127.0.0.1')
  socket.end(`${head}\r\nConnection: close\r\n\r\n`)
  let text = ''
  for await (const piece of socket) text += piece
  return `${/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]} ${/^x-seen: (.*?)\r?$/m.exec(text)?.[1] ?? '-'}`
}

const told = ({ url }) => new Response(null, { status: 204, headers: { 'x-seen': url } })

const TARGETS = [
  ['GET /a?b=%2F HTTP/1.1\r\nHost: app.test', '204 http://app.test/a?b=%2F'],
  ['GET /a HTTP/1.1\r\nHost: APP.test:81', '204 http://app.test:81/a'],
  ['GET /a HTTP/1.1\r\nHost: [::1]:81', '204 http://[::1]:81/a'],
  ['GET //evil.test/a HTTP/1.1\r\nHost: app.test', '204 http://app.test//evil.test/a'],
  ['GET /\\evil.test HTTP/1.1\r\nHost: app.test', '204 http://app.test//evil.test'],
  ['GET @evil.test/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET .evil.test/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET http://app.test/a?b HTTP/1.1\r\nHost: app.test', '204 http://app.test/a?b'],
  ['GET HTTPS://APP.test:81 HTTP/1.1\r\nHost: app.test:81', '204 http://app.test:81/'],
  ['GET http://app.test?b HTTP/1.1\r\nHost: app.test', '204 http://app.test/?b'],
  ['GET http://app.test//evil.test/a HTTP/1.1\r\nHost: app.test', '204 http://app.test//evil.test/a'],
  ['GET http://evil.test/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET http://app.test.evil.test/ HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET http://app.test:81/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET http://user@app.test/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET ftp://app.test/a HTTP/1.1\r\nHost: app.test', '400 -'],
  ['OPTIONS * HTTP/1.1\r\nHost: app.test', '400 -'],
  ['GET /a HTTP/1.1\r\nHost: user@evil.test', '400 -'],
  ['GET /a HTTP/1.1\r\nHost: app.test/evil?', '400 -'],
  ['GET /a HTTP/1.1\r\nHost: app.test#', '400 -'],
  ['GET /a HTTP/1.1\r\nHost: app.test:99999', '400 -'],
  ['GET /a HTTP/1.1\r\nHost: ', '400 -'],
  [
    'GET /a HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https',
    '204 http://app.test/a',
  ],
  ['TRACE /a HTTP/1.1\r\nHost: app.test', '501 -'],
]
for (const [head, expected] of TARGETS) {
  test(`${JSON.stringify(head)} is ${expected}`, async (t) => {
    const { port } = await serve(t, told)
    assert.equal(await raw(port, head), expected)
  })
}

/** Serves an app as frameworks do, with the listener as middleware that middleware before it has prepared. */
async function serveApp(t, handler, prepare = () => {}) {
  const listener = toNodeListener(handler, { onError: () => {} })
  const create = () =>
    createServer(async (request, response) => {
      await prepare(request)
      listener(request, response, () => response.end('the app'))
    })
  const server = create().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${server.address().port}`
}

/** A handler of `/auth/`, which responds with the URL and the body that it gets. */
const OWN = {
  handle: async (request) =>
    new URL(request.url).pathname.startsWith('/auth/')
      ? new Response(`${new URL(request.url).pathname} ${await request.text()}`)
      : undefined,
  fetch: () => new Response('not as middleware'),
}
const post = (body, type) => ({ method: 'POST', body, headers: { 'content-type': type } })

test('as middleware, the listener leaves other paths, and their bodies, to the app', async (t) => {
  const url = await serveApp(t, OWN)
  assert.equal(await (await fetch(`${url}/auth/session`)).text(), '/auth/session ')
  assert.equal(await (await fetch(`${url}/orders`)).text(), 'the app')
  const echoed = createServer(async (request, response) => {
    const listener = toNodeListener(OWN)
    listener(request, response, async () => response.end((await request.toArray()).join('')))
  }).listen(0, '127.0.0.1')
  await once(echoed, 'listening')
  t.after(() => echoed.close())
  const answer = await fetch(`http://127.0.0.1:${echoed.address().port}/orders`, post('whole', 'text/plain'))
  assert.equal(await answer.text(), 'whole')
})

test('a mounted listener gets the whole path', async (t) => {
  const url = await serveApp(t, OWN, (request) => {
    request.originalUrl = request.url
    request.url = request.url.replace('/auth', '')
  })
  assert.equal(await (await fetch(`${url}/auth/session`)).text(), '/auth/session ')
})

/** For each body, what middleware makes of it, and what the handler then gets. */
const READ = [
  ['application/json', '{ "a": [1] }', JSON.parse, '{"a":[1]}'],
  ['application/vnd.api+json; charset=utf-8', '{ "a": 1 }', JSON.parse, '{"a":1}'],
  [
    'application/x-www-form-urlencoded',
    'a=b%20c&d=',
    (text) => Object.fromEntries(new URLSearchParams(text)),
    'a=b+c&d=',
  ],
  ['text/plain', 'text', (text) => text, 'text'],
  ['application/octet-stream', 'bytes', (text) => Buffer.from(text), 'bytes'],
]
for (const [type, sent, parse, expected] of READ) {
  test(`body that middleware has read is sent on: ${type}`, async (t) => {
    const url = await serveApp(t, OWN, async (request) => {
      request.body = parse((await request.toArray()).join(''))
    })
    const answer = await fetch(`${url}/auth/x`, post(sent, type))
    assert.equal(await answer.text(), `/auth/x ${expected}`)
  })
}

test('config_invalid: a body that middleware has read, and that cannot be sent on', async (t) => {
  for (const body of [undefined, { file: {} }]) {
    const url = await serveApp(t, OWN, async (request) => {
      await request.toArray()
      request.body = body
    })
    const answer = await fetch(`${url}/auth/x`, post('--x--', 'multipart/form-data; boundary=x'))
    assert.equal(answer.status, 500)
    assert.equal(answer.headers.get('x-strongroom'), 'config_invalid')
    assert.match((await answer.json()).error.message, /before body parsers/)
  }
})

test('configured origin overrides Host', async (t) => {
  const { port } = await serve(t, told, { origin: 'https://app.example.com' })
  assert.equal(await raw(port, 'GET /a HTTP/1.1\r\nHost: evil.test'), '204 https://app.example.com/a')
  assert.equal(
    await raw(port, 'GET //evil.test HTTP/1.1\r\nHost: x'),
    '204 https://app.example.com//evil.test',
  )
  assert.equal(await raw(port, 'GET http://x/a HTTP/1.1\r\nHost: x'), '204 https://app.example.com/a')
})

test('invalid origin is refused', () => {
  for (const origin of ['https://app.example.com/', 'https://app.example.com/path', 'app.example.com', '']) {
    const message = /^origin must be an origin such as https:\/\/app\.example\.com, but is "/
    assert.throws(() => toNodeListener(told, { origin }), { name: 'TypeError', message }, origin)
  }
})

test('repeated headers are kept', async (t) => {
  const names = ({ headers }) => Response.json([headers.get('x-a'), headers.get('cookie')])
  const { url } = await serve(t, names)
  const headers = ['Host', 'app.test', 'X-A', '1', 'x-a', '2', 'Cookie', 'n=a', 'Cookie', 'n=b']
  const request = open(url, { headers })
  request.end()
  const [response] = await once(request, 'response')
  const [piece] = await response.toArray()
  assert.deepEqual(JSON.parse(piece), ['1, 2', 'n=a; n=b'])
})

test('env defaults to the environment', async (t) => {
  const handler = { fetch: (_request, env) => Response.json([env.PATH ?? null, env.x ?? null]) }
  const answers = []
  for (const options of [{}, { env: { x: 1 } }]) {
    const { url } = await serve(t, handler, options)
    answers.push(await (await fetch(url)).json())
  }
  assert.deepEqual(answers, [
    [process.env.PATH, null],
    [null, 1],
  ])
})

test('handler exception gives an empty 500 and is reported', async (t) => {
  const errors = []
  const failing = () => {
    throw new Error('secret')
  }
  const { url } = await serve(t, failing, { onError: ({ message }) => errors.push(message) })
  const response = await fetch(url)
  assert.equal(response.status, 500)
  assert.equal(await response.text(), '')
  assert.deepEqual(errors, ['secret'])
})

test('failed response body breaks the connection', async (t) => {
  const errors = []
  const failing = () => {
    let pieces = 0
    const pull = (controller) =>
      pieces++ ? controller.error(new Error('broken')) : controller.enqueue(new Uint8Array([1, 2, 3]))
    return new Response(new ReadableStream({ pull }))
  }
  const { url } = await serve(t, failing, { onError: ({ message }) => errors.push(message) })
  const response = await fetch(url)
  assert.equal(response.status, 200)
  await assert.rejects(response.arrayBuffer())
  assert.deepEqual(errors, ['broken'])
})

test('rejected waitUntil promise is reported', async (t) => {
  let onError
  const error = new Promise((resolve) => (onError = resolve))
  const handler = (_request, _env, { waitUntil }) => {
    waitUntil(Promise.reject(new Error('later')))
    return new Response()
  }
  const { url } = await serve(t, handler, { onError })
  await fetch(url)
  assert.equal((await error).message, 'later')
})

test('HEAD cancels the response body', async (t) => {
  let canceled = false
  const body = () => new ReadableStream({ cancel: () => void (canceled = true) })
  const { url } = await serve(t, () => new Response(body(), { headers: { 'content-length': '5' } }))
  const response = await fetch(url, { method: 'HEAD' })
  assert.equal(response.headers.get('content-length'), '5')
  assert.equal(await response.text(), '')
  assert.ok(canceled)
})

/** A head and its body, and the body that the handler gets. */
const FRAMED = [
  ['DELETE /a HTTP/1.1', '', null],
  ['OPTIONS /a HTTP/1.1', '', null],
  ['POST /a HTTP/1.1\r\nContent-Length: 0', '', null],
  ['POST /a HTTP/1.1\r\nContent-Length: 3', 'abc', 'abc'],
  ['PATCH /a HTTP/1.1\r\nTransfer-Encoding: chunked', '3\r\nabc\r\n0\r\n\r\n', 'abc'],
  ['DELETE /a HTTP/1.1\r\nTransfer-Encoding: chunked', '0\r\n\r\n', ''],
]
for (const [head, sent, expected] of FRAMED) {
  test(`${JSON.stringify(head)} has the body ${JSON.stringify(expected)}`, async (t) => {
    const got = []
    const handler = async (request) => {
      got.push(request.body && (await request.text()))
      return new Response(null, { status: 204 })
    }
    const { port } = await serve(t, handler)
    const socket = connect(port, '127.0.0.1')
    socket.end(`${head}\r\nHost: app.test\r\nConnection: close\r\n\r\n${sent}`)
    await socket.toArray()
    assert.deepEqual(got, [expected])
  })
}

test('HTTP/2 request has a body unless its headers are its end', async (t) => {
  const handler = async (request) => new Response(JSON.stringify(request.body && (await request.text())))
  const { url } = await serve(t, handler, {}, createHttp2)
  const client = connectHttp2(url)
  t.after(() => client.destroy())
  const got = []
  for (const [endStream, body] of [
    [true, undefined],
    [false, 'abc'],
    [false, ''],
  ]) {
    const stream = client.request({ ':method': 'DELETE', ':path': '/a' }, { endStream })
    if (!endStream) stream.end(body)
    got.push(JSON.parse((await stream.toArray()).join('')))
  }
  assert.deepEqual(got, [null, 'abc', ''])
})

test('body of a GET is dropped', async (t) => {
  const { port } = await serve(t, told)
  const head = 'GET /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc'
  assert.equal(await raw(port, head), '204 http://app.test/a')
})

test('signal is aborted on disconnect', async (t) => {
  let arrived, left
  const here = new Promise((resolve) => (arrived = resolve))
  const gone = new Promise((resolve) => (left = resolve))
  const handler = ({ signal }) => {
    signal.addEventListener('abort', () => left(signal.reason.name))
    arrived()
    return new Promise(() => {})
  }
  const { url } = await serve(t, handler)
  const client = new AbortController()
  const answer = fetch(url, { signal: client.signal })
  await here
  client.abort()
  await assert.rejects(answer)
  assert.equal(await gone, 'AbortError')
})

test('signal is not aborted after success', async (t) => {
  const signals = []
  const handler = ({ signal }) => {
    signals.push(signal)
    return new Response('whole')
  }
  const { url } = await serve(t, handler)
  const request = open(url, { agent: false })
  request.end()
  const [response] = await once(request, 'response')
  await response.toArray()
  await once(request, 'close')
  assert.equal(signals[0].aborted, false)
})

test('broken upload fails only its reader', async (t) => {
  let failed
  const failure = new Promise((resolve) => (failed = resolve))
  const errors = []
  const handler = async (request) => {
    if (request.method === 'GET') return new Response('still here')
    await request.text().catch(failed)
    return new Response()
  }
  const { url, port } = await serve(t, handler, { onError: (error) => errors.push(error) })
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nabc', () => socket.destroy())
  assert.ok((await failure) instanceof Error)
  assert.equal(await (await fetch(url)).text(), 'still here')
  assert.deepEqual(errors, [])
})

/** Waits until the number that `read` returns stops growing, and resolves with this number. */
async function untilStill(read) {
  const end = Date.now() + 30_000
  for (let last = -1; ;) {
    const now = read()
    if (now === last) return now
    if (Date.now() > end) assert.fail(`still growing after 30 seconds: ${now}`)
    last = now
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

test('response body respects backpressure', async (t) => {
  let made = 0
  const piece = new Uint8Array(1 << 16)
  const pull = (controller) => {
    made++
    controller.enqueue(piece)
  }
  const { url } = await serve(t, () => new Response(new ReadableStream({ pull })))
  const request = open(url)
  request.end()
  const [response] = await once(request, 'response')
  response.pause()
  const still = await untilStill(() => made)
  assert.ok(still > 0)
  response.resume()
  // When the client reads more, the source produces more.
  while (made <= still) await once(response, 'data')
  response.destroy()
})

test('upload respects backpressure', async (t) => {
  let arrived, read
  const here = new Promise((resolve) => (arrived = resolve))
  const handler = async ({ body }) => {
    const asked = new Promise((resolve) => (read = resolve))
    arrived()
    await asked
    let length = 0
    for await (const piece of body) length += piece.byteLength
    return new Response(`${length}`)
  }
  const { url } = await serve(t, handler)
  const request = open(url, { method: 'POST' })
  const piece = new Uint8Array(1 << 16)
  let [sent, isOver] = [0, false]
  const send = () => {
    while (!isOver) {
      sent += piece.byteLength
      if (!request.write(piece)) return request.once('drain', send)
    }
    request.end()
  }
  send()
  await here
  await untilStill(() => sent)
  isOver = true
  read()
  const [response] = await once(request, 'response')
  assert.equal(Number((await response.toArray()).join('')), sent)
})

test('unread upload does not block the response', async (t) => {
  const { url } = await serve(t, () => new Response('refused', { status: 403 }))
  for (let time = 0; time < 2; time++) {
    const response = await fetch(url, { method: 'POST', body: new Uint8Array(1 << 20) })
    assert.equal(response.status, 403)
    assert.equal(await response.text(), 'refused')
  }
})

test('canceled upload keeps the connection for the response', async (t) => {
  const handler = async ({ body }) => {
    const reader = body.getReader()
    await reader.read()
    await reader.cancel()
    return new Response('enough', { status: 413 })
  }
  const { url } = await serve(t, handler)
  const response = await fetch(url, { method: 'POST', body: new Uint8Array(4 << 20) })
  assert.equal(`${response.status} ${await response.text()}`, '413 enough')
})

test('the same listener serves HTTP/2', async (t) => {
  const handler = async (request) => {
    const response = new Response(
      `${request.method} ${new URL(request.url).pathname} ${await request.text()}`,
    )
    response.headers.append('Set-Cookie', 'a=1')
    response.headers.append('Set-Cookie', 'b=2')
    return response
  }
  const { url } = await serve(t, handler, {}, createHttp2)
  const client = connectHttp2(url)
  t.after(() => client.destroy())
  const stream = client.request({ ':method': 'POST', ':path': '/a' })
  stream.end('body')
  const [headers] = await once(stream, 'response')
  assert.equal(headers[':status'], 200)
  assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2'])
  assert.equal((await stream.toArray()).join(''), 'POST /a body')
})

for (const [kind, create] of Object.entries({ 'HTTP/1': createServer, 'HTTP/2': createHttp2 })) {
  for (const body of ['a body', null]) {
    test(`header bytes above ASCII are unchanged (${kind}, ${body ?? 'no body'})`, async (t) => {
      // Each byte of the header is one character of this string.
      const bytes = 'caf\xe9 \xe2\x82\xac'
      const echo = ({ headers }) => new Response(body, { headers: { 'x-a': headers.get('x-a') } })
      const { url, port } = await serve(t, echo, {}, create)
      if (kind === 'HTTP/2') {
        const client = connectHttp2(url)
        t.after(() => client.destroy())
        const [headers] = await once(client.request({ ':path': '/', 'x-a': bytes }), 'response')
        return assert.equal(headers['x-a'], bytes)
      }
      const socket = connect(port, '127.0.0.1')
      socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX-A: ${bytes}\r\nConnection: close\r\n\r\n`, 'latin1')
      let text = ''
      for await (const piece of socket) text += piece.toString('latin1')
      assert.equal(/^x-a: (.*)\r$/m.exec(text)[1], bytes)
    })
  }
}

// claim: handler-58
test('settled() waits for work after a disconnect', async () => {
  let finish
  const work = new Promise((resolve) => (finish = resolve))
  let begun
  const beginning = new Promise((resolve) => (begun = resolve))
  const listener = toNodeListener(async (_request, _env, context) => {
    context.waitUntil(work)
    begun()
    await work
    return new Response('done')
  })
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = open(`http://127.0.0.1:${server.address().port}/`)
  client.on('error', () => {})
  client.end()
  await beginning
  client.destroy()
  const closed = new Promise((resolve) => server.close(resolve))
  await closed
  let isSettled = false
  const settled = listener.settled().then(() => (isSettled = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isSettled, false)
  finish()
  await settled
})

/** Starts a server whose idle connections would stay open for a minute. */
async function startStoppable(t, handler, create = createServer) {
  const listener = toNodeListener(handler)
  const server = create(listener).listen(0, '127.0.0.1')
  server.keepAliveTimeout = 65_000
  await once(server, 'listening')
  const agent = new Agent({ keepAlive: true })
  t.after(() => {
    agent.destroy()
    server.closeAllConnections?.()
  })
  const ask = async (path = '/') => {
    const request = open(`http://127.0.0.1:${server.address().port}${path}`, { agent })
    request.end()
    const [response] = await once(request, 'response')
    return response
  }
  const closed = once(server, 'close')
  return { listener, server, ask, closed }
}

/** A promise with the function that resolves it. */
function gate() {
  let open
  const opened = new Promise((resolve) => (open = resolve))
  return { opened, open }
}

test('stop() ends each connection without waiting for others', { timeout: 60_000 }, async (t) => {
  const [arrived, held, rest] = [gate(), gate(), gate()]
  const begunBody = async function* () {
    yield new TextEncoder().encode('first, ')
    await rest.opened
    yield new TextEncoder().encode('rest')
  }
  const handler = async ({ url }) => {
    if (url.endsWith('/idle')) return new Response('whole')
    if (url.endsWith('/begun')) return new Response(ReadableStream.from(begunBody()))
    arrived.open()
    await held.opened
    return new Response('whole')
  }
  const { listener, server, ask, closed } = await startStoppable(t, handler)
  const begun = await ask('/begun')
  const waiting = ask('/waiting')
  await arrived.opened
  const idle = await ask('/idle')
  const { socket } = idle
  assert.equal(idle.headers.connection, 'keep-alive')
  await idle.toArray()
  const isIdleClosed = once(socket, 'close')
  const stopped = listener.stop(server, { limit: 60 })
  await isIdleClosed
  const isBegunClosed = once(begun.socket, 'close')
  rest.open()
  assert.equal((await begun.toArray()).join(''), 'first, rest')
  await isBegunClosed
  held.open()
  const response = await waiting
  assert.equal(response.headers.connection, 'close')
  assert.equal(String(await response.toArray()), 'whole')
  await stopped
  await closed
})

test('stop() with `drain` serves new connections, each for one request', { timeout: 60_000 }, async (t) => {
  const drained = []
  const { listener, server, ask, closed } = await startStoppable(t, (_request, _env, { isDraining }) => {
    drained.push(isDraining)
    return new Response('whole')
  })
  assert.equal((await ask()).headers.connection, 'keep-alive')
  const stopped = listener.stop(server, { drain: 0.5 })
  const first = await ask()
  assert.equal(first.headers.connection, 'close')
  assert.equal(String(await first.toArray()), 'whole')
  assert.deepEqual(drained, [false, true])
  await stopped
  await closed
})

test('stop() lets a slow client read its response', { timeout: 60_000 }, async (t) => {
  const length = 8 << 20
  const { listener, server, ask, closed } = await startStoppable(
    t,
    () => new Response(new Uint8Array(length)),
  )
  const response = await ask()
  const stopped = listener.stop(server, { limit: 60 })
  let read = 0
  for await (const piece of response) read += piece.length
  assert.equal(read, length)
  await stopped
  await closed
})

test('stop() cuts streams when the time is over', { timeout: 60_000 }, async (t) => {
  const canceled = gate()
  const body = () => new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(1)), cancel: canceled.open })
  const { listener, server, ask, closed } = await startStoppable(t, () => new Response(body()))
  const response = await ask()
  const began = performance.now()
  const stopped = listener.stop(server, { limit: 0.3 })
  await assert.rejects(response.toArray(), { code: 'ECONNRESET' })
  assert.ok(performance.now() - began >= 290)
  await stopped
  await closed
  await canceled.opened
})

// claim: handler-58
test('stop() waits for other work until its time is over', { timeout: 60_000 }, async (t) => {
  const work = gate()
  const handler = (_request, _env, context) => {
    context.waitUntil(work.opened)
    return new Response('whole')
  }
  const { listener, server, ask } = await startStoppable(t, handler)
  await (await ask()).toArray()
  let isStopped = false
  const stopped = listener.stop(server, { limit: 60 }).then(() => (isStopped = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isStopped, false)
  work.open()
  await stopped
  const endless = await startStoppable(t, (_request, _env, context) => {
    context.waitUntil(new Promise(() => {}))
    return new Response('whole')
  })
  await (await endless.ask()).toArray()
  await endless.listener.stop(endless.server, { limit: 0.01 })
})

test('stop() ends HTTP/2 sessions after their streams', { timeout: 60_000 }, async (t) => {
  const [arrived, held] = [gate(), gate()]
  const handler = async () => {
    arrived.open()
    await held.opened
    return new Response('whole')
  }
  const { listener, server, closed } = await startStoppable(t, handler, createHttp2)
  const client = connectHttp2(`http://127.0.0.1:${server.address().port}`)
  t.after(() => client.destroy())
  const stream = client.request({ ':path': '/' })
  await arrived.opened
  const stopped = listener.stop(server, { limit: 60 })
  held.open()
  assert.equal(String(await stream.toArray()), 'whole')
  await stopped
  await closed
})

test('body that is there already is sent together with its headers', async (t) => {
  const { port } = await serve(t, () => new Response('whole', { headers: { 'content-length': '5' } }))
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.write('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
  const [first] = await once(socket, 'data')
  assert.match(`${first}`, /^HTTP\/1\.1 200 [^]*\r\n\r\nwhole$/)
})

test('body that fails before its first byte breaks the connection off', async (t) => {
  const pull = () => Promise.reject(new Error('the upstream is gone'))
  const broken = () => new Response(new ReadableStream({ pull }), { headers: { 'content-length': '5' } })
  const { port } = await serve(t, broken, { onError: () => {} })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
  let text = ''
  for await (const piece of socket) text += piece
  assert.match(text, /^HTTP\/1\.1 200 [^]*\r\n\r\n$/)
})
