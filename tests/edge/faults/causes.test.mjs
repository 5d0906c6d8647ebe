// Why a server did not respond is in the log, as far as the platform tells, and in no response of the handler.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { startTls } from '../../support/edge/tls.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { freePort, listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const faults = []
const servers = []
let app, handler, alice

/** For each cause, a server that fails in this way. */
const UPSTREAMS = {
  ECONNREFUSED: async () => `http://127.0.0.1:${await freePort()}/`,
  DEPTH_ZERO_SELF_SIGNED_CERT: async () => {
    const tls = await startTls({ host: '127.0.0.1' })
    servers.push(tls)
    return `${tls.origin}/`
  },
  UND_ERR_HEADERS_OVERFLOW: () =>
    serve((response) => response.setHeader('X-Long', 'a'.repeat(100_000)).end()),
  TimeoutError: () => serve(() => {}),
}

async function serve(respond) {
  const server = await listen({ handler: (_request, response) => void respond(response) })
  servers.push(server)
  return `${server.origin}/`
}

before(async () => {
  const routes = []
  for (const [name, start] of Object.entries(UPSTREAMS)) {
    const timeout = name === 'TimeoutError' ? 1 : 30
    routes.push({ prefix: `/${name}/`, upstream: await start(), timeout })
  }
  app = await startInProcess((config) => (handler = createTokenHandler(config)), {
    accessTokenSeconds: 600,
    handler: { coordinator: inIsolate(), routes, log: ({ message }) => faults.push(message) },
  })
  alice = new Visitor(app.place)
  await alice.signIn()
}, time)
after(async () => {
  await app?.close()
  await Promise.all(servers.map((server) => server.close()))
})

for (const cause of Object.keys(UPSTREAMS)) {
  test(`an API: ${cause}`, time, async () => {
    faults.length = 0
    const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin' }
    const response = await handler.fetch(new Request(`${app.place.origin}/${cause}/a`, { headers }))
    assert.equal(response.status, 502)
    assert.ok(!(await response.text()).includes(cause))
    assert.equal(faults.length, 1)
    assert.match(faults[0], new RegExp(`^no response from http.*: ${cause}$`))
  })
}

test('the provider: ECONNREFUSED', time, async () => {
  const seen = []
  const own = createTokenHandler({
    issuer: `http://127.0.0.1:${await freePort()}`,
    client: { id: 'web', auth: { method: 'none' } },
    cookie: { keys: Buffer.alloc(32, 1).toString('base64') },
    coordinator: inIsolate(),
    log: ({ message }) => seen.push(message),
  })
  const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }
  const response = await own.fetch(new Request('http://localhost:8080/auth/login', { headers }))
  assert.ok(response.status >= 500)
  assert.ok(!(await response.text()).includes('ECONNREFUSED'))
  assert.match(seen.join('\n'), /no response: ECONNREFUSED$/)
})

for (const [error, shown, cause] of [
  [
    new TypeError("Cannot read properties of undefined (reading 'slot')"),
    "TypeError: Cannot read properties of undefined (reading 'slot')",
  ],
  [
    new Error('no route to redis://own:secret@store:6379/0?key=secret'),
    'Error: no route to redis://store:6379',
  ],
  // As Deno writes the address of a request that failed.
  ...[
    '/users?mail=bob@corp.example&sig=secret',
    '/Users(1)?sig=secret',
    "/Users('b')?sig=secret",
    '/users?sig=secret',
    '',
  ].map((path) => [
    new TypeError(`error sending request for url (http://api.example:80${path}): client error (Connect)`),
    'TypeError: error sending request for url (http://api.example client error (Connect)',
  ]),
  [new Error("no route to redis://own:a'secret@store:6379"), 'Error: no route to redis://store:6379'],
  [new Error('no route to redis://own:a/secret@store:6379'), 'Error: no route to redis://'],
  [new Error(`${'a '.repeat(490)} redis://own:a-long-secret@store:6379`), 'Error: a a'],
  [
    Object.assign(new Error('connect to 127.0.0.1:6379'), { code: 'ECONNREFUSED' }),
    'ECONNREFUSED',
    'ECONNREFUSED',
  ],
  [new Error('a text\nof two lines'), 'Error: a text of two lines'],
]) {
  // claim: handler-61
  test(`a coordinator that fails: ${shown}`, time, async () => {
    const [seen, events] = [[], []]
    const own = createTokenHandler({
      issuer: app.provider.origin,
      client: { id: 'web', auth: { method: 'none' } },
      cookie: { keys: Buffer.alloc(32, 1).toString('base64') },
      session: { storage: 'in-store' },
      coordinator: () => ({
        ...inIsolate()({}),
        read: () => Promise.reject(error),
      }),
      log: ({ message }) => seen.push(message),
      observe: (event) => events.push(event),
    })
    await own.sessions({ user: 'alice' }).catch(() => {})
    const headers = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }
    await own.fetch(new Request('http://localhost:8080/auth/login', { headers }))
    assert.ok(
      seen.some((message) => message.includes(`: ${shown}`)),
      seen.join('\n'),
    )
    assert.ok(!seen.join().includes('secret'))
    // An attribute of a metric must not have a value for each message.
    const outage = events.find(({ type, server }) => type === 'outage_began' && server === 'coordinator')
    assert.equal(outage.cause, cause)
  })
}

// claim: handler-61
test('a response of the provider that the core cannot read is in no line', time, async () => {
  const seen = []
  const own = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: {
      coordinator: inIsolate(),
      log: ({ message }) => seen.push(message),
      observe: (event) => seen.push(JSON.stringify(event)),
    },
  })
  servers.push(own)
  const { fetch } = globalThis
  globalThis.fetch = async (url, init) => {
    const response = await fetch(url, init)
    if (!`${url}`.endsWith('/token')) return response
    // No text of JSON has half of a surrogate pair.
    const headers = {
      get: (name) => (name === 'content-type' ? '\ud800' : response.headers.get(name)),
      has: () => false,
    }
    return { status: response.status, headers, body: response.body }
  }
  try {
    const { response } = await new Visitor(own.place).signIn()
    assert.ok(response.status >= 500)
  } finally {
    globalThis.fetch = fetch
  }
  const text = seen.join('\n')
  assert.match(text, /the token endpoint did not respond/)
  const issued = own.provider.ledger.tokens().map(({ value }) => value)
  assert.ok(issued.length > 0)
  for (const token of issued) assert.ok(!text.includes(token))
})

/** Replaces the body of the API's next response by one that fails with this error. Resolves when the call has ended. */
async function callFails(call, errorFor) {
  const { fetch } = globalThis
  globalThis.fetch = async (url, init) => {
    const error = errorFor(init.headers.get('authorization').replace('Bearer ', ''))
    return new Response(new ReadableStream({ pull: (controller) => controller.error(error) }))
  }
  try {
    await call().catch(() => {})
  } finally {
    globalThis.fetch = fetch
  }
}

const withApi = (create, seen) =>
  startInProcess(create, {
    accessTokenSeconds: 600,
    handler: {
      coordinator: inIsolate(),
      routes: ['a', 'b', 'c'].map((name) => ({ prefix: `/${name}/`, upstream: 'https://api.example/v1/' })),
      log: (line) => seen.push(line),
    },
    listener: { onError() {} },
  })

// claim: handler-61
test('an API whose response fails: a message with the token is left out', time, async () => {
  const seen = []
  const own = await withApi(createTokenHandler, seen)
  servers.push(own)
  const visitor = new Visitor(own.place)
  await visitor.signIn()
  let token
  const messages = {
    a: (given) => `an odd byte: ${(token = given)}`,
    // The line would have only the beginning of the token.
    b: (given) => `${'an odd byte '.repeat(12)}${given}`,
    // A control.
    c: () => `an odd byte at https://own:secret@api.example/v1/orders?name=alice. ${'A.'.repeat(100_000)}`,
  }
  for (const [name, messageFor] of Object.entries(messages))
    await callFails(
      () => visitor.call(`/${name}/x`),
      (given) => new TypeError(messageFor(given)),
    )
  const lines = seen.map(({ message }) => message.slice(0, 100))
  assert.equal(lines.length, 3)
  for (const line of lines.slice(0, 2)) assert.match(line, / broke off its response: TypeError$/)
  assert.match(lines[2], /: TypeError: an odd byte at https:\/\/api\.example A\.A/)
  assert.ok(token.length > 200)
})

test('a trap of the search is one line', time, async () => {
  const { handlerFactory } = await import('../../../pkg/dist/edge-common.js?search')
  const wasm = new URL('../../../pkg/dist/strongroom_edge_bg.wasm', import.meta.url)
  const { Instance } = WebAssembly
  WebAssembly.Instance = function (...args) {
    const { exports } = new Instance(...args)
    const guard_take_free = () => {
      throw new WebAssembly.RuntimeError('unreachable')
    }
    return { exports: { ...exports, guard_take_free } }
  }
  try {
    const seen = []
    const own = await withApi(
      handlerFactory(async () => WebAssembly.compile(await readFile(wasm))),
      seen,
    )
    servers.push(own)
    const visitor = new Visitor(own.place)
    await visitor.signIn()
    const { fetch } = globalThis
    globalThis.fetch = async () => new Response('the body')
    await visitor.call('/a/x').catch(() => {})
    globalThis.fetch = fetch
    assert.deepEqual(
      seen.map(({ code }) => code),
      ['handler_crashed'],
    )
  } finally {
    WebAssembly.Instance = Instance
  }
})
