// One handler with several origins, behind a proxy that ends TLS and passes the browser's `Host` on.
import assert from 'node:assert/strict'
import { request as send } from 'node:https'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { startTls } from '../../support/edge/tls.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const A = 'https://a.preview.example.com'
const B = 'https://b.preview.example.com'
const APP = 'https://app.example.com'
const time = { timeout: 60_000 }

let app
let proxy
const faults = []
const closing = []

before(async () => {
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 60,
    origins: [APP, A, B],
    handler: {
      origin: [APP, 'https://*.preview.example.com'],
      coordinator: inIsolate(),
      log: (fault) => faults.push(fault),
    },
  })
  proxy = await startTls()
  proxy.forwardTo(app.place.urls[0])
}, time)
after(async () => {
  for (const { close } of closing) await close()
  await proxy?.close()
  await app?.close()
})

/** Sends a request over TLS to the proxy, as for this host. */
const sendTo = (host, path, { method = 'GET', headers = {} } = {}) =>
  new Promise((resolve, reject) => {
    const sent = { method, headers: { ...headers, host }, rejectUnauthorized: false }
    send(new URL(path, proxy.origin), sent, resolve).on('error', reject).end()
  })

/** Returns a browser for which the host of `origin` is the proxy's address. */
async function visitorAt(origin) {
  const { host } = new URL(origin)
  const route = await listen({
    async handler({ method, url, headers }, response) {
      const passed = await sendTo(host, url, { method, headers })
      response.writeHead(passed.statusCode, passed.rawHeaders)
      passed.pipe(response)
    },
  })
  closing.push(route)
  return new Visitor({ origin, urls: [route.origin] })
}

// claim: handler-67
test('each host has its own origin and its own session', time, async () => {
  const [atA, atB] = [await visitorAt(A), await visitorAt(B)]
  const { address } = await atA.signIn({ returnTo: '/orders' })
  assert.equal(address.href, `${A}/orders`)
  const { session } = await atA.session()
  assert.equal(session.claims.sub, 'alice')
  // A copy of the cookie is useless at another preview.
  for (const [name, value] of atA.cookies) atB.cookies.set(name, value)
  assert.equal((await atB.session()).session, null)
  assert.equal((await atB.call('/auth/logout', { method: 'POST', forgets: true })).status, 200)
  assert.equal((await atA.session()).session.claims.sub, 'alice')
  atB.cookies.clear()
  assert.equal((await atB.signIn()).address.origin, B)
  assert.equal((await atB.session()).session.claims.sub, 'alice')
})

// claim: handler-67
test('unknown host gets 421, whatever other headers say', time, async () => {
  const visitor = await visitorAt(APP)
  await visitor.signIn()
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  faults.length = 0
  for (const host of ['evil.com', 'evil.com.preview.example.com', '10.0.0.7', 'app.example.com.']) {
    const said = {
      'x-forwarded-host': 'app.example.com',
      forwarded: 'host=app.example.com;proto=https',
      'x-strongroom': '1',
      cookie,
    }
    const response = await sendTo(host, '/auth/session', { headers: said })
    assert.equal(response.statusCode, 421, host)
    assert.equal(response.headers['x-strongroom'], 'host_not_allowed')
    assert.equal(response.headers['set-cookie'], undefined)
  }
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['host_not_allowed'],
  )
  assert.doesNotMatch(faults[0].message, /evil/)
  // Control: the same cookie is valid at its host.
  assert.equal((await visitor.session()).session.claims.sub, 'alice')
})

test('other headers do not change the origin of a listed host', time, async () => {
  const headers = { 'x-forwarded-host': 'b.preview.example.com', 'x-forwarded-proto': 'http' }
  const navigation = { ...headers, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  const response = await sendTo('a.preview.example.com', '/auth/login', { headers: navigation })
  const parameters = new URL(response.headers.location).searchParams
  assert.equal(parameters.get('redirect_uri'), `${A}/auth/callback`)
})

test('probes get a response at any host', time, async () => {
  for (const kind of ['live', 'ready']) {
    const response = await sendTo('10.0.0.7:8080', `/auth/health/${kind}`)
    assert.equal(response.statusCode, 200, kind)
  }
})

test('session.bind gets the URL that browsers see', time, async () => {
  const seen = []
  const handler = createTokenHandler({
    issuer: 'http://127.0.0.1:9',
    origin: [APP, 'https://*.preview.example.com'],
    client: { id: 'web', auth: { method: 'none' } },
    cookie: { keys: Buffer.alloc(32, 1).toString('base64') },
    coordinator: inIsolate(),
    session: { bind: ({ url }) => (seen.push(url), false) },
    log() {},
  })
  const headers = { 'x-strongroom': '1', 'sec-fetch-site': 'same-origin' }
  const statusAt = async (origin) =>
    (await handler.fetch(new Request(`${origin}/auth/session?a=b`, { headers }))).status
  assert.equal(await statusAt('http://a.preview.example.com:443'), 200)
  assert.deepEqual(seen, [`${A}/auth/session?a=b`])
  assert.equal(await statusAt('http://evil.com'), 421)
  assert.equal(seen.length, 1, 'the function is not called')
})
