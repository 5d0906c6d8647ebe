/** The other server of the test of exits, which must not get data from the app's page. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { startTls } from '../edge/tls.mjs'
import { listen } from '../listen.mjs'

/** Headers that let every page send its requests. */
const PERMISSIVE = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': '*',
  'Content-Type': 'text/plain',
}

/** Functions that open a port which a single attempt uses. They call `note` when something arrives. */
const OPEN = {
  async tcp(note) {
    const server = createServer((socket) => {
      note()
      socket.destroy()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return server
  },
  async udp(note) {
    const socket = createSocket('udp4').on('message', note)
    await once(socket.bind(0, '127.0.0.1'), 'listening')
    return socket
  },
}

/** Starts the HTTP server. It calls `note` with the path of each request, and accepts no WebSocket. */
const startHttp = (note) =>
  listen({
    handler({ url }, response) {
      note(url)
      response.writeHead(200, PERMISSIVE)
      response.end()
    },
    upgrade({ url }, socket) {
      note(url)
      socket.destroy()
    },
  })

/** Starts a DNS server over HTTPS (RFC 8484). It calls `note` with each query, and knows no name. */
async function startDns(note) {
  const server = await listen({
    handler({ url }, response) {
      const message = Buffer.from(new URL(url, 'http://dns').searchParams.get('dns'), 'base64url')
      note(message.toString('latin1'))
      // The flags of a response that says that the name does not exist (RFC 1035 4.1.1).
      message.writeUInt16BE(0x8183, 2)
      response.writeHead(200, { 'Content-Type': 'application/dns-message' })
      response.end(message)
    },
  })
  const tls = await startTls({ host: '127.0.0.1' })
  tls.forwardTo(server.origin)
  return {
    template: `${tls.origin}/dns-query{?dns}`,
    spki: tls.spki,
    close: () => Promise.all([tls.close(), server.close()]),
  }
}

/**
 * Starts the other server.
 *
 * @param {{ resolves?: boolean }} [options] With `resolves: false`, the server resolves no names.
 */
export async function startOther({ resolves = true } = {}) {
  const expected = new Set()
  const arrived = new Set()
  /** The open ports that a single attempt uses, by its secret. */
  const ports = new Map()
  const note = (text) => {
    for (const secret of expected) if (text.includes(secret)) arrived.add(secret)
  }
  const http = await startHttp(note)
  const dns = resolves ? await startDns(note) : undefined

  /**
   * Resolves with what an attempt to send a secret needs. With `by`, the attempt gets a port of its own, and whatever
   * arrives there is its secret.
   *
   * @param {'tcp' | 'udp'} [by]
   * @param {string} [prefix] The beginning of the secret.
   */
  async function expect(by, prefix = '') {
    const secret = prefix + randomBytes(8).toString('hex')
    expected.add(secret)
    const opened = await OPEN[by]?.(() => arrived.add(secret))
    if (opened) ports.set(secret, opened)
    const port = opened?.address().port ?? http.port
    const path = `127.0.0.1:${port}/${secret}`
    return {
      secret,
      port,
      url: `http://${path}`,
      socket: `ws://${path}`,
      sameSite: `http://localhost:${port}/${secret}`,
      host: `${secret}.exit.test`,
    }
  }

  /** Ends an attempt: nothing more of it counts. */
  function forget(secret) {
    for (const secrets of [expected, arrived]) secrets.delete(secret)
    ports.get(secret)?.close()
    ports.delete(secret)
  }

  async function close() {
    for (const port of ports.values()) port.close()
    await Promise.all([http.close(), dns?.close()])
  }

  return { dns, expect, hasArrived: (secret) => arrived.has(secret), forget, close }
}
