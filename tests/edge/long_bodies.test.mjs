// Long uploads and downloads through a route need no memory of their own: no layer of the platform may keep the body.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as open } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { ALL } from '../support/combinations.mjs'
import { startApp } from '../support/edge/app.mjs'
import { growthOf, processOn } from '../support/edge/memory.mjs'
import { startServer } from '../support/edge/child.mjs'
import { listen } from '../support/listen.mjs'

const MB = 1024 * 1024
const SIZE = ALL ? 2048 : 256
const PIECE = Buffer.alloc(MB, 'a line of a long file\n')
const time = { timeout: 300_000 }

/** The largest growth in megabytes. Garbage of a runtime that has not been collected yet counts, too. */
const MOST = 128

const PLATFORMS = {
  node: 'node-redis',
  workerd: 'durable-object',
  ...(ALL && { deno: 'deno-kv', bun: 'bun-redis' }),
}

/** Writes a long body, as fast as the other side reads it. */
const write = async (to) => {
  for (let i = 0; i < SIZE; i++) if (!to.write(PIECE)) await once(to, 'drain')
  to.end()
}

/** Reads a body, and returns its length in megabytes. */
const lengthOf = async (from) => {
  let bytes = 0
  for await (const piece of from) bytes += piece.length
  return bytes / MB
}

/** Sends a request with a long body. Returns the response's body. */
const upload = async (url, headers) => {
  const request = open(url, { method: 'POST', headers, agent: false })
  const arrived = once(request, 'response')
  await write(request)
  const [response] = await arrived
  assert.equal(response.statusCode, 200)
  const pieces = []
  for await (const piece of response) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

test('control: a server that keeps the body is noticed', time, async () => {
  const source = `
    import { createServer } from 'node:http'
    const server = createServer(async (request, response) => {
      const pieces = []
      for await (const piece of request) pieces.push(piece)
      response.end(String(Buffer.concat(pieces).length / ${MB}))
    })
    server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))`
  const server = await startServer(process.execPath, ['--input-type=module', '-e', source], {
    env: {},
    cwd: '/',
  })
  try {
    const url = `http://127.0.0.1:${server.said.port}/`
    const growth = await growthOf(server.pid, async () => assert.equal(await upload(url, {}), `${SIZE}`))
    assert.ok(growth > SIZE * 0.9, `${growth} MB`)
  } finally {
    await server.stop()
  }
})

for (const [platform, coordinator] of Object.entries(PLATFORMS)) {
  describe(`${platform}: long bodies`, time, () => {
    let app, upstream, visitor, server, headers
    before(async () => {
      upstream = await listen({
        async handler(request, response) {
          if (request.method === 'GET') return write(response)
          if (request.url === '/moved') {
            request.resume()
            return response.writeHead(307, { location: '/elsewhere' }).end()
          }
          response.end(`${await lengthOf(request)}`)
        },
      })
      app = await startApp(platform, {
        coordinator,
        isolates: 1,
        upstream: `${upstream.origin}/`,
      })
      visitor = app.visitor()
      await visitor.signIn()
      server = await processOn(Number(new URL(app.urls[0]).port))
      const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', origin: app.origin }
      // The first request of a process loads code.
      await visitor.call('/api/a', { method: 'POST', body: 'a' })
    }, time)
    after(async () => {
      await app?.stop()
      await upstream?.close()
    })

    for (const [what, more] of [
      ['of known length', { 'content-length': `${SIZE * MB}` }],
      ['in chunks', { 'transfer-encoding': 'chunked' }],
    ]) {
      test(`upload ${what} is not kept`, time, async () => {
        const url = `${app.urls[0]}/api/a`
        const growth = await growthOf(server, async () =>
          assert.equal(await upload(url, { ...headers, ...more }), `${SIZE}`),
        )
        assert.ok(growth < MOST, `${growth} MB`)
      })
    }

    test('download is not kept', time, async () => {
      const growth = await growthOf(server, async () => {
        const request = open(`${app.urls[0]}/api/a`, { headers, agent: false }).end()
        const [response] = await once(request, 'response')
        assert.equal(await lengthOf(response), SIZE)
      })
      assert.ok(growth < MOST, `${growth} MB`)
    })

    test('redirect of an upload is blocked and told', time, async () => {
      const response = await visitor.call('/api/moved', {
        method: 'POST',
        body: 'a'.repeat(100),
        headers: { 'transfer-encoding': 'chunked' },
      })
      assert.equal(response.status, 502)
      assert.equal((await response.json()).error.code, 'redirect_blocked')
    })
  })
}
