// The method session() of a handler that binds sessions, for pages that are rendered on the server.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { sessionFrom } from '../../../pkg/dist/edge/next.js'
import { BOUND, IN_FLIGHT } from '../../support/edge/bound.mjs'
import { Device } from '../../support/edge/device.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

// Otherwise, a clock that the test moves would look like a process that stood still.
process.env.K_SERVICE = 'app'

const { now } = Date
let app, given, handler, visitor, device

before(async () => {
  const create = (config) => (handler = createTokenHandler((given = config)))
  app = await startInProcess(create, {
    accessTokenSeconds: 3600,
    handler: { coordinator: inIsolate(), session: { bind: 'if-supported' } },
  })
  visitor = new Visitor(app.place)
  device = new Device(app.place.origin, (path, options) => visitor.send(path, options))
  const until = ({ searchParams }) => searchParams.has('code')
  const { address } = await visitor.signIn({ until })
  const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  const callback = await visitor.send(address, { headers })
  assert.equal((await device.register(callback)).status, 200)
  Date.now = () => now() + IN_FLIGHT
})
afterEach(() => device.renew())
after(async () => {
  Date.now = now
  await app.close()
})

/** Returns a request for a page, with the visitor's cookies. */
const request = (headers) => {
  const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
  return new Request(app.place.origin, { headers: { cookie, ...headers } })
}

test('request with the bound cookie has the session', async () => {
  assert.equal((await handler.session(request())).claims.sub, 'alice')
})

test('request with the renewed cookie has the session', async () => {
  visitor.cookies.delete(BOUND)
  assert.equal((await device.renew()).status, 200)
  assert.equal((await handler.session(request())).claims.sub, 'alice')
})

// claim: handler-63
test('copy of the session cookie has no session', async () => {
  visitor.cookies.delete(BOUND)
  assert.equal(await handler.session(request()), null)
  assert.equal(await sessionFrom(handler, request().headers), null)
})

// The session goes on, so a page must not show that the user is signed out.
test('session cannot be read while the browser cannot renew', async () => {
  visitor.cookies.delete(BOUND)
  const skipped = request({ 'secure-session-skipped': 'unreachable' })
  await assert.rejects(handler.session(skipped), /503/)
  await assert.rejects(sessionFrom(handler, skipped.headers), /503/)
})

// A rejection that nobody handles would end the process, and this test.
test('option that returns a promise is refused', async () => {
  const bind = async () => {
    throw new Error('no value')
  }
  const faults = []
  const log = (fault) => faults.push(fault.code)
  const wrong = createTokenHandler({ ...given, session: { bind }, log })
  await assert.rejects(wrong.session(request()), /500/)
  await new Promise(setImmediate)
  assert.deepEqual(faults, ['config_invalid'])
})
