/** A slow link on loopback: proxies in front of servers, which share one bandwidth. */
import { connect, createServer } from 'node:net'
import { once } from 'node:events'

/** Matches the first bytes of a request. A browser sends the next request on a connection after the response only. */
const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/

/**
 * A request and its response, as the browser's side of the link saw them. Times are in milliseconds since the Unix epoch.
 *
 * @typedef {object} Exchange
 * @property {string} origin
 * @property {string} method
 * @property {string} path With the query.
 * @property {boolean} waits True if the request had to wait for its connection.
 * @property {number} sentAt The time at which the browser sent the first byte of the request.
 * @property {number} [receivedAt] The time at which the browser received the last byte of the response so far.
 */

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
  const connections = new Set()
  /** @type {Exchange[]} */
  let exchanges = []
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
      connections.add(browser)
      browser.on('close', () => connections.delete(browser))
      const connectedAt = performance.now() + roundTrip
      let exchange
      browser.on('data', (data) => {
        const [, method, path] = REQUEST.exec(data.subarray(0, 1000).toString('latin1')) ?? []
        if (!method) return
        const waits = performance.now() < connectedAt
        exchange = { origin, method, path, waits, sentAt: epochNow() }
        exchanges.push(exchange)
      })
      pipe(browser, upstream, () => Math.max(connectedAt, performance.now()) + roundTrip / 2)
      pipe(upstream, browser, receive, () => exchange && (exchange.receivedAt = epochNow()))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
    const origin = `http://${host}:${server.address().port}`
    return { origin, forwardTo: (origin) => void (target = origin) }
  }

  return {
    open,
    /** Returns the exchanges since the last call, in the order in which the browser sent the requests. */
    takeExchanges() {
      const taken = exchanges
      exchanges = []
      return taken
    },
    /** Closes all connections, as servers do some time after the last request. */
    disconnect: () => connections.forEach((connection) => connection.destroy()),
    close: () => servers.forEach((server) => server.close()),
  }
}

const epochNow = () => performance.timeOrigin + performance.now()

/** Passes everything from one socket to the other, at the times that `arrival` returns for numbers of bytes. */
function pipe(from, to, arrival, onArrival = () => {}) {
  let last = 0
  const later = (bytes, action) => {
    last = Math.max(last, arrival(bytes))
    setTimeout(action, last - performance.now())
  }
  from.on('data', (data) =>
    later(data.length, () => {
      onArrival()
      if (to.writable) to.write(data)
    }),
  )
  from.on('end', () => later(0, () => to.end()))
  from.on('error', () => to.destroy())
  from.on('close', () => later(0, () => to.destroy()))
}
