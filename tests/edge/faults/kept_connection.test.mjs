// An API closes a kept connection at the moment in which the handler sends the next request on it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
/** The number of requests that end their connection instead of a response. */
let closing = 0
let upstream, app, handler, alice

before(async () => {
  upstream = await listen({
    handler(request, response) {
      if (closing > 0) {
        closing--
        request.socket.destroy()
      } else response.end('whole')
    },
  })
  const routes = [{ prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['GET', 'POST', 'DELETE'] }]
  app = await startInProcess((config) => (handler = createTokenHandler(config)), {
    accessTokenSeconds: 600,
    handler: { coordinator: inIsolate(), routes, log() {} },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
}, time)
after(async () => {
  await app?.close()
  await upstream?.close()
})

/** Calls the API twice, the second time on a connection that ends `times` times. Resolves with the second status. */
async function callAgain(init, times) {
  const call = async () => {
    const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', ...init.headers }
    const response = await handler.fetch(new Request(`${app.place.origin}/api/a`, { ...init, headers }))
    await response.text()
    return response.status
  }
  assert.equal(await call(), 200)
  closing = times
  const status = await call()
  closing = 0
  return status
}

for (const method of ['GET', 'DELETE']) {
  test(`${method} is sent again, but not without end`, time, async () => {
    assert.equal(await callAgain({ method }, 1), 200)
    assert.equal(await callAgain({ method }, 3), 200)
    assert.equal(await callAgain({ method }, 4), 502)
  })
}

// claim: handler-81
test('POST is not sent again, because the API may have received it', time, async () => {
  assert.equal(await callAgain({ method: 'POST', body: 'a', headers: { 'content-length': '1' } }, 1), 502)
  assert.equal(await callAgain({ method: 'POST' }, 1), 502)
})
