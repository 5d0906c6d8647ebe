// An API that sends a malformed response. Node's `fetch` then fails with an error that contains bytes of the response,
// which the listener reports to the operator.
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const time = { timeout: 60_000 }
const HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n'
let upstream, app, visitor, token, errors

/** Sends a chunk whose length is replaced by the request's token. */
const respond = (socket) =>
  socket
    .on('error', () => {})
    .once('data', (data) => {
      ;[, token] = /authorization: Bearer (\S+)/i.exec(data)
      socket.write(HEAD)
      setTimeout(() => socket.end(`not a length: ${token}\r\n`), 20)
    })

before(async () => {
  upstream = createServer(respond).listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const target = `http://127.0.0.1:${upstream.address().port}/`
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: {
      coordinator: inIsolate(),
      routes: ['refuse', 'headers', 'allow'].map((reflection) => ({
        prefix: `/${reflection}/`,
        upstream: target,
        reflection,
      })),
    },
    listener: { onError: (error) => errors.push(error) },
  })
  visitor = new Visitor(app.place)
  await visitor.signIn()
}, time)
after(async () => {
  await app?.close()
  upstream?.close()
})

test('control: the error of a malformed response contains its bytes', time, async () => {
  const headers = { authorization: 'Bearer canary' }
  const { body } = await fetch(`http://127.0.0.1:${upstream.address().port}/`, { headers })
  const error = await new Response(body).text().catch((caught) => caught)
  assert.match(inspect(error), /not a length: canary/)
})

for (const reflection of ['refuse', 'headers', 'allow']) {
  // claim: handler-61
  test(`operator gets no bytes of a malformed response (${reflection})`, time, async () => {
    errors = []
    await assert.rejects(visitor.call(`/${reflection}/x`))
    assert.equal(errors.length, 1)
    assert.ok(token.length > 100)
    assert.ok(!inspect(errors, { depth: 9, showHidden: true }).includes(token.slice(0, 50)), inspect(errors))
  })
}
