// Responses of an API that are well-formed HTTP, and that `new Response()` does not accept: statuses above 599, and
// reason phrases with other characters than those of Latin-1. Header bytes above ASCII reach the other side unchanged.
import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const time = { timeout: 60_000 }
/** A route for each value of `reflection`. */
const ROUTES = ['refuse', 'headers', 'allow']
/** `café` in Latin-1, and `€` in UTF-8: each byte is one character of this string. */
const BYTES = 'caf\xe9 \xe2\x82\xac'
/** The head of the upstream's next response, and the last request that it got. */
let head, got
const faults = []
/** The lines about statuses. */
const lines = []
let upstream, app, visitor

before(async () => {
  upstream = createServer((socket) =>
    socket
      .on('error', () => {})
      .once('data', (data) => {
        got = data.toString('latin1')
        socket.end(`${head}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`, 'latin1')
      }),
  ).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const target = `http://127.0.0.1:${upstream.address().port}/`
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: {
      coordinator: inIsolate(),
      log: (fault) => faults.push(fault),
      routes: ROUTES.map((reflection) => ({
        prefix: `/${reflection}/`,
        upstream: target,
        reflection,
      })),
    },
  })
  visitor = new Visitor(app.place)
  await visitor.signIn()
  faults.length = 0
}, time)
after(async () => {
  await app?.close()
  upstream?.close()
})

for (const reflection of ROUTES) {
  for (const status of [600, 999]) {
    // claim: handler-36
    test(`a response with status ${status} is a 502 (${reflection})`, time, async () => {
      head = `HTTP/1.1 ${status} Odd`
      const response = await visitor.call(`/${reflection}/x`)
      assert.equal(response.status, 502)
      assert.equal((await response.json()).error.code, 'upstream_unavailable')
      lines.push(...faults.splice(0))
    })
  }

  for (const reason of ['Gr\xfcn', 'Gr\xc3\xbcn', '\xe2\x82\xac', '']) {
    test(
      `a response with the reason ${JSON.stringify(reason)} is passed on (${reflection})`,
      time,
      async () => {
        head = `HTTP/1.1 200 ${reason}`
        faults.length = 0
        const response = await visitor.call(`/${reflection}/x`)
        assert.equal(`${response.status} ${await response.text()}`, '200 ok')
        assert.deepEqual(faults, [])
      },
    )
  }

  test(`header bytes above ASCII are unchanged in both directions (${reflection})`, time, async () => {
    head = `HTTP/1.1 200 OK\r\nX-Reply: ${BYTES}`
    faults.length = 0
    const { host, port } = new URL(app.place.urls[0])
    const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const socket = connect(Number(port), '127.0.0.1')
    const lines = [
      `GET /${reflection}/x HTTP/1.1`,
      `Host: ${host}`,
      'X-Strongroom: 1',
      `X-Sent: ${BYTES}`,
      `Cookie: ${cookie}`,
      'Connection: close',
    ]
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    let reply = ''
    for await (const piece of socket) reply += piece.toString('latin1')
    assert.match(reply, /^HTTP\/1\.1 200 /)
    assert.equal(/^x-reply: (.*)\r$/im.exec(reply)[1], BYTES)
    assert.equal(/^x-sent: (.*)\r$/im.exec(got)[1], BYTES)
  })
}

test('statuses that cannot be forwarded are one line a minute for each route', time, () => {
  assert.equal(lines.length, ROUTES.length)
  for (const { code, message } of lines) {
    assert.equal(code, 'upstream_unavailable')
    assert.match(message, /responded with the status 600/)
  }
})
