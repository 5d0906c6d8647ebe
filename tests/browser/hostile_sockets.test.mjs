// Hostile messages of an API's sockets, in the frames of RFC 6455: a compressed message that is far larger than the
// limit, a message without an end, and messages without a pause.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { constants, deflateRawSync } from 'node:zlib'
import { call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }
const MB = 1024 * 1024

/** The value that a server appends to the key of a handshake (RFC 6455 1.3). */
const SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

let app, page, server, url

/** Returns a frame with binary content of at least 64 KB. `first`: FIN, RSV1 and the opcode. */
function frame(first, payload) {
  const head = Buffer.alloc(10)
  head.writeUInt8(first, 0)
  head.writeUInt8(127, 1)
  head.writeBigUInt64BE(BigInt(payload.length), 2)
  return Buffer.concat([head, payload])
}

const [WHOLE, COMPRESSED, BEGIN, CONTINUE] = [0x82, 0xc2, 0x02, 0x00]

/** Sends frames until the socket ends, or until there were 256 MB. */
async function send(socket, first, next) {
  const closed = once(socket, 'close')
  socket.write(frame(first, Buffer.alloc(MB)))
  for (let sent = MB; sent < 256 * MB && !socket.destroyed; sent += MB) {
    if (!socket.write(frame(next, Buffer.alloc(MB)))) {
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed])
    }
  }
}

const KINDS = {
  bomb: (socket) => {
    const zeros = deflateRawSync(Buffer.alloc(128 * MB), { finishFlush: constants.Z_SYNC_FLUSH })
    // RFC 7692 7.2.1: the end of a flush is left out.
    socket.write(frame(COMPRESSED, zeros.subarray(0, -4)))
  },
  endless: (socket) => send(socket, BEGIN, CONTINUE),
  flood: (socket) => send(socket, WHOLE, WHOLE),
}

before(async () => {
  server = createServer()
  server.on('upgrade', ({ headers, url: path }, socket) => {
    socket.on('error', () => {})
    // The page's only frame closes the socket.
    socket.on('data', () => socket.destroy())
    const kind = new URL(path, 'ws://api').searchParams.get('kind')
    const accept = createHash('sha1')
      .update(headers['sec-websocket-key'] + SUFFIX)
      .digest('base64')
    const extension = kind === 'bomb' ? 'Sec-WebSocket-Extensions: permessage-deflate\r\n' : ''
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${extension}\r\n`,
    )
    // The vault first tries the address without its query.
    KINDS[kind]?.(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `ws://127.0.0.1:${server.address().port}/live/`
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  app.site.connectSrc.push(new URL(url).origin)
  const rule = { url: url.replace('ws', 'http'), webSocket: { token: 'query' } }
  app.setConfig({ apis: [...app.config.apis, rule] })
  page = await app.open()
  await signIn(page)
}, time)
after(async () => {
  await app?.close()
  server?.close()
  server?.closeAllConnections()
})

/** Opens a socket. Resolves with its close event and the bytes that arrived, when it has closed or after `enough`. */
const receive = (kind, enough) =>
  page.evaluate(
    ([address, most]) =>
      new Promise((resolve) => {
        let bytes = 0
        const socket = auth.webSocket(address)
        socket.binaryType = 'arraybuffer'
        socket.onmessage = ({ data }) => {
          bytes += data.byteLength
          if (bytes >= most) socket.close()
        }
        socket.onclose = ({ code, reason }) => resolve({ code, reason, bytes })
      }),
    [`${url}?kind=${kind}`, enough],
  )

/** The session continues. */
const works = async () => assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)

// claim: api-9
test('a compressed message over the limit closes its socket only', time, async () => {
  const closed = await receive('bomb', Infinity)
  assert.deepEqual(closed, { code: 4009, reason: 'limit_exceeded', bytes: 0 })
  await works()
})

// claim: api-9
test('a message without an end does not stop other calls', time, async () => {
  await page.evaluate(
    (address) =>
      new Promise((resolve) => {
        globalThis.endless = auth.webSocket(address)
        endless.onopen = resolve
      }),
    `${url}?kind=endless`,
  )
  await works()
  await page.evaluate(() => endless.close())
})

// claim: api-9
test('a page can leave a socket whose messages never pause', time, async () => {
  const { bytes } = await receive('flood', 32 * MB)
  assert.ok(bytes >= 32 * MB)
  await works()
})
