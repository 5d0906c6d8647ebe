// A body is searched for the access token in chunks, and each chunk is forwarded as it was received. These tests choose
// the chunks: they replace the `fetch` that reaches the upstream.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const time = { timeout: 60_000 }
const UPSTREAM = 'https://api.example.com/'
/** The number of bytes that the core searches at once. */
const PIECE = 64 * 1024
const { fetch } = globalThis
const bytesOf = (text) => new TextEncoder().encode(text)
let app, handler, cookie, token, chunks

/** Responds with `chunks`, which are functions of the token, or bytes. */
const respond = (_url, { headers }) => {
  token = headers.get('authorization').replace(/^\w+ /, '')
  const left = chunks(token)
  const body = new ReadableStream({
    pull(controller) {
      const chunk = left.shift()
      if (chunk) controller.enqueue(chunk)
      else controller.close()
    },
  })
  return new Response(body)
}

before(async () => {
  globalThis.fetch = async (url, init) =>
    `${url}`.startsWith(UPSTREAM) ? respond(url, init) : fetch(url, init)
  const create = (config) => (handler = createTokenHandler(config))
  app = await startInProcess(create, {
    accessTokenSeconds: 600,
    handler: { coordinator: inIsolate(), routes: [{ prefix: '/api/', upstream: UPSTREAM }] },
  })
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
}, time)
after(async () => {
  globalThis.fetch = fetch
  await app?.close()
})

/** Requests a body with these chunks. Resolves with the bytes that arrive, and says if the body breaks off. */
const ask = async (made, onChunk = () => {}) => {
  chunks = made
  const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }
  const { status, body } = await handler.fetch(new Request(`${app.place.origin}/api/a`, { headers }))
  assert.equal(status, 200)
  const given = []
  try {
    for await (const chunk of body) {
      given.push(Buffer.from(chunk))
      onChunk(chunk)
    }
  } catch ({ code }) {
    return { isBroken: true, code, given: Buffer.concat(given) }
  }
  return { isBroken: false, given: Buffer.concat(given) }
}

/** Returns parts of a text, which is cut at these positions. */
const cutAt = (text, ...at) =>
  [0, ...at].map((start, i) => bytesOf(text.slice(start, at[i]))).filter((part) => part.length)

// claim: handler-33
test('token over three chunks is found wherever it is cut', time, async () => {
  await ask(() => [])
  const step = Math.ceil(token.length / 12)
  for (let first = 0; first <= token.length; first += step) {
    for (let second = first; second <= token.length; second += step) {
      const { code, given } = await ask((token) =>
        cutAt(`say: ${token} and more`, 5 + first, 5 + second, 5 + token.length),
      )
      assert.equal(code, 'token_reflected', `cut at ${first} and ${second}`)
      assert.equal(`${given}`, 'say: '.slice(0, given.length))
    }
  }
})

// claim: handler-33
test('token at the end of what is searched at once is found in a large chunk', time, async () => {
  for (const at of [PIECE - 1, PIECE - 40, PIECE, 2 * PIECE - 5, 3 * PIECE - 1]) {
    const { code, given } = await ask((token) => [
      bytesOf(`${' '.repeat(at)}${token}${' '.repeat(PIECE)}`),
      bytesOf('more'),
    ])
    assert.equal(code, 'token_reflected', `at ${at}`)
    // No part of the chunk is forwarded.
    assert.equal(given.length, 0)
  }
})

test('body of any chunks arrives unchanged', time, async () => {
  for (const alphabet of ['base64', 'latin1']) {
    // Letters may always be the beginning of a token, so that bytes are held back after each chunk.
    const text = randomBytes(400_000).toString(alphabet)
    const body = Buffer.from(text, 'latin1')
    for (const sizes of [[1, 2, 3, 5000], [100_000], [PIECE, 7, PIECE + 1, 300_000], [10, 20_000]]) {
      const made = []
      for (let at = 0, i = 0; at < body.length; i++) {
        const size = sizes[i % sizes.length]
        made.push(new Uint8Array(body.subarray(at, at + size)))
        at += size
      }
      // The receiver takes the memory of each chunk, as streams of bytes do.
      const { isBroken, given } = await ask(
        () => made,
        (chunk) => structuredClone(chunk.buffer, { transfer: [chunk.buffer] }),
      )
      assert.ok(!isBroken && given.equals(body), `${alphabet}, ${sizes}`)
    }
  }
})

test('chunks of another kind of view are searched as they are forwarded', time, async () => {
  const other = (text) => new Uint16Array(bytesOf(text.padEnd(text.length + (text.length % 2))).buffer)
  const { code, given } = await ask((token) => [other(`say: ${token}!`)])
  assert.equal(code, 'token_reflected')
  assert.equal(given.length, 0)
  const passed = await ask(() => [other('two words'), other(' and more')])
  assert.equal(`${passed.given}`, 'two words  and more ')
})

test('body that does not consist of bytes breaks off', time, async () => {
  for (const chunk of ['a text', new ArrayBuffer(8), 5]) {
    const { isBroken, given } = await ask(() => [bytesOf('say: '), chunk])
    assert.deepEqual([isBroken, `${given}`], [true, 'say: '])
  }
})

test('a chunk is forwarded without a copy', time, async () => {
  const chunk = bytesOf('a line of text\n'.repeat(10_000))
  const received = []
  await ask(
    () => [chunk, bytesOf('end')],
    ({ buffer }) => received.push(buffer),
  )
  assert.equal(received[0], chunk.buffer)
})
