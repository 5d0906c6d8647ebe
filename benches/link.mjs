/** A slow link on loopback: proxies in front of servers, which share one bandwidth. */
import { connect, createServer } from 'node:net'
import { once } from 'node:events'

/**
 * Starts a link with this round-trip time in milliseconds, and this download bandwidth in megabits per second, which all
 * servers behind the link share. The upload bandwidth is unlimited. A connection costs one round trip before its first
 * request. The link has neither the slow start of TCP nor TLS.
 *
 * @param {{ megabits: number, roundTrip: number }} options
 */
export function startLink({ megabits, roundTrip }) {
  const bytesPerMillisecond = (megabits * 1e6) / 8 / 1000
  const servers = []
  /** The time at which everything that was sent so far has been received. */
  let freeAt = 0

  const receive = (bytes) => {
    freeAt = Math.max(freeAt, performance.now()) + bytes / bytesPerMillisecond
    return freeAt + roundTrip / 2
  }

  /**
   * Opens a public origin.
   *
   * @param {string} host The host in this origin, which must be a name of loopback.
   */
  async function open(host = '127.0.0.1') {
    let target
    const server = createServer((browser) => {
      const { hostname, port } = new URL(target)
      const upstream = connect(Number(port), hostname)
      const connectedAt = performance.now() + roundTrip
      pipe(browser, upstream, () => Math.max(connectedAt, performance.now()) + roundTrip / 2)
      pipe(upstream, browser, receive)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
    return {
      origin: `http://${host}:${server.address().port}`,
      forwardTo: (origin) => void (target = origin),
    }
  }

  return { open, close: () => servers.forEach((server) => server.close()) }
}

/** Passes everything from one socket to the other, at the times that `arrival` returns for numbers of bytes. */
function pipe(from, to, arrival) {
  let last = 0
  const later = (bytes, action) => {
    last = Math.max(last, arrival(bytes))
    setTimeout(action, last - performance.now())
  }
  from.on('data', (data) => later(data.length, () => to.writable && to.write(data)))
  from.on('end', () => later(0, () => to.end()))
  from.on('error', () => to.destroy())
  from.on('close', () => later(0, () => to.destroy()))
}
