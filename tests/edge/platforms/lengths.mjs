import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { request as open } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { readBody } from '../../support/body.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { listen } from '../../support/listen.mjs'

const TEXT = Buffer.from('a line of the report\n'.repeat(10_000))
const CODED = gzipSync(TEXT)
/** A body of many chunks. Each chunk may end with the beginning of a token. */
const LARGE = Buffer.from(randomBytes(3_000_000).toString('base64'))

const home = ({ pathname }) => pathname === '/orders'

/**
 * Tests the lengths and content encodings that clients and upstreams see.
 *
 * @param {keyof typeof import('../../support/edge/platforms.mjs').PLATFORMS} platform
 * @param {string} coordinator
 * @param {{ measuresStreams: boolean, passesCoded: boolean }} options `measuresStreams`: true if the platform's server
 * sends the `Content-Length` of every stream. A server that does not sends it only if the whole body has arrived when
 * the response begins. `passesCoded`: true if a compressed body that is not searched stays compressed.
 */
export function lengthsSuite(platform, coordinator, { measuresStreams, passesCoded }) {
  describe(`${platform}: lengths and encodings`, { timeout: 60_000 }, () => {
    let app, upstream, visitor, token
    /** Continues the response that the upstream sends in pieces. */
    let goOn = () => {}
    before(async () => {
      upstream = await listen({
        async handler(request, response) {
          token = request.headers.authorization.replace('Bearer ', '')
          if (request.url.includes('pieces')) {
            const isToken = request.url.includes('token')
            const pieces = isToken ? [token.slice(0, 10), token.slice(10)] : ['one message', ' and_another']
            response.writeHead(200, { 'content-type': 'application/grpc-web' })
            for (const piece of pieces) {
              response.write(piece)
              await new Promise((resolve) => (goOn = resolve))
            }
            return response.end()
          }
          if (request.url.includes('large')) {
            if (request.url.includes('known')) response.setHeader('content-length', LARGE.length)
            return response.end(LARGE)
          }
          const { 'content-length': length = null, 'accept-encoding': accepted = '' } = request.headers
          if (request.method === 'POST' || request.method === 'DELETE') {
            const { length: size } = await readBody(request)
            const coding = request.headers['transfer-encoding'] ?? null
            return response.end(JSON.stringify({ length, coding, size }))
          }
          if (request.url.includes('dictionary')) response.setHeader('content-encoding', 'dcb')
          const isCoded = request.url.includes('coded') && /gzip/.test(accepted)
          const body = isCoded ? CODED : TEXT
          if (isCoded) response.setHeader('content-encoding', 'gzip')
          response.setHeader('content-type', 'text/plain')
          response.setHeader('content-length', body.length)
          response.end(request.method === 'HEAD' ? undefined : body)
        },
      })
      const methods = ['GET', 'HEAD', 'POST', 'DELETE']
      const route = (reflection) => ({
        prefix: `/${reflection}/`,
        upstream: `${upstream.origin}/v1/`,
        methods,
        reflection,
      })
      app = await startApp(platform, {
        coordinator,
        isolates: 1,
        app: new URL('../apps/bare.mjs', import.meta.url),
        handler: { routes: ['refuse', 'headers', 'allow'].map(route) },
      })
      visitor = app.visitor()
      await visitor.signIn({ returnTo: '/orders', until: home })
    })
    after(async () => {
      await app?.stop()
      await upstream?.close()
    })

    /** Sends a request without `fetch`, which would decode the response. */
    const ask = (method, path, headers = {}, body) =>
      new Promise((resolve, reject) => {
        const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
        const sent = { cookie, 'x-strongroom': '1', ...headers }
        const request = open(`${app.urls[0]}${path}`, { method, headers: sent }, async (response) => {
          try {
            resolve({
              status: response.statusCode,
              headers: response.headers,
              body: await readBody(response),
            })
          } catch (error) {
            reject(error)
          }
        })
        request.on('error', reject)
        request.end(body)
      })

    for (const reflection of ['refuse', 'headers', 'allow']) {
      test(`download has its length, with reflection ${reflection}`, async () => {
        const { status, headers, body } = await ask('GET', `/${reflection}/plain`)
        assert.equal(status, 200)
        const length = headers['content-length']
        if (measuresStreams || length !== undefined) assert.equal(length, `${TEXT.length}`)
        assert.ok(body.equals(TEXT))
      })

      test(`HEAD has the length of the body, with reflection ${reflection}`, async () => {
        const { status, headers, body } = await ask('HEAD', `/${reflection}/plain`)
        assert.equal(status, 200)
        assert.equal(headers['content-length'], `${TEXT.length}`)
        assert.equal(body.length, 0)
      })

      test(`compressed body arrives whole, with reflection ${reflection}`, async () => {
        const { status, headers, body } = await ask('GET', `/${reflection}/coded`, {
          'accept-encoding': 'gzip',
        })
        assert.equal(status, 200)
        const isCoded = headers['content-encoding'] === 'gzip'
        if (headers['content-length']) assert.equal(headers['content-length'], `${body.length}`)
        if (passesCoded && reflection !== 'refuse') assert.ok(isCoded && body.equals(CODED))
        else assert.ok(isCoded || body.equals(TEXT))
      })

      if (reflection === 'refuse') {
        // claim: api-5
        test('a compressed searched response is told no length', async () => {
          for (const method of ['GET', 'HEAD']) {
            const { headers } = await ask(method, `/${reflection}/coded`, { 'accept-encoding': 'gzip' })
            assert.notEqual(headers['content-length'], `${CODED.length}`, method)
          }
        })
      }

      if (reflection !== 'refuse') {
        test(`body in an encoding that no platform decodes stays as it is, with reflection ${reflection}`, async () => {
          const { headers, body } = await ask('GET', `/${reflection}/dictionary`)
          assert.equal(headers['content-encoding'], 'dcb')
          assert.ok(body.equals(TEXT))
        })
      }

      test(`body is not compressed unless requested, with reflection ${reflection}`, async () => {
        const { headers, body } = await ask('GET', `/${reflection}/coded`)
        assert.equal(headers['content-encoding'], undefined)
        assert.ok(body.equals(TEXT))
      })
    }

    for (const path of ['large', 'large-known']) {
      test(`body of many chunks arrives whole (${path})`, async () => {
        const { status, body } = await ask('GET', `/refuse/${path}`)
        assert.equal(status, 200)
        assert.ok(body.equals(LARGE))
      })
    }

    /** Reads a response that the upstream sends in pieces. It sends the second one when the first was read. */
    const read = (path, lengths) =>
      new Promise((resolve) => {
        const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
        // A response that breaks off ends its connection, so no other request may use it.
        const options = { agent: false, headers: { cookie, 'x-strongroom': '1' } }
        const request = open(`${app.urls[0]}${path}`, options)
        let given = ''
        request.on('error', () => resolve(given))
        request.on('response', (response) => {
          response.on('data', (chunk) => {
            given += chunk
            if (given.length >= lengths[0]) {
              lengths.shift()
              goOn()
            }
          })
          response.on('error', () => {})
          response.on('close', () => resolve(given))
        })
        request.end()
      })

    test('message without an end arrives before the next one', async () => {
      assert.equal(await read('/refuse/pieces', [11, 23]), 'one message and_another')
    })

    test('token that pauses after 10 characters is not completed', async () => {
      const given = await read('/refuse/pieces-of-token', [10])
      assert.equal(given, token.slice(0, 10))
    })

    test('upload has its length', async () => {
      const { status, body } = await ask('POST', '/refuse/upload', { 'content-length': TEXT.length }, TEXT)
      assert.equal(status, 200)
      const { length, size } = JSON.parse(body)
      assert.equal(size, TEXT.length)
      assert.equal(length, `${TEXT.length}`)
    })

    test('body of a GET is not forwarded', async () => {
      const { status, body } = await ask('GET', '/refuse/plain', { 'content-length': '3' }, 'abc')
      assert.equal(status, 200)
      assert.ok(body.equals(TEXT))
    })

    const bare = { 'x-bare': '1' }
    for (const method of ['POST', 'DELETE']) {
      test(`${method}: stream without length and transfer encoding arrives whole`, async () => {
        const { status, body } = await ask(
          method,
          '/refuse/upload',
          { ...bare, 'content-length': TEXT.length },
          TEXT,
        )
        assert.equal(status, 200)
        assert.equal(JSON.parse(body).size, TEXT.length)
      })
    }

    for (const [what, headers] of Object.entries({
      'request without a body': {},
      'stream without any byte': bare,
    })) {
      test(`DELETE: ${what} has none for the API`, async () => {
        const { status, body } = await ask('DELETE', '/refuse/item', headers)
        assert.equal(status, 200)
        const { length, ...rest } = JSON.parse(body)
        assert.deepEqual(rest, { coding: null, size: 0 })
        assert.ok(length === null || length === '0')
      })
    }
  })
}
