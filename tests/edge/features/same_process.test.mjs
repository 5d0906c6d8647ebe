// Several handlers in one process, and calls of server code, as docs/edge-deploy.md describes them.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const keys = randomBytes(32).toString('base64')
let upstream, app, handlers, alice

before(async () => {
  upstream = await listen({ handler: (_request, response) => response.end('orders') })
  const shared = inIsolate()
  const create = (config) => {
    const make = (more) => createTokenHandler({ ...config, log() {}, ...more })
    handlers = {
      first: make({}),
      sharing: make({}),
      apart: make({ coordinator: inIsolate() }),
      otherKeys: make({ cookie: { keys: randomBytes(32).toString('base64') } }),
    }
    return handlers.first
  }
  app = await startInProcess(create, {
    accessTokenSeconds: 2,
    handler: {
      cookie: { keys },
      session: { recheck: 0 },
      coordinator: shared,
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/` }],
    },
  })
}, time)
after(async () => {
  await app?.close()
  await upstream?.close()
})

/** Sends a request as the guide's loader does. */
const load = (handler, visitor, path = '/api/orders', init = {}) => {
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { cookie, 'x-strongroom': 'background' }
  return handler.fetch(new Request(new URL(path, app.place.origin), { headers, ...init }))
}

test("server code calls a route with the user's session", time, async () => {
  alice = new Visitor(app.place)
  await alice.signIn()
  const response = await load(handlers.first, alice)
  assert.equal(`${response.status} ${await response.text()}`, '200 orders')
  await app.provider.ledger.accessTokenExpired()
  const refreshed = await load(handlers.first, alice)
  assert.equal(refreshed.status, 200)
  const [cookie] = refreshed.headers.getSetCookie()
  assert.match(cookie, /^__Host-strongroom=/)
})

// claim: handler-20
test('logout reaches handlers that share the coordinator', time, async () => {
  alice = new Visitor(app.place)
  await alice.signIn()
  const copy = alice.copy()
  for (const name of ['sharing', 'apart']) assert.equal((await load(handlers[name], copy)).status, 200, name)
  await alice.call('/auth/logout', { method: 'POST' })
  assert.equal((await load(handlers.sharing, copy)).status, 401)
  // The refresh token is revoked, but the access token of the copy is still valid.
  assert.equal((await load(handlers.apart, copy)).status, 200)
})

test('handler with other keys leaves a session alone', time, async () => {
  alice = new Visitor(app.place)
  await alice.signIn()
  const refused = await load(handlers.otherKeys, alice)
  assert.equal(refused.status, 401)
  assert.deepEqual(refused.headers.getSetCookie(), [])
  const logout = await load(handlers.otherKeys, alice, '/auth/logout', { method: 'POST' })
  const { ended, revoked } = await logout.json()
  assert.deepEqual({ ended, revoked }, { ended: false, revoked: false })
  assert.ok(logout.headers.getSetCookie().some((cookie) => /^__Host-strongroom=;/.test(cookie)))
  // The session itself continues at the handler that can open its cookie.
  assert.equal((await load(handlers.first, alice)).status, 200)
})
