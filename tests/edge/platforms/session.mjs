import assert from 'node:assert/strict'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { after, before, describe, test } from 'node:test'
import { startApp } from '../../support/edge/app.mjs'

/** A frame of Zstandard (RFC 8878) with one block that is not compressed. */
const zstd = (plain) => {
  const header = Buffer.alloc(3)
  header.writeUIntLE((plain.length << 3) | 1, 0, 3)
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58]), header, plain])
}

/** Values of `Content-Encoding`, and what an API sends with them. */
const ENCODERS = {
  'utf-8': (plain) => plain,
  none: (plain) => plain,
  Identity: (plain) => plain,
  gzip: gzipSync,
  'x-gzip': gzipSync,
  GZIP: gzipSync,
  br: brotliCompressSync,
  Br: brotliCompressSync,
  deflate: deflateSync,
  zstd,
  'gzip, gzip': (plain) => gzipSync(gzipSync(plain)),
  'x-compress': gzipSync,
  'utf-8;q=1': (plain) => plain,
}
const SAME = ['utf-8', 'none', 'Identity', 'gzip', 'br']
const OF_NODE = [...SAME, 'x-gzip', 'GZIP', 'Br', 'deflate']
const [major, minor] = process.versions.undici.split('.').map(Number)
const hasZstd = major > 7 || (major === 7 && minor >= 11)

/** The values with which a platform's `fetch` returns what the API has encoded. */
const DECODED = {
  node: [...OF_NODE, ...(hasZstd ? ['zstd'] : [])],
  edgeRuntime: OF_NODE,
  bun: [...OF_NODE, 'zstd'],
  deno: [...SAME, 'GZIP', 'Br'],
  workerd: SAME,
}

/**
 * Tests one session on a platform, and what its `fetch` makes of the encodings of an API.
 *
 * @param {keyof typeof import('../../support/edge/platforms.mjs').PLATFORMS} platform
 * @param {string} coordinator
 */
export function sessionSuite(platform, coordinator) {
  describe(`${platform}: a session, with ${coordinator}`, { concurrency: 1, timeout: 120_000 }, () => {
    let app
    before(async () => {
      app = await startApp(platform, { coordinator, isolates: 2 })
    })
    after(() => app?.stop())

    const signedIn = async () => {
      const visitor = app.visitor()
      await visitor.signIn({ returnTo: '/orders', until: ({ pathname }) => pathname === '/orders' })
      return visitor
    }

    test('login, calls in both isolates, a refresh, and a logout', async () => {
      const { ledger, settings } = app.provider
      settings.accessTokenSeconds = 2
      const visitor = await signedIn()
      settings.accessTokenSeconds = 300
      await app.provider.letAccessTokenExpire()
      for (const isolate of [0, 1]) {
        const body = JSON.stringify({ item: 'lantern', quantity: 2 })
        const headers = { 'content-type': 'application/json' }
        const response = await visitor.call('/api/orders', { method: 'POST', body, headers, isolate })
        assert.equal(response.status, 201, JSON.stringify(await app.told()))
        const call = app.api.requests.at(-1)
        assert.match(call.headers.authorization, /^Bearer eyJ/)
        assert.equal(call.headers.cookie, undefined)
      }
      assert.equal(ledger.refreshes().length, 1)
      const copy = visitor.copy()
      assert.equal((await visitor.call('/auth/logout', { method: 'POST' })).status, 200)
      assert.deepEqual(await visitor.session(), { session: null })
      assert.equal((await copy.call('/api/me')).status, 401)
    })

    for (const [coding, encode] of Object.entries(ENCODERS)) {
      const isDecoded = DECODED[platform].includes(coding)
      // claim: handler-33
      test(`token in an undecoded encoding is refused, and in others found: ${coding}`, async () => {
        const visitor = await signedIn()
        let plain
        app.api.on('coded', ({ response, entry }) => {
          const body = encode(Buffer.from(plain ?? entry.authorization))
          response.writeHead(200, { 'Content-Encoding': coding, 'Content-Length': body.length }).end(body)
        })
        plain = 'a harmless text'
        const response = await visitor.call('/api/on/coded')
        assert.equal(response.headers.get('content-encoding'), null)
        if (isDecoded) assert.equal(await response.text(), plain)
        else {
          assert.equal(response.status, 502)
          assert.equal((await response.json()).error.code, 'upstream_unavailable')
        }
        plain = undefined
        // The handler cuts the response off, but not every platform reports this to the client.
        const text = await visitor
          .call('/api/on/coded')
          .then((response) => response.text())
          .catch(() => '')
        assert.doesNotMatch(text, /Bearer/)
      })
    }

    test('log names the first encoding that the platform does not decode', async () => {
      const coding = Object.keys(ENCODERS).find((coding) => !DECODED[platform].includes(coding))
      const lines = (await app.told()).filter(({ message }) => /Content-Encoding/.test(message))
      assert.deepEqual(
        lines.map(({ message }) => message.slice(message.lastIndexOf(': ') + 2)),
        [`'${coding}'`],
      )
    })
  })
}
