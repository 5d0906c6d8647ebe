import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { request as open } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { conformance } from '../../../pkg/dist/edge/conformance.js'
import { WHOLE } from '../../support/combinations.mjs'
import { PLATFORMS } from '../../support/edge/platforms.mjs'
import { listen } from '../../support/listen.mjs'
import { overHttp } from './over_http.mjs'
import { sessionSuite } from './session.mjs'

/**
 * Tests that a platform meets the requirements of the token handler, with one session and each coordinator.
 *
 * @param {keyof typeof PLATFORMS} name
 * @param {{ coordinators: string[], others?: string[] }} options `coordinators`: each coordinator is tested with two
 *   isolates, but `in-isolate` with one isolate. `others`: those that the usual run leaves out here.
 */
export function suite(name, { coordinators, others = [] }) {
  // Each part starts servers of its own, and mostly waits for tokens and entries that expire.
  describe(name, { concurrency: true, timeout: 180_000 }, () => {
    basics(name)
    sessionSuite(name, coordinators[0])
    for (const coordinator of [...coordinators, ...(WHOLE ? others : [])]) {
      const isolates = coordinator === 'in-isolate' ? 1 : 2
      describe(`${name}: ${coordinator}, isolates: ${isolates}`, { concurrency: 8, timeout: 120_000 }, () => {
        let running
        before(async () => {
          const app = new URL('../apps/store.mjs', import.meta.url)
          running = await PLATFORMS[name].start({ app, coordinator, isolates })
        })
        after(() => running?.stop())
        let turn = 0
        const make = () => overHttp(running.urls[turn++ % isolates])
        const expiresLate = coordinator === 'deno-kv'
        // claim: handler-79
        for (const { name, run } of conformance(make, { expiresLate, timeout: 60_000 })) test(name, run)
      })
    }
  })
}

function basics(name) {
  describe(`${name}: requirements of a token handler`, { concurrency: 1, timeout: 60_000 }, () => {
    let running, url, upstream
    before(async () => {
      upstream = await startEndless()
      const app = new URL('../apps/basics.mjs', import.meta.url)
      const env = { GREETING: 'hello', UPSTREAM: upstream.origin }
      running = await PLATFORMS[name].start({ app, env, coordinator: 'in-isolate', isolates: 1 })
      ;[url] = running.urls
    })
    after(async () => {
      await running?.stop()
      await upstream?.close()
    })
    const get = (path, options) => fetch(`${url}${path}`, options)
    const seen = async () => (await get('/seen')).json()

    test('configuration arrives in env', async () => {
      assert.equal(await (await get('/env')).text(), 'hello')
    })

    test('request has method, URL and headers', async () => {
      const response = await get('/request?a=%2F&b=//x', { headers: { 'X-One': 'two', Cookie: 'c=3; d=4' } })
      const { method, url: address, headers } = await response.json()
      assert.equal(method, 'GET')
      assert.equal(address, `${url}/request?a=%2F&b=//x`)
      const { 'x-one': one, cookie } = Object.fromEntries(headers)
      assert.deepEqual({ one, cookie }, { one: 'two', cookie: 'c=3; d=4' })
    })

    test('each cookie has its own header', async () => {
      const response = await get('/cookies')
      assert.equal(response.status, 204)
      assert.deepEqual(response.headers.getSetCookie(), [
        'a=1; Path=/; HttpOnly',
        'b=2; Path=/; Expires=Wed, 21 Oct 2065 07:28:00 GMT',
      ])
    })

    test('redirect is passed to the browser', async () => {
      const response = await get('/redirect', { redirect: 'manual' })
      assert.equal(response.status, 302)
      assert.equal(response.headers.get('location'), '/elsewhere?a=b')
    })

    test('bodies are streamed in both directions', async () => {
      const request = open(`${url}/echo`, { method: 'POST' })
      const responded = once(request, 'response')
      request.write('one')
      const [response] = await responded
      const pieces = response[Symbol.asyncIterator]()
      const next = async () => (await pieces.next()).value?.toString()
      assert.equal(await next(), 'one')
      request.write('two')
      assert.equal(await next(), 'two')
      request.end('three')
      assert.equal(await next(), 'three')
      assert.equal((await pieces.next()).done, true)
    })

    test('16 MB body returns unchanged', async () => {
      const body = new Uint8Array(16 << 20).map((_none, index) => (index * 31) >> 3)
      const response = await get('/echo', { method: 'POST', body })
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(body)))
    })

    test('endless response is canceled on disconnect', async () => {
      const asked = once(upstream.events, 'asked')
      const client = new AbortController()
      const response = await get('/through', { signal: client.signal })
      const [forwarded] = await asked
      const { value } = await response.body.getReader().read()
      assert.match(new TextDecoder().decode(value), /^: open/)
      const closed = once(forwarded, 'close')
      client.abort()
      await closed
    })

    test('work after the response is finished', async () => {
      const { later } = await seen()
      await get('/later')
      await until(async () => (await seen()).later > later)
    })
  })
}

/** Starts a server whose responses do not end. Its `events` emits `asked` for each request. */
async function startEndless() {
  const events = new EventEmitter()
  const server = await listen({
    handler(_request, response) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': open\n\n')
      // Some platforms notice a disconnect only when they write.
      const timer = setInterval(() => response.write(': still here\n\n'), 50)
      response.on('close', () => clearInterval(timer))
      events.emit('asked', response)
    },
  })
  return { ...server, events }
}

/** Polls until a condition holds, because an isolate does not report changes of its state. */
async function until(isSo) {
  const end = Date.now() + 20_000
  while (!(await isSo())) if (Date.now() > end) assert.fail(`not seen within 20 seconds: ${isSo}`)
}
