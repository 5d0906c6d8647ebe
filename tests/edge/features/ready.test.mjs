// With `ready()`, a server reads its configuration before it accepts requests. The tests also cover a core that fails
// to start, or traps, and functions of the operator that fail.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { createTokenHandler, durableObject, inIsolate, redis, tenants } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const VALID = {
  // No server listens at this URL.
  issuer: 'http://127.0.0.1:9',
  client: { id: 'web', auth: { method: 'client_secret_basic', secret: (env) => env.CLIENT_SECRET } },
  cookie: { keys: randomBytes(32).toString('base64') },
}
const handler = (more, faults = [], create = createTokenHandler) =>
  create({
    ...VALID,
    coordinator: inIsolate(),
    log: (fault) => faults.push(fault),
    ...more,
  })
const env = { CLIENT_SECRET: 'a secret' }
const GUARDED = { origin: 'https://app.example.com', session: { storage: 'in-store' } }

const statusOf = async (handler, env) =>
  (await handler.fetch(new Request('https://app.example.com/api/'), env)).status

test('valid configuration is ready without the provider', async () => {
  const made = handler({})
  assert.equal(await made.ready(env), undefined)
  // After `ready()`, requests do not need `env`.
  assert.equal(await statusOf(made), 404)
})

test('page at an address of the app says that there is no app', async () => {
  for (const base of [undefined, '/bff']) {
    const made = handler({ base })
    const response = await made.fetch(new Request('https://app.example.com/'), env)
    const text = await response.text()
    assert.match(text, /^There is no app at this address\./)
    assert.ok(text.includes(`only ${base ?? '/auth'}/ and the routes`), text)
    assert.match(text, /If you come from a login, the login has worked/)
    // A server that has an app decides itself.
    assert.equal(await made.handle(new Request('https://app.example.com/'), env), undefined)
  }
})

for (const [what, more, given, expected] of [
  ['a short key', { cookie: { keys: 'AAAA' } }, env, /cookie\.keys/],
  ['a secret missing in the environment', {}, {}, /client\.auth\.secret/],
  ['an unknown option', { isuer: 'x' }, env, /isuer/],
  [
    'an error in a function of the configuration',
    { routes: [{ prefix: '/api/', upstream: ({ API }) => API.url }] },
    env,
    /`routes\[0\]\.upstream`: its function failed: .*'url'/,
  ],
  ['a missing coordinator', { coordinator: undefined }, env, /`coordinator`: it is missing/],
  [
    'a coordinator function that was not called',
    { coordinator: inIsolate },
    env,
    /`coordinator`: .*inIsolate\(\)/,
  ],
  [
    'an unbound Durable Object',
    { coordinator: durableObject((env) => env.SESSIONS) },
    env,
    /`coordinator`: .*wrangler\.toml/,
  ],
  [
    'a rule of a guard that the environment lacks',
    { ...GUARDED, guards: { site: { secret: 's'.repeat(32), allow: { groups: env.GROUPS } } } },
    env,
    /`guards\.site\.allow\.groups`/,
  ],
  [
    'an empty array in the environment',
    { ...GUARDED, guards: { site: { secret: 's'.repeat(32), allow: { groups: ''.split(',') } } } },
    env,
    /`guards\.site\.allow\.groups` is \[""\]/,
  ],
  [
    'rules of a guard that the environment lacks',
    { ...GUARDED, guards: { site: { secret: 's'.repeat(32), allow: env.ALLOW } } },
    env,
    /`guards\.site\.allow`/,
  ],
  ['a missing Redis client', { coordinator: redis((env) => env.REDIS) }, env, /redis\(\)/],
]) {
  test(`error message names ${what}`, async () => {
    const faults = []
    const made = handler(more, faults)
    await assert.rejects(made.ready(given), (error) => {
      assert.equal(error.name, 'StrongroomError')
      assert.equal(error.code, 'config_invalid')
      assert.match(error.message, expected)
      return true
    })
    assert.deepEqual(faults, [], 'ready() does not report to the log')
    // Without `ready()`, the first request reports the fault.
    assert.equal(await statusOf(made, given), 500)
    assert.deepEqual(
      faults.map(({ code }) => code),
      ['config_invalid'],
    )
  })
}

const SITE = { secret: 's'.repeat(32) }
const ALLOW = { groups: ['staff'] }
/** Returns the configuration with a guard that has this `allow`. */
const allowing = (allow) => ({ ...GUARDED, guards: { site: { ...SITE, allow } } })
const hidden = (members) => {
  const all = Object.entries(members).map(([name, value]) => [name, { value }])
  return Object.create(Object.prototype, Object.fromEntries(all))
}
class Rules {
  get groups() {
    return ALLOW.groups
  }
}
const inherited = Object.create(ALLOW)

for (const [what, more, path] of [
  ['rules of a prototype', allowing(inherited), 'guards.site.allow'],
  ['rules of a class', allowing(new Rules()), 'guards.site.allow'],
  ['rules of a map', allowing(new Map([['groups', ['staff']]])), 'guards.site.allow'],
  ['rules that are not enumerable', allowing(hidden(ALLOW)), 'guards.site.allow'],
  ['a rule with a symbol', allowing({ ...ALLOW, [Symbol('email')]: [] }), 'guards.site.allow'],
  ['a symbol', allowing(Symbol('allow')), 'guards.site.allow'],
  ['values in a set', allowing({ groups: new Set(['staff']) }), 'guards.site.allow.groups'],
  [
    'a guard of a prototype',
    { ...GUARDED, guards: { site: Object.create({ ...SITE, allow: ALLOW }) } },
    'guards.site',
  ],
  ['guards of a prototype', { ...GUARDED, guards: Object.create({ site: SITE }) }, 'guards'],
  ['a rule that a function returns', allowing(() => inherited), 'guards.site.allow'],
  ['a function that a function returns', allowing(() => () => ALLOW), 'guards.site.allow'],
  ['a session of a prototype', { session: Object.create({ storage: 'in-store' }) }, 'session'],
  ['a function for the session', { session: () => GUARDED.session }, 'session'],
  [
    'an address in a list',
    { routes: [{ prefix: '/api/', upstream: new URL('http://[::1]/') }] },
    'routes[0].upstream',
  ],
  ['a large number', { clockTolerance: 60n }, 'clockTolerance'],
]) {
  test(`config_invalid: ${what} would be lost in JSON`, async () => {
    await assert.rejects(handler(more).ready(env), (error) => {
      assert.equal(error.code, 'config_invalid')
      assert.ok(error.message.startsWith(`\`${path}\` must be `), error.message)
      return true
    })
  })
}

test('config_invalid: a configuration of a prototype', async () => {
  const made = createTokenHandler(Object.create({ ...VALID, coordinator: inIsolate(), log() {} }))
  await assert.rejects(made.ready(env), { message: /^`config` must be / })
})

test('objects of another realm, and without a prototype, are a configuration', async () => {
  const other = runInNewContext(`(${JSON.stringify(allowing({ groups: ['staff'] }))})`)
  await handler(other).ready(env)
  await handler({ ...other, guards: () => other.guards }).ready(env)
  const bare = Object.assign(Object.create(null), allowing(Object.assign(Object.create(null), ALLOW)))
  await handler(bare).ready(env)
})

const probe = async (made, kind, context, method = 'GET') =>
  (await made.fetch(new Request(`https://app.example.com/auth/health/${kind}`, { method }), env, context))
    .status

test('probes need neither the provider nor a header', async () => {
  const made = handler({})
  for (const method of ['GET', 'HEAD']) {
    assert.equal(await probe(made, 'live', undefined, method), 200)
    assert.equal(await probe(made, 'ready', undefined, method), 200)
  }
  assert.equal(await probe(made, 'other'), 404)
  const moved = handler({ base: '/bff' })
  assert.equal((await moved.fetch(new Request('https://app.example.com/bff/health/ready'), env)).status, 200)
})

/** Sends a request without a host, or with this one, to a Node server. Resolves with the status of the response. */
const statusOfRaw = async (t, listener, path, host) => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const socket = connect(server.address().port, '127.0.0.1')
  socket.write(`GET ${path} HTTP/1.0\r\n${host === undefined ? '' : `Host:${host}\r\n`}\r\n`)
  let text = ''
  for await (const piece of socket) text += piece
  return Number(text.split(' ')[1])
}

test('a request without a host gets a response only if it is a probe', async (t) => {
  const routes = [{ prefix: '/api/', upstream: 'http://127.0.0.1:9/' }]
  const made = handler({ routes, origin: 'https://app.example.com' })
  const several = tenants({
    select: () => 'one',
    create: () => ({ ...VALID, routes, coordinator: inIsolate() }),
  })
  const none = tenants({ select: () => undefined, create: () => undefined })
  for (const host of [undefined, '', '  ']) {
    for (const [path, statuses] of Object.entries({
      '/auth/health/live': [200, 200, 200],
      '/auth/health/ready?a': [200, 200, 200],
      '/auth/session': [400, 400, 400],
      '/auth/session?/health/live': [400, 400, 400],
      '/': [400, 400, 400],
      '/api/health/live': [400, 400, 404],
      '/health/ready': [400, 400, 404],
    })) {
      for (const [i, handler] of [made, several, none].entries()) {
        const listener = toNodeListener(handler, { env })
        assert.equal(await statusOfRaw(t, listener, path, host), statuses[i], `${path} ${i} ${host}`)
      }
    }
  }
  const listener = toNodeListener(made, { env })
  assert.equal(await statusOfRaw(t, listener, '/api/health/live', 'a'), 403, 'control: with a host')
  assert.equal(await statusOfRaw(t, listener, '/auth/health/live', 'a b'), 400, 'not a host')
})

test('a server that is about to stop is live, and not ready', async () => {
  const made = handler({})
  assert.equal(await probe(made, 'live', { isDraining: true }), 200)
  assert.equal(await probe(made, 'ready', { isDraining: true }), 503)
})

test('a handler with a wrong configuration is live, and not ready', async () => {
  const faults = []
  const made = handler({ cookie: { keys: 'AAAA' } }, faults)
  assert.equal(await probe(made, 'live'), 200)
  assert.deepEqual(faults, [])
  assert.equal(await probe(made, 'ready'), 503)
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['config_invalid'],
  )
})

test('fixed configuration is read again', async () => {
  const made = handler({})
  await assert.rejects(made.ready({}))
  await made.ready(env)
  assert.equal(await statusOf(made), 404)
})

/** Resolves with another copy of the package's code, whose core has not started: Node loads a file again for a query. */
async function anotherCopy(name) {
  const { handlerFactory, tenantsFactory } = await import(`../../../pkg/dist/edge-common.js?${name}`)
  const wasm = new URL('../../../pkg/dist/strongroom_edge_bg.wasm', import.meta.url)
  const load = async () => WebAssembly.compile(await readFile(wasm))
  return { createTokenHandler: handlerFactory(load), tenants: tenantsFactory(load) }
}

test('failed start of the core is tried again', async (t) => {
  const copy = await anotherCopy('again')
  const { Instance } = WebAssembly
  t.after(() => (WebAssembly.Instance = Instance))
  WebAssembly.Instance = function () {
    throw new RangeError('out of memory')
  }
  const made = handler({}, [], copy.createTokenHandler)
  await assert.rejects(made.ready(env))
  WebAssembly.Instance = Instance
  await made.ready(env)
})

/** Returns a function of WebAssembly that traps. */
const trap = () => {
  const bytes = Uint8Array.of(
    0,
    97,
    115,
    109,
    1,
    0,
    0,
    0,
    1,
    4,
    1,
    96,
    0,
    0,
    3,
    2,
    1,
    0,
    7,
    5,
    1,
    1,
    102,
    0,
    0,
    10,
    5,
    1,
    3,
    0,
    0,
    11,
  )
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f
}

/**
 * Lets a test break cores of a copy of the package. Returns the cores: one with `hasFault` traps at its next request.
 *
 * @param {import('node:test').TestContext} t
 */
const breakable = (t) => {
  const { Instance } = WebAssembly
  const fail = trap()
  const cores = []
  t.after(() => (WebAssembly.Instance = Instance))
  WebAssembly.Instance = function (...args) {
    const { exports } = new Instance(...args)
    const core = { hasFault: false }
    cores.push(core)
    const edge_begin = (...args) => (core.hasFault ? fail() : exports.edge_begin(...args))
    return { exports: { ...exports, edge_begin } }
  }
  return cores
}

// claim: handler-36
test('trapped core is replaced at the next request', async (t) => {
  const copy = await anotherCopy('trap')
  const cores = breakable(t)
  const faults = []
  const [made, other] = [0, 1].map(() => handler({}, faults, copy.createTokenHandler))
  for (const each of [made, other]) assert.equal(await statusOf(each, env), 404)
  assert.equal(cores.length, 1, 'handlers of an isolate share the core')
  cores[0].hasFault = true
  assert.equal(await statusOf(made, env), 500)
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['handler_crashed'],
  )
  // Both handlers continue with one new core, which they share.
  for (const each of [made, other]) assert.equal(await statusOf(each, env), 404)
  assert.equal(cores.length, 2)
  assert.equal(faults.length, 1)
})

test('trap stops all tenants, which start again', async (t) => {
  const copy = await anotherCopy('tenants')
  const cores = breakable(t)
  const coordinator = inIsolate()
  const create = () => ({ ...VALID, coordinator, log() {} })
  const all = copy.tenants({ select: ({ url }) => new URL(url).hostname, create, most: 2 })
  const ask = async (name) => (await all.fetch(new Request(`https://${name}/`), env)).status
  assert.deepEqual([await ask('a'), await ask('b')], [404, 404])
  cores[0].hasFault = true
  assert.equal(await ask('a'), 500)
  assert.deepEqual([await ask('a'), await ask('b')], [404, 404])
  assert.equal(cores.length, 2)
  // A handler whose core is gone can be dropped.
  cores[1].hasFault = true
  assert.equal(await ask('a'), 500)
  assert.deepEqual([await ask('c'), await ask('d'), await ask('a')], [404, 404, 404])
})

test('trap ends the waits of other requests', { timeout: 30_000 }, async (t) => {
  const copy = await anotherCopy('waits')
  const cores = breakable(t)
  const app = await startInProcess(copy.createTokenHandler, {
    accessTokenSeconds: 2,
    // The request would wait longer for its refresh than this test may take.
    handler: { coordinator: inIsolate(), requestTimeout: 120, log() {} },
  })
  const alice = new Visitor(app.place)
  await alice.signIn()
  await app.provider.ledger.accessTokenExpired()
  let release
  const hold = new Promise((resolve) => (release = resolve))
  t.after(async () => {
    release()
    await app.close()
  })
  const taken = app.provider.faults.taken()
  app.provider.faults.add('token', { hold })
  const waiting = alice.call('/auth/session')
  await taken
  cores[0].hasFault = true
  assert.equal((await alice.copy().call('/auth/session')).status, 500)
  assert.equal((await waiting).status, 500)
})

test('rejections of log and onSessionEnd are caught', async (t) => {
  const called = []
  const unhandled = []
  const note = (error) => unhandled.push(error)
  process.prependListener('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  const fails = (name) => async () => {
    called.push(name)
    throw new Error('the server is down')
  }
  const app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: { coordinator: inIsolate(), log: fails('log'), onSessionEnd: fails('onSessionEnd') },
  })
  t.after(() => app.close())
  const alice = new Visitor(app.place)
  await alice.signIn()
  assert.equal((await alice.call('/auth/logout', { method: 'POST' })).status, 200)
  const headers = { cookie: '__Host-strongroom=forged' }
  assert.equal((await alice.copy().call('/auth/session', { headers })).status, 200)
  await new Promise(setImmediate)
  assert.deepEqual(called, ['onSessionEnd', 'log'])
  assert.deepEqual(unhandled, [])
})

/** Creates a handler whose `session.bind` is a function, and records the requests that the function gets. */
const choosing = (choose, more = {}) => {
  const [asked, faults] = [[], []]
  const bind = (request) => {
    asked.push([request.url, request.headers.get('x-mine')])
    return choose()
  }
  return { asked, faults, made: handler({ session: { bind, storage: 'in-store' }, ...more }, faults) }
}

test('session.bind gets the request as browsers see it, and not env', async () => {
  const { made, asked } = choosing(() => 'if-supported', { origin: 'https://app.example.com' })
  const headers = { host: 'localhost', 'x-mine': 'yes' }
  const request = new Request('http://localhost:8080/page?a=1', { headers })
  await made.handle(request, env)
  assert.deepEqual(asked, [['https://app.example.com/page?a=1', 'yes']])
  // The session of a page that a server renders depends on the browser's request, not on one of the handler's own.
  assert.equal(await made.session(request, env), null)
  assert.deepEqual(asked[1], asked[0])
})

for (const [what, choose] of Object.entries({
  'returns something else': () => 'sometimes',
  throws() {
    throw new Error('a secret')
  },
})) {
  test(`session.bind that ${what} refuses the request`, async () => {
    const { made, faults } = choosing(choose)
    assert.equal(await statusOf(made, env), 500)
    assert.equal(faults[0].code, 'config_invalid')
    assert.doesNotMatch(faults[0].message, /a secret/)
  })
}

test('control: session.bind that returns a value refuses nothing', async () => {
  const { made, faults } = choosing(() => false)
  assert.equal(await statusOf(made, env), 404)
  assert.deepEqual(faults, [])
})
