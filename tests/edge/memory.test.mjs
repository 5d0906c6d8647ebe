import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'
import { startProvider } from '../support/provider.mjs'

const ORIGIN = 'https://app.example.com'

/** The core's memory, which only grows: whoever makes the instance knows it. */
let memory
const { Instance } = WebAssembly
WebAssembly.Instance = class extends Instance {
  constructor(...args) {
    super(...args)
    memory = Object.values(this.exports).find((one) => one instanceof WebAssembly.Memory)
  }
}
const { createTokenHandler, inIsolate } = await import('../../pkg/dist/edge.js')

/** As much as a search has to hold at once. */
const PIECE = Buffer.alloc(64 * 1024, 'strongroom ')

/** What becomes of answers whose body is searched. */
const ANSWERS = {
  'that come whole': (response) => response.end(PIECE),
  'that come in pieces'(response) {
    response.write(PIECE)
    response.end(PIECE)
  },
  'that break off'(response) {
    response.writeHead(200, { 'content-length': 10 * PIECE.length })
    response.write(PIECE, () => response.destroy())
  },
}

let provider, upstream, server, visitor, asked
before(async () => {
  provider = await startProvider({
    audience: 'urn:test',
    allowedOrigins: [],
    accessTokenSeconds: 600,
    clients: [
      {
        client_id: 'web',
        token_endpoint_auth_method: 'none',
        id_token_signed_response_alg: 'ES256',
        redirect_uris: [`${ORIGIN}/auth/callback`],
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
  })
  upstream = await listen({
    handler(request, response) {
      asked = request
      const kind = new URL(request.url, ORIGIN).searchParams.get('kind').replaceAll('-', ' ')
      request.resume()
      ANSWERS[kind](response)
    },
  })
  const handler = createTokenHandler({
    issuer: provider.origin,
    origin: ORIGIN,
    client: { id: 'web', auth: { method: 'none' } },
    cookie: { keys: randomBytes(32).toString('base64') },
    routes: [{ prefix: '/api/', upstream: `${upstream.origin}/` }],
    coordinator: inIsolate(),
  })
  server = await listen({ handler: toNodeListener(handler, { onError() {} }) })
  visitor = new Visitor({ origin: ORIGIN, urls: [server.origin] })
  await visitor.signIn({ returnTo: '/home', until: ({ pathname }) => pathname === '/home' })
})
after(async () => {
  await server?.close()
  await upstream?.close()
  await provider?.close()
})

for (const kind of Object.keys(ANSWERS)) {
  test(`answers ${kind} leave the memory as it was`, { timeout: 60_000 }, async () => {
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

test('a header field counts as what CGI makes of it', async () => {
  const headers = {
    x_forwarded_for: '10.0.0.1',
    'X-Forwarded-For': '10.0.0.2',
    remote_user: 'root',
    x_auth_user: 'root',
    x_own: 'kept',
  }
  await visitor.call('/api/x?kind=that-come-whole', { headers })
  const names = Object.keys(asked.headers).filter((name) => /forwarded|remote|auth_|own/.test(name))
  assert.deepEqual(names, ['x_own'])
})
