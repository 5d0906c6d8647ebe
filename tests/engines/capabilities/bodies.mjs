/** Tests of request and response bodies. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { call } from '../../support/engines/app.mjs'
import { waitFor } from '../../support/engines/driver.mjs'

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

const capabilities = [
  {
    name: 'responses: status, headers, 204, 304, HEAD, JSON, text',
    async see(scene) {
      const tab = await scene.user()
      const seen = await tab.evaluate(async (api) => {
        const orders = await auth.fetch(`${api}orders`)
        const text = await (await auth.fetch(`${api}status/404`)).text()
        const empty = await auth.fetch(`${api}status/204`)
        const unchanged = await auth.fetch(`${api}status/304`)
        const head = await auth.fetch(`${api}orders`, { method: 'HEAD' })
        return {
          orders: [orders.status, orders.headers.get('X-Rows'), (await orders.json()).length > 0, orders.url],
          text,
          empty: [empty.status, empty.body, await empty.text()],
          unchanged: unchanged.status,
          head: [head.status, await head.text()],
        }
      }, scene.app.api.url)
      assert.deepEqual(seen, {
        orders: [200, '3', true, `${scene.app.api.url}orders`],
        text: 'status 404\n',
        empty: [204, null, ''],
        unchanged: 304,
        head: [200, ''],
      })
    },
  },
  {
    name: 'a streamed response arrives chunk by chunk',
    async see(scene) {
      const tab = await scene.user()
      let next
      scene.app.api.on('pieces', async ({ response }) => {
        response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' })
        // The server sends each piece after the page has read the previous piece.
        for (const piece of ['one', 'two', 'three']) {
          const isRead = new Promise((resolve) => (next = resolve))
          // Each piece is padded with spaces. Otherwise the vault would hold back its last bytes, because they might be
          // the start of a token.
          response.write(`${piece.padEnd(1999)}\n`)
          await isRead
        }
        response.end()
      })
      await tab.evaluate(async (url) => {
        globalThis.pieces = ['']
        const { body } = await auth.fetch(url)
        const reader = body.pipeThrough(new TextDecoderStream()).getReader()
        const read = async () => {
          for (;;) {
            const { done, value } = await reader.read()
            if (done) return void (globalThis.isDone = true)
            pieces[0] += value
          }
        }
        void read()
      }, `${scene.app.api.url}on/pieces`)
      for (const count of [1, 2, 3]) {
        await waitFor(tab, (length) => pieces[0].length === length, count * 2000)
        next()
      }
      await waitFor(tab, () => globalThis.isDone)
    },
  },
  {
    // claim: api-5
    name: 'the length of a searched body reaches the page only with the whole body',
    async see(scene) {
      const tab = await scene.user()
      const { api } = scene.app
      let late
      api.on('whole', ({ request, response }) => {
        const body = gzipSync('x'.repeat(1000))
        response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length })
        response.end(request.method === 'HEAD' ? undefined : body)
      })
      api.on('late', ({ response }) => {
        late = response
        response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Content-Length': 5 })
        // Firefox reports the head of a response when the first byte of its body arrives.
        response.write('l')
      })
      api.on('go-on', ({ response }) => {
        late.end('ate\n')
        response.writeHead(204).end()
      })
      const seen = await tab.evaluate(async (url) => {
        const look = async (name, method, then) => {
          const response = await auth.fetch(url + name, { method })
          if (then) await auth.fetch(url + then)
          return [response.headers.get('content-length') !== null, (await response.text()).length]
        }
        return {
          GET: await look('whole', 'GET'),
          HEAD: await look('whole', 'HEAD'),
          late: await look('late', 'GET', 'go-on'),
        }
      }, `${api.url}on/`)
      assert.deepEqual(seen, { GET: [true, 1000], HEAD: [false, 0], late: [false, 5] })
    },
  },
  {
    name: 'how a response’s body reaches the page',
    async see(scene) {
      const tab = await scene.user()
      const isTransferable = await tab.evaluate(() => {
        const { port1 } = new MessageChannel()
        const stream = new ReadableStream()
        try {
          port1.postMessage(stream, [stream])
          return true
        } catch {
          return false
        }
      })
      return isTransferable
        ? 'by message, though streams can be transferred'
        : 'by message: streams cannot be transferred'
    },
  },
  {
    name: '16 MiB arrive whole',
    async see(scene) {
      const tab = await scene.user()
      const size = 16 * 1024 * 1024
      const length = await tab.evaluate(
        async (url) => (await (await auth.fetch(url)).arrayBuffer()).byteLength,
        `${scene.app.api.url}bytes?size=${size}`,
      )
      assert.equal(length, size)
    },
  },
  {
    name: 'a stopped reader stops the server',
    async see(scene) {
      const { app } = scene
      const tab = await scene.user()
      await tab.evaluate(
        async (url) => {
          globalThis.held = (await auth.fetch(url)).body.getReader()
          await held.read()
        },
        `${app.api.url}bytes?size=${1024 * 1024 * 1024}`,
      )
      const [request] = app.api.requests
      await tab.evaluate(() => held.cancel())
      await request.closed
      assert.equal(request.aborted, true)
    },
  },
  {
    name: 'an abort reaches the API, and rejects with its reason',
    async see(scene) {
      const { app } = scene
      const tab = await scene.user()
      let arrived
      const isThere = new Promise((resolve) => (arrived = resolve))
      app.api.on('waiting', ({ response }) => {
        arrived()
        return new Promise((resolve) => response.on('close', resolve))
      })
      await tab.evaluate((url) => {
        globalThis.aborter = new AbortController()
        globalThis.outcome = settle(auth.fetch(url, { signal: aborter.signal }))
      }, `${app.api.url}on/waiting`)
      await isThere
      const { error } = await tab.evaluate(() => {
        aborter.abort()
        return outcome
      })
      assert.equal(error.name, 'AbortError')
      await app.api.requests[0].closed
      assert.equal(app.api.requests[0].aborted, true)
    },
  },
  {
    name: 'a network failure is a `TypeError`',
    async see(scene) {
      const tab = await scene.user()
      scene.app.api.on('cut', ({ response }) => response.destroy())
      const { error } = await call(tab, `${scene.app.api.url}on/cut`)
      assert.equal(error.isTypeError, true)
    },
  },
  {
    name: 'uploads: text, bytes, `Blob`, `URLSearchParams`',
    async see(scene) {
      const tab = await scene.user()
      const seen = await tab.evaluate(async (url) => {
        const bodies = {
          text: 'grüße',
          bytes: new Uint8Array([0, 255, 1]),
          blob: new Blob(['x'.repeat(200_000)], { type: 'image/x-test' }),
          parameters: new URLSearchParams([
            ['a', '1'],
            ['a', '2'],
          ]),
        }
        const entries = Object.entries(bodies).map(async ([name, body]) => {
          const { type, size, sha256 } = await (await auth.fetch(url, { method: 'POST', body })).json()
          return [name, [type, size, sha256]]
        })
        return Object.fromEntries(await Promise.all(entries))
      }, `${scene.app.api.url}upload`)
      assert.deepEqual(seen, {
        text: ['text/plain;charset=UTF-8', 7, sha256('grüße')],
        bytes: [null, 3, sha256(Buffer.from([0, 255, 1]))],
        blob: ['image/x-test', 200_000, sha256('x'.repeat(200_000))],
        parameters: ['application/x-www-form-urlencoded;charset=UTF-8', 7, sha256('a=1&a=2')],
      })
    },
  },
  {
    name: 'uploads: `FormData` with files and repeated names',
    async see(scene) {
      const tab = await scene.user()
      const { fields } = await tab.evaluate(async (url) => {
        const body = new FormData()
        body.append('tag', 'a')
        body.append('tag', 'b')
        body.append('"quoted"\n', 'x\ny')
        body.append('file', new File(['x'.repeat(100_000)], 'näme.txt', { type: 'text/x-test' }))
        return (await auth.fetch(url, { method: 'POST', body })).json()
      }, `${scene.app.api.url}upload`)
      assert.deepEqual(fields, [
        { name: 'tag', value: 'a' },
        { name: 'tag', value: 'b' },
        { name: '"quoted"\r\n', value: 'x\r\ny' },
        { name: 'file', file: 'näme.txt', type: 'text/x-test', size: 100_000 },
      ])
    },
  },
  {
    name: 'uploads from a stream, over HTTP/1.1',
    async see(scene) {
      const tab = await scene.user()
      const outcome = await tab.evaluate((url) => {
        const body = new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode('piece'))
            controller.close()
          },
        })
        const answer = auth.fetch(url, { method: 'POST', body, duplex: 'half' })
        return settle(answer.then((response) => response.json()))
      }, `${scene.app.api.url}upload`)
      const { value, error } = outcome
      if (value) {
        assert.equal(value.sha256, sha256('piece'))
        return 'sent'
      }
      // The request must not reach the API with another body.
      assert.deepEqual(scene.app.api.requests, [])
      return error.code ? `\`${error.code}\`` : `\`${error.name}\``
    },
  },
]

/** @type {import('../suite.mjs').Group[]} */
export const bodies = [{ name: 'bodies', app: { provider: { accessTokenSeconds: 3600 } }, capabilities }]
