// `tenants()`, which selects one of several handlers for each request.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createTokenHandler, inIsolate, tenants } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { setClocks } from '../../support/clocks.mjs'
import { ORIGIN, publicClient, startPublicProvider } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 120_000 }
const COUNT = 100
const names = Array.from({ length: COUNT }, (_, i) => `t${i}`)
let provider, config
/** The addresses of the provider's documents that were requested. */
let documents = []
const { fetch } = globalThis
/** The next response of the provider's key set, if it is not the real one. */
let staleKeys
globalThis.fetch = async (url, init) => {
  if (/\.well-known|jwks/.test(url)) documents.push(new URL(url).pathname)
  const stale = url.endsWith('/jwks') && staleKeys
  if (!stale) return fetch(url, init)
  staleKeys = undefined
  return new Response(stale, { headers: { 'content-type': 'application/json' } })
}
before(async () => {
  const paths = ['', ...names.map((name) => `/${name}`)]
  provider = await startPublicProvider({
    accessTokenSeconds: 600,
    redirectUris: paths.map((path) => `${ORIGIN}${path}/auth/callback`),
  })
  config = { ...publicClient(provider), coordinator: inIsolate(), log() {} }
}, time)
after(() => provider?.close())

/** Returns the first part of a request's path. */
const byPath = ({ url }) => new URL(url).pathname.split('/')[1]
/** Returns the configuration of a tenant, which has the host, the client and the keys in common with the others. */
const ofPath = (name) => ({ ...config, base: `/${name}/auth` })

const get = (path, headers = {}) =>
  new Request(ORIGIN + path, {
    headers: { 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', ...headers },
  })

const NAVIGATION = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** Calls with a server on which visitors sign in. */
const served = async (handler, use) => {
  const server = await listen({ handler: toNodeListener(handler) })
  try {
    return await use({ origin: ORIGIN, urls: [server.origin] })
  } finally {
    await server.close()
  }
}

const cookiesOf = (visitor) => [...visitor.cookies].filter(([name]) => name.startsWith('__Host-strongroom'))
const header = (cookies) => cookies.map(([name, value]) => `${name}=${value}`).join('; ')
const userOf = async (response) => (await response.json()).session?.claims.sub

test('handlers without tenants accept each other’s cookies', time, async () => {
  const cookie = await served(createTokenHandler(config), async (place) => {
    const visitor = new Visitor(place)
    await visitor.signIn()
    return header(cookiesOf(visitor))
  })
  const other = createTokenHandler(config)
  assert.ok(await userOf(await other.fetch(get('/auth/session', { cookie }))))
})

// claim: handler-70
test('no tenant accepts a cookie of another one', time, async () => {
  const all = tenants({ select: byPath, create: ofPath })
  documents = []
  await served(all, async (place) => {
    const cookies = []
    for (const name of names) {
      const visitor = new Visitor(place)
      await visitor.authorize(`/${name}/auth/login`)
      cookies.push(cookiesOf(visitor))
    }
    assert.deepEqual(documents, ['/.well-known/openid-configuration', '/jwks'])
    const sessionNames = cookies.map(([[name]]) => name)
    assert.equal(new Set(sessionNames).size, COUNT)
    for (const [i, own] of cookies.entries()) {
      for (const [j, name] of names.entries()) {
        // The cookie as the browser sends it, and as an attacker may: with the name that the other tenant reads.
        const [[, value]] = own
        const renamed = header([...own, ...(i === j ? [] : [[sessionNames[j], value]])])
        const response = await all.fetch(get(`/${name}/auth/session`, { cookie: renamed }))
        assert.equal(!!(await userOf(response)), i === j, `${i} at ${j}`)
      }
    }
  })
})

/** Returns the response's status, or 0 if the app responds. */
const statusOf = async (response) => (await response)?.status ?? 0

// claim: handler-70
test('request of no tenant costs nothing', time, async () => {
  let created = 0
  const create = (name) => {
    created++
    return name === 'a' ? ofPath(name) : undefined
  }
  const special = { '-': undefined, long: 'a'.repeat(256) }
  const select = (request) => (byPath(request) in special ? special[byPath(request)] : byPath(request))
  const all = tenants({ select, create })
  assert.equal(await statusOf(all.handle(get('/-/auth/session'))), 0)
  for (const path of ['/', '/-/auth/session', '/long/'])
    assert.equal(await statusOf(all.fetch(get(path))), 404, path)
  assert.equal(await all.session(get('/-/')), null)
  await assert.rejects(all.for(get('/-/')).call('/api/'), { code: 'url_not_allowed' })
  assert.deepEqual([...(await all.for(get('/-/')).headers())], [])
  assert.equal(created, 0)
  // A name that `create` does not know is not asked for again for ten seconds, and then is.
  for (const [later, times] of [
    [0, 1],
    [9_000, 1],
    [11_000, 2],
  ]) {
    setClocks(later)
    const statuses = await Promise.all([1, 2].map(() => statusOf(all.fetch(get('/b/auth/session')))))
    assert.deepEqual([statuses, created], [[404, 404], times])
  }
  setClocks(0)
  assert.equal(await statusOf(all.fetch(get('/a/auth/session'))), 200)
})

test('probes need no tenant', time, async () => {
  const all = tenants({ select: () => undefined, create: ofPath })
  for (const [path, isDraining, status] of [
    ['/auth/health/live', true, 200],
    ['/auth/health/ready', false, 200],
    ['/auth/health/ready', true, 503],
  ])
    assert.equal(await statusOf(all.fetch(get(path), undefined, { isDraining })), status)
})

test('failures are reported once, and are over after a pause', time, async () => {
  const lines = []
  let fails = true
  const log = ({ code, message }) => lines.push(`${code}: ${message}`)
  const create = (name) => {
    if (fails && name === 'throws') throw new TypeError('with a secret')
    return fails ? { ...ofPath(name), base: 'auth' } : ofPath(name)
  }
  const all = tenants({ select: byPath, create, log })
  for (const [name, line] of [
    ['throws', 'handler_failed: `create` of tenants() for "throws": its function failed: TypeError'],
    ['invalid', /^config_invalid: tenant "invalid": .*`base`/s],
  ]) {
    fails = true
    setClocks(0)
    lines.length = 0
    const statuses = [1, 2].map(() => statusOf(all.fetch(get(`/${name}/auth/session`))))
    assert.deepEqual(await Promise.all(statuses), [503, 503])
    assert.equal(await statusOf(all.fetch(get(`/${name}/auth/session`))), 503)
    assert.equal(lines.length, 1)
    if (typeof line === 'string') assert.equal(lines[0], line)
    else assert.match(lines[0], line)
    fails = false
    setClocks(11_000)
    assert.equal(await statusOf(all.fetch(get(`/${name}/auth/session`))), 200)
  }
  setClocks(0)
  for (const [select, line] of [
    [() => assert.fail('with a secret'), /^handler_failed: `select` of tenants\(\): its function failed/],
    [() => 1, /^config_invalid: `select` of tenants\(\) must return a string/],
  ]) {
    lines.length = 0
    assert.equal(await statusOf(tenants({ select, create, log }).fetch(get('/'))), 503)
    assert.match(lines.join(), line)
    assert.doesNotMatch(lines.join(), /secret/)
  }
})

test('invalid options are refused', () => {
  const valid = { select: byPath, create: ofPath }
  for (const more of [{ select: 1 }, { create: undefined }, { most: 0 }, { most: 1.5 }, { most: '9' }])
    assert.throws(() => tenants({ ...valid, ...more }), { code: 'config_invalid' }, JSON.stringify(more))
})

test('handler that was used least recently is dropped', time, async () => {
  const created = []
  const create = (name) => {
    created.push(name)
    return ofPath(name)
  }
  const all = tenants({ select: byPath, create, most: 2 })
  for (const name of ['a', 'b', 'a', 'c', 'a', 'b'])
    assert.equal(await statusOf(all.fetch(get(`/${name}/auth/session`))), 200)
  assert.deepEqual(created, ['a', 'b', 'c', 'b'])
})

test('tenant whose handler was dropped keeps its sessions', time, async () => {
  const all = tenants({ select: byPath, create: ofPath, most: 1 })
  await served(all, async (place) => {
    const visitor = new Visitor(place)
    await visitor.authorize('/t1/auth/login')
    const cookie = header(cookiesOf(visitor))
    const session = () => all.session(get('/t1/', { cookie }))
    const auth = all.for(get('/t1/', { cookie }))
    for (let i = 0; i < 3; i++) {
      assert.ok(await session())
      assert.ok(await all.of('t1').session(get('/', { cookie })))
      // The object of an earlier request continues, too.
      assert.ok(await auth.session())
      assert.ok(await statusOf(all.fetch(get('/t2/auth/session'))))
    }
  })
})

test('a tenant’s server ends and lists only sessions of this tenant', time, async () => {
  const create = (name) => ({ ...ofPath(name), session: { admin: true, recheck: 0 } })
  const all = tenants({ select: byPath, create })
  await served(all, async (place) => {
    const cookies = []
    for (const name of ['t1', 't2']) {
      const visitor = new Visitor(place)
      await visitor.authorize(`/${name}/auth/login`)
      cookies.push(header(cookiesOf(visitor)))
    }
    const users = () =>
      Promise.all(cookies.map((cookie, i) => all.of(`t${i + 1}`).session(get('/', { cookie }))))
    const [{ claims }] = await users()
    const { sessions } = await all.of('t1').sessions({ user: claims.sub })
    assert.equal(sessions.length, 1)
    assert.equal(await all.of('t1').end({ user: claims.sub }), true)
    assert.deepEqual(
      (await users()).map((session) => session !== null),
      [false, true],
    )
  })
  await assert.rejects(
    tenants({ select: byPath, create: () => undefined })
      .of('t1')
      .end({ user: 'alice' }),
    {
      code: 'config_invalid',
    },
  )
})

// claim: handler-70
test('flood of tenants drops none with a request in flight', time, async () => {
  let release, arrived
  const isHeld = new Promise((resolve) => (release = resolve))
  const upstream = await listen({
    async handler(request, response) {
      arrived()
      await isHeld
      response.end('held')
    },
  })
  const lines = []
  const create = (name) => ({
    ...ofPath(name),
    routes: [{ prefix: `/${name}/api/`, upstream: `${upstream.origin}/` }],
  })
  const all = tenants({ select: byPath, create, most: 1, log: (line) => lines.push(line.code) })
  await served(all, async (place) => {
    const cookies = {}
    for (const name of ['t1', 't2', 't3', 't4']) {
      const visitor = new Visitor(place)
      await visitor.authorize(`/${name}/auth/login`)
      cookies[name] = header(cookiesOf(visitor))
    }
    const call = (name) => all.fetch(get(`/${name}/api/x`, { cookie: cookies[name] }))
    const held = []
    const hold = (name) => {
      const isCalled = new Promise((resolve) => (arrived = resolve))
      held.push(call(name))
      return isCalled
    }
    await hold('t1')
    const flood = () =>
      Promise.all(names.slice(5, 25).map((name) => statusOf(all.fetch(get(`/${name}/auth/session`)))))
    for (const name of ['t2', 't3']) await hold(name)
    // There may be four handlers, since all are in use.
    assert.ok((await flood()).includes(200))
    await hold('t4')
    const statuses = await flood()
    assert.deepEqual(new Set(statuses), new Set([503]))
    release()
    for (const response of await Promise.all(held)) assert.equal(await response.text(), 'held')
    assert.ok((await flood()).includes(200))
    assert.deepEqual(lines, ['limit_exceeded'], 'one line a minute')
  })
  await upstream.close()
})

test('slow requests of strangers keep no tenant from its handler', time, async () => {
  const all = tenants({ select: byPath, create: ofPath, most: 3, log() {} })
  const bodies = ['t1', 't2', 't3'].map((name) => {
    const body = new TransformStream()
    const url = `${ORIGIN}/${name}/auth/backchannel-logout`
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const request = new Request(url, { method: 'POST', headers, body: body.readable, duplex: 'half' })
    return { response: all.fetch(request), end: () => body.writable.close() }
  })
  for (const name of ['t4', 't5', 't6'])
    assert.equal(await statusOf(all.fetch(get(`/${name}/auth/session`))), 200)
  await Promise.all(bodies.map(({ end }) => end()))
  for (const { response } of bodies) assert.equal(await statusOf(response), 400)
})

/** Returns a `create` that is called for each name, and responds when `release` is called. */
function held(respond) {
  const waiting = []
  const create = async (name) => {
    await new Promise((resolve) => waiting.push(resolve))
    return respond(name)
  }
  const release = () => waiting.splice(0).forEach((resolve) => resolve())
  return { create, release, waiting }
}

/** Resolves when all that can happen without a release has happened. */
const settled = () => new Promise(setImmediate)

test('flood of unknown names refuses no tenant', time, async () => {
  const lines = []
  const { create, release, waiting } = held((name) => (name.startsWith('t') ? ofPath(name) : undefined))
  const all = tenants({ select: byPath, create, log: (line) => lines.push(line) })
  const ask = (name) => statusOf(all.fetch(get(`/${name}/auth/session`)))
  const flood = Array.from({ length: 500 }, (_, i) => ask(`x${i}`))
  const known = ['t1', 't2'].map(ask)
  await settled()
  let calls = 0
  while (waiting.length) {
    assert.ok(waiting.length <= 100, 'calls of `create` are limited')
    calls += waiting.length
    release()
    await settled()
  }
  assert.equal(calls, 502)
  assert.deepEqual(await Promise.all(known), [200, 200])
  assert.deepEqual(new Set(await Promise.all(flood)), new Set([404]))
  assert.deepEqual(lines, [])
})

test('more tenants than handlers can start at once', time, async () => {
  const created = []
  const create = (name) => {
    created.push(name)
    return ofPath(name)
  }
  const all = tenants({ select: byPath, create, most: 10 })
  const ask = (i) => statusOf(all.fetch(get(`/t${i}/auth/session`)))
  const many = Array.from({ length: 150 }, (_, i) => ask(i))
  assert.deepEqual(new Set(await Promise.all(many)), new Set([200]))
  assert.equal(created.length, 150, 'no start drops a handler before its request')
  // No more handlers are kept: all of these tenants are created again, except for the last ones.
  created.length = 0
  for (let i = 0; i < 150; i++) await ask(i)
  assert.ok(created.length >= 140, String(created.length))
})

test('request that waits too long for `create` is refused, and the log says why', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines = []
  const { create, release, waiting } = held(() => undefined)
  const log = ({ code, message }) => lines.push(`${code}: ${message}`)
  const all = tenants({ select: byPath, create, log })
  const ask = (name) => statusOf(all.fetch(get(`/${name}/auth/session`)))
  const flood = Array.from({ length: 1100 }, (_, i) => ask(`x${i}`))
  await settled()
  assert.equal(await ask('beyond'), 503)
  t.mock.timers.tick(10_000)
  await settled()
  release()
  const statuses = await Promise.all(flood)
  assert.equal(statuses.filter((status) => status === 404).length, 100)
  assert.equal(statuses.filter((status) => status === 503).length, 1000)
  assert.deepEqual(lines, [
    'limit_exceeded: `create` of tenants() is too slow for the requests of new names: 100 calls are in flight',
  ])
  const later = ask('x1099')
  await settled()
  assert.equal(waiting.length, 1, 'a refused name is not remembered')
  release()
  assert.equal(await later, 404)
})

test('call of `create` that never ends gives its place to others', async (t) => {
  t.after(() => setClocks(0))
  const { create, release, waiting } = held((name) => ofPath(name))
  const all = tenants({ select: byPath, create })
  const ask = (name) => statusOf(all.fetch(get(`/${name}/auth/session`)))
  for (let i = 0; i < 100; i++) void ask(`x${i}`)
  await settled()
  waiting.length = 0
  setClocks(11_000)
  const status = ask('t1')
  await settled()
  release()
  assert.equal(await status, 200)
})

test('half a surrogate pair is the name of no tenant', async () => {
  let name
  const all = tenants({ select: () => name, create: () => config })
  for (const [given, status] of [
    ['x\ud800', 404],
    ['\udc00x', 404],
    ['x\ufffd', 200],
    ['\u{1f600}', 200],
  ]) {
    name = given
    assert.equal(await statusOf(all.fetch(get('/auth/session'))), status, JSON.stringify(given))
  }
  await assert.rejects(all.of('x\ud800').ready(), { code: 'config_invalid' })
})

test('tenant that is forgotten during its start is created again', time, async () => {
  let result = () => ofPath('t1')
  const names = []
  const { create, release } = held(() => {})
  const all = tenants({
    select: byPath,
    create: (name) => {
      const read = result
      names.push(name)
      return create(name).then(() => read())
    },
    log() {},
  })
  const ask = () => statusOf(all.fetch(get('/t1/auth/session')))
  for (const [before, after, status] of [
    [() => ofPath('t1'), () => undefined, 404],
    [() => undefined, () => ofPath('t1'), 200],
    [() => assert.fail('the start with the old configuration fails'), () => ofPath('t1'), 200],
    [() => ({ ...ofPath('t1'), base: 'auth' }), () => ofPath('t1'), 200],
  ]) {
    all.forget('t1')
    names.length = 0
    result = before
    const first = ask()
    await settled()
    result = after
    assert.equal(all.forget('t1'), true)
    // Begins a start before the end of the old one.
    const second = ask()
    await settled()
    for (let i = 0; i < 3; i++) {
      release()
      await settled()
    }
    assert.deepEqual([await first, await second, await ask()], [status, status, status])
    assert.equal(names.length, 2)
  }
})

test('forgotten tenant is created again', time, async () => {
  let created = 0
  const create = (name) => {
    created++
    return ofPath(name)
  }
  const all = tenants({ select: byPath, create })
  const ask = () => statusOf(all.fetch(get('/t1/auth/session')))
  await ask()
  assert.equal(all.forget('t1'), true)
  assert.equal(all.forget('unknown'), true)
  await ask()
  assert.equal(created, 2)
})

test('handler with an end that the coordinator does not know is not dropped', time, async () => {
  const real = inIsolate()()
  let isDown = false
  const orFail = (method) => (isDown ? Promise.reject(new Error('down')) : method())
  const coordinator = () => ({
    read: (...given) => orFail(() => real.read(...given)),
    swap: (...given) => orFail(() => real.swap(...given)),
    wait: (...given) => real.wait(...given),
  })
  const all = tenants({
    select: byPath,
    create: (name) => ({ ...ofPath(name), coordinator }),
    most: 1,
    log() {},
  })
  await served(all, async (place) => {
    const visitor = new Visitor(place)
    await visitor.authorize('/t1/auth/login')
    const cookie = header(cookiesOf(visitor))
    isDown = true
    const logout = await visitor.call('/t1/auth/logout', { method: 'POST' })
    assert.equal(logout.status, 200)
    for (const name of ['t2', 't3', 't4'])
      assert.equal(await statusOf(all.fetch(get(`/${name}/auth/session`))), 200)
    assert.equal(all.forget('t1'), false)
    assert.equal(await userOf(await all.fetch(get('/t1/auth/session', { cookie }))), undefined)
    isDown = false
    setClocks(20_000)
    assert.equal(await userOf(await all.fetch(get('/t1/auth/session', { cookie }))), undefined)
    assert.equal(await statusOf(all.fetch(get('/t2/auth/session'))), 200)
    assert.equal(await userOf(await all.fetch(get('/t1/auth/session', { cookie }))), undefined)
    setClocks(0)
  })
})

test('keys that were fetched before the provider replaced them are fetched again', time, async () => {
  const all = tenants({ select: byPath, create: ofPath })
  documents = []
  staleKeys = JSON.stringify({ keys: [] })
  await served(all, async (place) => {
    for (const name of ['t1', 't2']) {
      const visitor = new Visitor(place)
      await visitor.authorize(`/${name}/auth/login`)
      assert.ok(await all.session(get(`/${name}/`, { cookie: header(cookiesOf(visitor)) })), name)
    }
  })
  assert.deepEqual(documents, ['/.well-known/openid-configuration', '/jwks', '/jwks'])
})

test('documents are shared for a minute', time, async () => {
  const all = tenants({ select: byPath, create: ofPath })
  documents = []
  const login = (name) =>
    statusOf(all.fetch(new Request(`${ORIGIN}/${name}/auth/login`, { headers: NAVIGATION })))
  for (const name of ['t1', 't2']) assert.equal(await login(name), 303)
  assert.equal(documents.length, 1)
  all.forget('t1')
  assert.equal(await login('t1'), 303)
  assert.equal(documents.length, 1, 'another handler')
  setClocks(61_000)
  assert.equal(await login('t3'), 303)
  assert.equal(documents.length, 2)
  setClocks(0)
})

/** A user who is signed in at two tenants, with the same grant at the provider. */
const twice = async (place) => {
  const visitor = new Visitor(place)
  for (const name of ['t1', 't2']) await visitor.authorize(`/${name}/auth/login`)
  return visitor
}
/** Returns the reason for the end of a tenant's session, or the user. */
const stateOf = async (visitor, name) => {
  const { session, reason } = await (await visitor.call(`/${name}/auth/session`)).json()
  return session ? session.claims.sub : reason
}

test('app passes a back-channel logout on to each of its tenants', time, async () => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const { keys } = await (await fetch(`${provider.issuer}/jwks`)).json()
  staleKeys = JSON.stringify({ keys: [...keys, { ...(await exportJWK(publicKey)), kid: 'own' }] })
  const coordinator = inIsolate()
  const create = (name) => ({ ...ofPath(name), coordinator, session: { storage: 'in-store', recheck: 0 } })
  const all = tenants({ select: byPath, create })
  await served(all, async (place) => {
    const visitor = await twice(place)
    const token = await new SignJWT({
      sub: 'alice',
      jti: 'one',
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'logout+jwt', kid: 'own' })
      .setIssuer(provider.issuer)
      .setAudience(config.client.id)
      // The logins must not be in the same second.
      .setIssuedAt(Math.floor(Date.now() / 1000) + 1)
      .setExpirationTime('2m')
      .sign(privateKey)
    const given = new Request(`${ORIGIN}/backchannel-logout`, {
      method: 'POST',
      body: new URLSearchParams({ logout_token: token }),
    })
    assert.equal((await all.backChannelLogout(given, ['t1', 't2'])).status, 200)
    for (const name of ['t1', 't2']) assert.equal(await stateOf(visitor, name), 'provider_ended')
  })
})

/** A logout request whose body has this many bytes, in pieces. `taken` is the number of bytes that were read. */
const logoutOf = (size) => {
  const piece = new Uint8Array(16_384).fill(97)
  const given = { taken: 0 }
  const body = new ReadableStream(
    {
      pull(controller) {
        const left = size - given.taken
        if (!left) return controller.close()
        given.taken += Math.min(left, piece.length)
        controller.enqueue(piece.subarray(0, left))
      },
    },
    { highWaterMark: 0 },
  )
  const url = `${ORIGIN}/backchannel-logout`
  return Object.assign(given, { request: new Request(url, { method: 'POST', body, duplex: 'half' }) })
}

test('passed logout of more than 64 KB is not read', time, async () => {
  let created = 0
  const create = (name) => {
    created++
    return ofPath(name)
  }
  const all = tenants({ select: byPath, create })
  const long = logoutOf(100_000_000)
  assert.equal((await all.backChannelLogout(long.request, ['t1', 't2'])).status, 413)
  assert.ok(long.taken < 100_000, `${long.taken} bytes`)
  assert.equal(created, 0)
  // A control: a body within the limit reaches the tenants, which refuse it.
  const short = logoutOf(65_536)
  assert.equal((await all.backChannelLogout(short.request, ['t1', 't2'])).status, 400)
  assert.equal(created, 2)
})

test('passed logout whose client leaves is refused', time, async () => {
  const all = tenants({ select: byPath, create: ofPath })
  const body = new ReadableStream({
    pull: (controller) => controller.error(new TypeError('the client left')),
  })
  const url = `${ORIGIN}/backchannel-logout`
  const request = new Request(url, { method: 'POST', body, duplex: 'half' })
  assert.equal((await all.backChannelLogout(request, ['t1'])).status, 413)
})

test('passed logout that a tenant cannot take fails', time, async () => {
  const create = (name) => (name === 'gone' ? undefined : ofPath(name))
  const all = tenants({ select: byPath, create, log() {} })
  for (const [names, status] of [
    [['gone', 't1'], 404],
    [['t1', 'gone'], 400],
    [[], 404],
  ]) {
    assert.equal((await all.backChannelLogout(logoutOf(9).request, names)).status, status, names)
  }
})

test('passed logout that may be sent again fails as that', time, async () => {
  const create = (name) => {
    if (name === 'down') throw new Error('the configuration cannot be read')
    return ofPath(name)
  }
  const all = tenants({ select: byPath, create, log() {} })
  // The other tenant refuses it for good.
  assert.ok((await all.backChannelLogout(logoutOf(9).request, ['t1', 'down'])).status >= 500)
})

// claim: handler-53
test('logout that forgets leaves the other sessions of the user’s grant', time, async (t) => {
  t.after(() => setClocks(0))
  for (const [logout, path, state] of [
    ['forget', 'logout', 'alice'],
    ['forget', 'logout?provider', 'provider_ended'],
    ['revoke', 'logout', 'provider_ended'],
  ]) {
    const create = (name) => ({ ...ofPath(name), session: { storage: 'in-store' }, logout })
    await served(tenants({ select: byPath, create }), async (place) => {
      setClocks(0)
      const visitor = await twice(place)
      assert.equal((await visitor.call(`/t1/auth/${path}`, { method: 'POST' })).status, 200)
      // The access token has expired, so that the other tenant needs the grant.
      setClocks(601_000)
      assert.equal(await stateOf(visitor, 't2'), state, path)
    })
  }
  const alone = createTokenHandler({ ...config, logout: 'forget' })
  await assert.rejects(alone.ready(), { code: 'config_invalid' })
})
