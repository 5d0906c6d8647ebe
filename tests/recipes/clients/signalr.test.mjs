// SignalR's negotiation and long polling through the guide's client. `signalr.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubConnectionBuilder, LogLevel } from '@microsoft/signalr'
import { createHttpClient } from './signalr.mjs'
import { errorOf, open, ORIGIN } from './world.mjs'

const time = { timeout: 20_000 }
const END = '\x1e'
const TEXT = { headers: { 'Content-Type': 'text/plain' } }

/** A hub that offers only long polling, and whose method `orders` returns orders. */
function createHub() {
  const waiting = []
  let wake = () => {}
  const send = (message) => {
    waiting.push(JSON.stringify(message) + END)
    wake()
  }
  let polls = 0
  return async (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/hub/negotiate') {
      return Response.json({
        negotiateVersion: 1,
        connectionId: 'a',
        connectionToken: 'b',
        availableTransports: [{ transport: 'LongPolling', transferFormats: ['Text'] }],
      })
    }
    if (request.method === 'POST') {
      for (const text of (await request.text()).split(END).filter(Boolean)) {
        const { protocol, target, invocationId } = JSON.parse(text)
        if (protocol) send({})
        if (target === 'orders') send({ type: 3, invocationId, result: [{ id: 1041 }] })
      }
      return new Response('', TEXT)
    }
    if (request.method === 'DELETE') {
      wake()
      return new Response(null, { status: 202 })
    }
    if (polls++ && !waiting.length) await new Promise((resolve) => (wake = resolve))
    return new Response(waiting.splice(0).join(''), TEXT)
  }
}

const connect = (auth) =>
  new HubConnectionBuilder()
    .withUrl(`${ORIGIN}/hub`, { httpClient: createHttpClient(auth) })
    .configureLogging(LogLevel.None)
    .build()

test('hub responds through the vault', time, async () => {
  const { world, auth } = await open(createHub())
  const connection = connect(auth)
  await connection.start()
  assert.deepEqual(await connection.invoke('orders'), [{ id: 1041 }])
  await connection.stop()
  assert.ok(world.calls.length >= 4)
  world.close()
})

test('connection does not extend the idle timeout', time, async () => {
  const { world, auth } = await open(createHub())
  await world.advance('20m')
  const connection = connect(auth)
  await connection.start()
  await connection.invoke('orders')
  await world.advance('11m')
  assert.equal(world.auth.state.endReason, 'idle')
  await connection.stop()
  world.close()
})

test('login_required reaches the app', time, async () => {
  const { world, auth } = await open(createHub(), { isSignedIn: false })
  const error = await errorOf(connect(auth).start())
  assert.match(error.message, /no session|login/i)
  assert.equal(auth.calls, 1)
  world.close()
})
