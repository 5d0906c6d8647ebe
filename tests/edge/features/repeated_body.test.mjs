// An API that asks for another nonce in each proof. A request whose body is short is repeated with it, and a stream is not.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readBody } from '../../support/body.mjs'
import { ALL, rows } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { listen } from '../../support/listen.mjs'

const COORDINATORS = {
  node: 'node-redis',
  workerd: 'durable-object',
  ...(ALL && { deno: 'deno-kv', bun: 'bun-redis' }),
}
const time = { timeout: 60_000 }

/** The longest body that is sent again, in bytes. */
const LONGEST = 64 * 1024

for (const [platform, coordinator] of rows(Object.entries(COORDINATORS))) {
  describe(`${platform}: bodies of repeated requests`, time, () => {
    const received = []
    let nonces = 0
    let app, upstream, visitor
    before(async () => {
      upstream = await listen({
        async handler(request, response) {
          received.push({ body: await readBody(request), length: request.headers['content-length'] })
          // Every other request gets another nonce.
          if (received.length % 2 === 0) return response.end('ok')
          const headers = { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': `${++nonces}` }
          response.writeHead(401, headers).end()
        },
      })
      app = await startApp(platform, {
        coordinator,
        isolates: 1,
        provider: { dpop: true },
        handler: { dpop: true },
        upstream: `${upstream.origin}/`,
      })
      visitor = app.visitor()
      await visitor.signIn()
    })
    after(async () => {
      await app?.stop()
      await upstream?.close()
    })

    const post = (body, headers = {}) => {
      received.length = 0
      return visitor.call('/api/graphql', { method: 'POST', body, headers })
    }

    for (const length of [0, 1, LONGEST]) {
      // claim: end-22
      test(`body of ${length} bytes is sent again`, time, async () => {
        const body = 'a'.repeat(length)
        const response = await post(body, { 'content-length': `${length}` })
        assert.equal(response.status, 200)
        assert.deepEqual(
          received.map(({ body, length }) => [body.toString(), length]),
          [
            [body, `${length}`],
            [body, `${length}`],
          ],
        )
      })
    }

    for (const [what, body, headers] of [
      ['longer body', 'a'.repeat(LONGEST + 1), { 'content-length': `${LONGEST + 1}` }],
      ['stream', 'a', { 'transfer-encoding': 'chunked' }],
    ]) {
      test(`${what} is sent once`, time, async () => {
        const response = await post(body, headers)
        assert.equal(response.status, 401)
        assert.deepEqual(
          received.map(({ body }) => body.toString()),
          [body],
        )
      })
    }
  })
}
