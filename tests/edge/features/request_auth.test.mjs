// `handler.for(request)`, with which server code acts for the user of one request.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { setClocks } from '../../support/clocks.mjs'
import { ORIGIN, startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
/** Seconds. */
const [TOKEN, IDLE, GRACE] = [3600, 7200, 60]
/** A time at which the access token has expired, in milliseconds. */
const LATER = (TOKEN + 10) * 1000
let upstream, arrived, app, handler
/** The number of requests that the API refuses. */
let refusals = 0
/** A handler of another isolate, which reads a session's record at most every hour. */
let elsewhere

// Otherwise, a clock that the tests move would look like a process that stood still.
process.env.K_SERVICE = 'app'

before(async () => {
  upstream = await listen({
    handler: (request, response) => {
      arrived.push({ method: request.method, url: request.url, headers: request.headers })
      response.setHeader('set-cookie', 'api=1')
      response.statusCode = refusals-- > 0 ? 401 : 200
      response.end('orders')
    },
  })
  const create = (config) => {
    const session = { ...config.session, recheck: 3600 }
    elsewhere = createTokenHandler({ ...config, session, log() {} })
    return (handler = createTokenHandler({ ...config, log() {} }))
  }
  app = await startInProcess(create, {
    accessTokenSeconds: TOKEN,
    handler: {
      session: { recheck: 0, idle: IDLE, grace: GRACE },
      coordinator: inIsolate(),
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/`, methods: ['GET', 'POST', 'HEAD'] }],
    },
  })
}, time)
after(async () => {
  setClocks(0)
  await app?.close()
  await upstream?.close()
})

async function signedIn() {
  setClocks(0)
  arrived = []
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  return visitor
}

const cookieOf = (visitor) => [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')

/** Returns the object for a page's request of a visitor. */
const authOf = (visitor, { method = 'GET', path = '/orders', headers = {} } = {}) => {
  const cookie = cookieOf(visitor)
  return handler.for(
    new Request(ORIGIN + path, { method, headers: { ...(cookie && { cookie }), ...headers } }),
  )
}

/** Stores the cookies that a page's response sets. */
const keep = (visitor, headers) => {
  for (const cookie of headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)
    if (value) visitor.cookies.set(name, value)
    else visitor.cookies.delete(name)
  }
}

const refreshes = () => app.provider.ledger.refreshes().length
const codeOf = async (response) => (await response.json()).error.code

// claim: handler-71
test('call has the access token, and nothing of the page’s request', time, async () => {
  const visitor = await signedIn()
  const headers = {
    authorization: 'Bearer forged',
    'x-own': '1',
    referer: `${ORIGIN}/secret`,
    'x-request-id': 'one',
  }
  const response = await authOf(visitor, { headers }).call('/api/orders?open=1', {
    headers: { accept: 'text/csv' },
  })
  assert.equal(`${response.status} ${await response.text()}`, '200 orders')
  const [call] = arrived
  assert.equal(call.url, '/orders?open=1')
  assert.match(call.headers.authorization, /^Bearer eyJ/)
  assert.deepEqual(
    [call.headers.accept, call.headers.cookie, call.headers['x-own'], call.headers.referer],
    ['text/csv', undefined, undefined, undefined],
  )
  assert.equal(call.headers['x-request-id'], 'one')
})

for (const [type, body] of Object.entries({
  string: 'é',
  bytes: new TextEncoder().encode('é'),
  form: new URLSearchParams('a=é'),
  blob: new Blob(['é']),
})) {
  test(`body of a call has its length, and is sent again after a refused token: ${type}`, time, async () => {
    const visitor = await signedIn()
    setClocks(60_000)
    refusals = 1
    const auth = authOf(visitor, { method: 'POST', headers: { origin: ORIGIN } })
    assert.equal((await auth.call('/api/orders', { method: 'POST', body })).status, 200)
    const length = type === 'form' ? '8' : '2'
    assert.deepEqual(
      arrived.map(({ headers }) => headers['content-length']),
      [length, length],
    )
  })
}

test('response to a call sets no cookie', time, async () => {
  const visitor = await signedIn()
  setClocks(LATER)
  const auth = authOf(visitor)
  assert.deepEqual((await auth.call('/api/orders')).headers.getSetCookie(), [])
})

test(
  'parallel calls share one refresh, and headers() has one cookie of the latest session',
  time,
  async () => {
    const visitor = await signedIn()
    const before = refreshes()
    setClocks(LATER)
    const auth = authOf(visitor)
    const responses = await Promise.all(Array.from({ length: 5 }, (_, i) => auth.call(`/api/orders?${i}`)))
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    )
    assert.equal(refreshes(), before + 1)
    const headers = await auth.headers()
    assert.equal(headers.get('cache-control'), 'private, no-store')
    const cookies = headers.getSetCookie().filter((cookie) => /^__Host-strongroom=/.test(cookie))
    assert.equal(cookies.length, 1)
    const old = visitor.copy()
    keep(visitor, headers)
    assert.equal((await visitor.call('/api/orders')).status, 200)
    // The cookie is of the new generation: once it has been presented, the old one counts as a copy.
    setClocks(LATER + (GRACE + 1) * 1000)
    assert.equal((await old.call('/api/orders')).status, 401)
  },
)

test('a refresh whose cookie is lost keeps the session', time, async () => {
  const visitor = await signedIn()
  setClocks(LATER)
  const auth = authOf(visitor)
  assert.equal((await auth.call('/api/orders')).status, 200)
  assert.equal((await auth.call('/api/orders')).status, 200)
  setClocks(LATER + (GRACE + 1) * 1000)
  assert.equal((await visitor.call('/api/orders')).status, 200)
})

test('a page that was opened long ago ends no session', time, async () => {
  const visitor = await signedIn()
  const auth = authOf(visitor)
  await auth.call('/api/orders')
  setClocks(LATER)
  // Another tab refreshes, and presents the new cookie.
  for (let i = 0; i < 2; i++) assert.equal((await visitor.call('/api/orders')).status, 200)
  for (const seconds of [GRACE + 1, 2 * GRACE, 10 * GRACE]) {
    setClocks(LATER + seconds * 1000)
    assert.equal((await auth.call('/api/orders', { background: true })).status, 200)
  }
  assert.equal((await visitor.call('/api/orders')).status, 200)
  // A control: a request with the old cookie that arrives now.
  setClocks(0)
  const old = await signedIn()
  const copy = old.copy()
  setClocks(LATER)
  for (let i = 0; i < 2; i++) await old.call('/api/orders')
  setClocks(LATER + (GRACE + 1) * 1000)
  assert.equal((await authOf(copy).call('/api/orders')).status, 401)
})

test('a page that took long deletes no cookie', time, async () => {
  for (const [seconds, cookies] of [
    [0, 1],
    [2, 0],
  ]) {
    const visitor = await signedIn()
    const auth = authOf(visitor)
    const { sub } = (await auth.session()).claims
    await auth.call('/api/orders')
    // Meanwhile the user may sign in again in another tab.
    await handler.end({ user: sub }, { reason: 'security' })
    setClocks(seconds * 1000)
    const deleted = (await auth.headers())
      .getSetCookie()
      .filter((cookie) => /^__Host-strongroom=;/.test(cookie))
    assert.equal(deleted.length, cookies, `${seconds} s`)
  }
})

test('aborted call rejects', time, async () => {
  const visitor = await signedIn()
  const reason = new Error('left')
  const call = authOf(visitor).call('/api/orders', { signal: AbortSignal.abort(reason) })
  await assert.rejects(call, (error) => error === reason)
})

test('session cannot be used for the first time after headers()', time, async () => {
  const visitor = await signedIn()
  const auth = authOf(visitor)
  assert.deepEqual([...(await auth.headers())], [])
  for (const use of [() => auth.session(), () => auth.call('/api/orders')])
    await assert.rejects(use, { code: 'unsupported' })
  assert.deepEqual(arrived, [])
  const used = authOf(visitor)
  await used.session()
  assert.equal((await used.headers()).get('cache-control'), 'private, no-store')
  assert.equal((await used.call('/api/orders')).status, 200)
})

test('a page that took long replaces no cookie of a later login', time, async () => {
  const visitor = await signedIn()
  setClocks(LATER)
  const auth = elsewhere.for(new Request(`${ORIGIN}/orders`, { headers: { cookie: cookieOf(visitor) } }))
  assert.equal((await auth.call('/api/orders')).status, 200)
  const sessions = async () => {
    const cookies = (await auth.headers()).getSetCookie()
    return cookies.filter((cookie) => /^__Host-strongroom=./.test(cookie)).length
  }
  assert.equal(await sessions(), 1)
  await visitor.call('/auth/logout', { method: 'POST' })
  setClocks(LATER + 2000)
  assert.equal(await sessions(), 0)
})

test('headers() deletes the cookie of a session that has ended', time, async () => {
  const visitor = await signedIn()
  const { sub } = (await authOf(visitor).session()).claims
  await handler.end({ user: sub }, { reason: 'security' })
  const auth = authOf(visitor)
  assert.equal(await auth.session(), null)
  assert.match((await auth.headers()).getSetCookie()[0], /^__Host-strongroom=;/)
})

test('server code gets the reason of an end together with no session', time, async () => {
  const visitor = await signedIn()
  const { sub } = (await authOf(visitor).session()).claims
  assert.equal(await authOf(visitor).endReason(), null)
  assert.equal(await handler.end({ user: sub }, { reason: 'security' }), true)
  const auth = authOf(visitor)
  assert.equal(await auth.session(), null)
  assert.equal(await auth.endReason(), 'security')
  keep(visitor, await auth.headers())
  assert.equal(await authOf(visitor).endReason(), null)
})

test('server code can spare the session of its request', time, async () => {
  const [here, elsewhere] = [await signedIn(), await signedIn()]
  const { claims, publicId } = await authOf(here).session()
  assert.equal(await handler.end({ user: claims.sub }, { spare: [publicId] }), true)
  assert.equal(await authOf(elsewhere).session(), null)
  assert.equal((await authOf(here).session()).publicId, publicId)
})

test('call without a session is refused', time, async () => {
  await signedIn()
  const response = await authOf(new Visitor(app.place)).call('/api/orders')
  assert.equal(response.status, 401)
  assert.equal(response.headers.get('x-strongroom'), 'login_required')
})

test('prefetch and background call are no activity', time, async () => {
  const visitor = await signedIn()
  setClocks(3000_000)
  const idleEnd = async (request, init) => {
    const auth = authOf(visitor, request)
    await auth.call('/api/orders', init)
    const copy = visitor.copy()
    keep(copy, await auth.headers())
    return (await copy.session()).session.idleExpiresAt
  }
  const prefetch = (name, value) => idleEnd({ headers: { [name]: value } })
  const before = (await authOf(visitor).session()).idleExpiresAt
  assert.equal(await prefetch('sec-purpose', 'prefetch;prerender'), before)
  assert.equal(await prefetch('purpose', 'prefetch'), before)
  assert.equal(await idleEnd({}, { background: true }), before)
  assert.ok((await idleEnd({})) > before)
})

for (const path of [
  'https://evil.example/api/orders',
  '//evil.example/api/orders',
  '/\\evil.example/api/orders',
  '/\t/evil.example/api/orders',
  'api/orders',
  '/auth',
  '/auth/session',
  '/auth/logout',
  '/api/../auth/session',
  '/api/%2e%2e/auth/session',
  '/nowhere',
  '',
  undefined,
]) {
  // claim: handler-71
  test(`call refuses the path ${JSON.stringify(path)}`, time, async () => {
    const visitor = await signedIn()
    const call = authOf(visitor).call(path)
    await assert.rejects(call, { name: 'StrongroomError', code: 'url_not_allowed' })
    assert.deepEqual(arrived, [])
  })
}

for (const name of [
  'Cookie',
  'Host',
  'Origin',
  'Upgrade',
  'X-Strongroom',
  'Sec-Fetch-Site',
  'Sec-Secure-Session-Id',
  'Secure-Session-Skipped',
]) {
  // claim: handler-71
  test(`call refuses the header ${name}`, time, async () => {
    const visitor = await signedIn()
    const call = authOf(visitor).call('/api/orders', { headers: { [name]: 'x' } })
    await assert.rejects(call, { name: 'StrongroomError', code: 'header_not_allowed' })
    assert.deepEqual(arrived, [])
  })
}

/** The headers of a form, which may be another site's, if a service worker of the app has sent it again. */
const FORM_OF_WORKER = {
  origin: ORIGIN,
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'empty',
  accept: 'text/html',
}
const form = { method: 'POST', body: 'a=1' }

test('action of the app’s own page may send POST', time, async () => {
  const visitor = await signedIn()
  const script = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', accept: '*/*' }
  const byForm = { ...FORM_OF_WORKER, 'sec-fetch-dest': 'document' }
  for (const headers of [{ origin: ORIGIN }, { 'sec-fetch-site': 'same-origin' }, script, byForm]) {
    assert.equal((await authOf(visitor, { method: 'POST', headers }).call('/api/orders', form)).status, 200)
  }
  assert.deepEqual(
    arrived.map(({ method }) => method),
    ['POST', 'POST', 'POST', 'POST'],
  )
})

const FOREIGN = [
  ['a page opened by another site', { headers: { 'sec-fetch-site': 'cross-site' } }],
  ['a page opened by the app', { headers: { 'sec-fetch-site': 'same-origin' } }],
  ['HEAD', { method: 'HEAD', headers: { 'sec-fetch-site': 'same-origin' } }],
  ['a form of another origin', { method: 'POST', headers: { origin: 'https://evil.example' } }],
  ['a form of a sandboxed page', { method: 'POST', headers: { origin: 'null' } }],
  ['a form of another site', { method: 'POST', headers: { origin: ORIGIN, 'sec-fetch-site': 'cross-site' } }],
  ['a form of a sibling', { method: 'POST', headers: { 'sec-fetch-site': 'same-site' } }],
  ['a form without Origin', { method: 'POST' }],
  ['a form that a service worker passed on', { method: 'POST', headers: FORM_OF_WORKER }],
  [
    'a form that a service worker replaced',
    { method: 'POST', headers: { ...FORM_OF_WORKER, 'sec-fetch-mode': 'cors' } },
  ],
]
for (const [what, request] of FOREIGN) {
  // claim: handler-71
  test(`server sends no POST for ${what}`, time, async () => {
    const visitor = await signedIn()
    const response = await authOf(visitor, request).call('/api/orders', form)
    assert.equal(response.status, 403)
    assert.equal(await codeOf(response), 'cross_site_request')
    assert.deepEqual(arrived, [])
  })
}

test('page’s request without a method counts as a GET', time, async () => {
  const visitor = await signedIn()
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const auth = handler.for({ url: `${ORIGIN}/`, headers: new Headers({ cookie, origin: ORIGIN }) })
  assert.equal((await auth.call('/api/orders', form)).status, 403)
  assert.equal((await auth.call('/api/orders')).status, 200)
})

test('server may read for any page', time, async () => {
  const visitor = await signedIn()
  for (const [, request] of FOREIGN) {
    assert.equal((await authOf(visitor, request).call('/api/orders')).status, 200)
  }
})
