import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ORIGIN, publicClient, startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

/** The memory of the core, which can only grow. The replaced constructor of `WebAssembly.Instance` stores it here. */
let memory
const { Instance } = WebAssembly
WebAssembly.Instance = class extends Instance {
  constructor(...args) {
    super(...args)
    memory = Object.values(this.exports).find((one) => one instanceof WebAssembly.Memory)
  }
}
const { createTokenHandler, inIsolate, tenants } = await import('../../../pkg/dist/edge.js')

/** A chunk of the largest size that the search holds in memory at once. */
const PIECE = Buffer.alloc(64 * 1024, 'strongroom ')

/** Responses whose bodies the handler searches for tokens. */
const RESPONSES = {
  'in one piece': (response) => response.end(PIECE),
  'in several pieces'(response) {
    response.write(PIECE)
    response.end(PIECE)
  },
  'that break off'(response) {
    response.writeHead(200, { 'content-length': 10 * PIECE.length })
    response.write(PIECE, () => response.destroy())
  },
}

let upstream, app, visitor, asked
before(async () => {
  upstream = await listen({
    handler(request, response) {
      asked = request
      const kind = new URL(request.url, upstream.origin).searchParams.get('kind').replaceAll('-', ' ')
      request.resume()
      RESPONSES[kind](response)
    },
  })
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: {
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/` }],
      coordinator: inIsolate(),
    },
    listener: { onError() {} },
  })
  visitor = new Visitor(app.place)
  await visitor.signIn({ returnTo: '/home', until: ({ pathname }) => pathname === '/home' })
})
after(async () => {
  await app?.close()
  await upstream?.close()
})

for (const kind of Object.keys(RESPONSES)) {
  // claim: handler-76
  test(`responses ${kind} do not leak memory`, { timeout: 60_000 }, async () => {
    const many = async (count) => {
      for (let i = 0; i < count; i++)
        await visitor.call(`/api/x?kind=${kind.replaceAll(' ', '-')}`).catch(() => {})
    }
    await many(20)
    const before = memory.buffer.byteLength
    await many(100)
    assert.equal(memory.buffer.byteLength, before)
  })
}

test('handlers of dropped tenants free their memory', { timeout: 60_000 }, async () => {
  const config = { ...publicClient(app.provider), coordinator: inIsolate() }
  const all = tenants({ select: ({ url }) => new URL(url).pathname, create: () => config, most: 10 })
  const create = async (count, kind) => {
    for (let i = 0; i < count; i++) await all.fetch(new Request(`${ORIGIN}/${kind}${i}`))
  }
  await create(20, 'a')
  const before = memory.buffer.byteLength
  await create(1000, 'b')
  assert.equal(memory.buffer.byteLength, before)
})

// claim: handler-30
test('header names are compared in their CGI form', async () => {
  const headers = {
    x_forwarded_for: '10.0.0.1',
    'X-Forwarded-For': '10.0.0.2',
    remote_user: 'root',
    x_auth_user: 'root',
    'x.forwarded.for': '10.0.0.3',
    'x-forwarded.user': 'root',
    'x!auth!user': 'root',
    x_own: 'kept',
  }
  await visitor.call('/api/x?kind=in-one-piece', { headers })
  const names = Object.keys(asked.headers).filter((name) => /forwarded|remote|auth_|own/.test(name))
  assert.deepEqual(names, ['x_own'])
})
