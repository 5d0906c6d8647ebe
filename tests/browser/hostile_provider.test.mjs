// Responses of a provider, or of an attacker in its place, that are expensive to read. The vault does not read them to
// their end. The login fails with an error code, and the next login succeeds.
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { after, afterEach, before, test } from 'node:test'
import { createGzip } from 'node:zlib'
import { signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp({ config: { requestTimeout: 2 } })
})
after(() => app?.close())
afterEach(() => app.provider.faults.clear())

const MEGABYTE = 1024 * 1024

/**
 * Returns an object with three members. `make()` creates the stream. `bytes` is the number of bytes that were taken
 * from the stream so far. `ended` resolves when the stream has closed: with `read` if the stream was read
 * to its end, and otherwise with `given up`.
 */
function watched(chunks) {
  const source = { bytes: 0 }
  source.ended = new Promise((resolve) => {
    source.make = () => {
      const stream = chunks()
      stream.on('data', (chunk) => (source.bytes += chunk.length))
      stream.on('close', () => resolve(stream.readableEnded ? 'read' : 'given up'))
      return stream.pause()
    }
  })
  return source
}

const SIZES = { objectMode: false, highWaterMark: 64 * 1024 }

/**
 * Returns a body that repeats these chunks without an end. A finite body might be sent completely before the vault
 * cancels it, because network buffers hold many megabytes (up to 36 on Linux), and a server can write to a closed
 * connection until it notices the end.
 */
function endless(chunks) {
  return new Readable({
    ...SIZES,
    read() {
      const { value, done } = chunks.next()
      if (!done) this.push(value)
    },
  })
}

/** Yields JSON of this length, or JSON without an end. */
function* text(bytes = Infinity) {
  yield '{"access_token":"'
  const chunk = Buffer.alloc(64 * 1024, 'a')
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk
  yield '","token_type":"Bearer"}'
}

async function* drops() {
  yield '{'
  for (;;) {
    yield ' '
    await new Promise((next) => setTimeout(next, 100))
  }
}

const ANSWERS = {
  'ten megabytes': { chunks: () => endless(text(10 * MEGABYTE)), code: 'token_response_invalid' },
  'more and more': { chunks: () => endless(text()), code: 'token_response_invalid' },
  'a few bytes now and then': { chunks: () => Readable.from(drops(), SIZES), code: 'provider_unavailable' },
}

for (const [name, { chunks, code }] of Object.entries(ANSWERS)) {
  // claim: provider-3
  test(`the token endpoint responds with ${name}`, time, async () => {
    const source = watched(chunks)
    const page = await app.open()
    const headers = { 'Content-Type': 'application/json' }
    app.provider.faults.add('token', { answer: { headers, body: source.make } })
    const { error } = await signIn(page)
    assert.equal(error.code, code)
    assert.equal(await source.ended, 'given up')
    // This includes bytes that the browser and the network have buffered but the core did not receive.
    assert.ok(source.bytes < 64 * MEGABYTE, `${source.bytes} bytes were taken`)
    assert.deepEqual(await signIn(await app.open()), { value: { returnTo: '/' } })
  })
}

test('the token endpoint responds with a gigabyte compressed to one megabyte', time, async () => {
  const source = watched(() => Readable.from(text(1024 * MEGABYTE), SIZES))
  const page = await app.open()
  const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }
  const body = () => source.make().pipe(createGzip())
  app.provider.faults.add('token', { answer: { headers, body } })
  const { error } = await signIn(page)
  assert.equal(error.code, 'token_response_invalid')
  assert.deepEqual(await signIn(await app.open()), { value: { returnTo: '/' } })
})

// claim: provider-3
test('keys and metadata that are too long are ignored', time, async () => {
  for (const endpoint of ['discovery', 'jwks']) {
    const context = await app.browser.newContext()
    const page = await app.open('/', context)
    const headers = { 'Content-Type': 'application/json' }
    app.provider.faults.add(endpoint, {
      times: 10,
      answer: { headers, body: () => Readable.from(text(2 * MEGABYTE)) },
    })
    const { error } = endpoint === 'discovery' ? await login(page) : await signIn(page)
    assert.ok(['metadata_invalid', 'provider_unavailable'].includes(error.code), error.code)
    app.provider.faults.clear()
    await context.close()
  }
})

/** Resolves with the result of a login that fails before the page navigates to the provider. */
const login = (page) => page.evaluate(() => boot.then(() => settle(auth.login())))
