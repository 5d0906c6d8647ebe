import { randomInt } from 'node:crypto'
import { createServer } from 'node:http'

/**
 * Starts an HTTP server on loopback, and only there.
 *
 * @param {object} options
 * @param {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => unknown}
 * options.handler
 * @param {(request: import('node:http').IncomingMessage, socket: import('node:net').Socket, head: Buffer) => unknown}
 * [options.upgrade] Handles requests that become a WebSocket. The handler owns and closes their sockets.
 * @param {string} [options.host] The host in the server's origin. Browsers separate cookies by host and not by port.
 * Servers that must not see each other's cookies therefore use different host names for loopback.
 * @param {number} [options.port] The port, or 0 for any free port.
 * @param {boolean} [options.orNext] If the port is taken, try the next ports.
 * @returns {Promise<{ origin: string, port: number, close(): Promise<void> }>}
 */
export async function listen({ handler, upgrade, host = '127.0.0.1', port = 0, orNext = false }) {
  const server = createServer(async (request, response) => {
    try {
      await handler(request, response)
    } catch (error) {
      // A malformed request must not end the server.
      console.error(`${request.method} ${request.url} failed:`, error)
      response.destroy()
    }
  })
  if (upgrade) server.on('upgrade', upgrade)
  const taken = await bind(server, port, orNext ? 20 : 1)
  return {
    origin: `http://${host}:${taken}`,
    port: taken,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        // A page's keep-alive connections would keep the process alive for seconds.
        server.closeAllConnections()
      }),
  }
}

/**
 * Resolves with a port that was free a moment ago, for programs that cannot search for a port or report which port they
 * use. By default, the port is outside the ranges from which Linux, macOS and Windows give ports to connections and to
 * servers that ask for any port, so that nothing takes it meanwhile.
 *
 * @param {{ port?: number, orNext?: boolean }} [options] As for `listen()`.
 */
export async function freePort(options = { port: 20_000 + randomInt(12_000), orNext: true }) {
  const { port, close } = await listen({ ...options, handler() {} })
  await close()
  return port
}

async function bind(server, port, attempts) {
  for (let candidate = port; candidate < port + attempts; candidate++) {
    const error = await tryBind(server, candidate)
    if (!error) return server.address().port
    if (error.code !== 'EADDRINUSE') throw error
  }
  const range = attempts > 1 ? `ports ${port} to ${port + attempts - 1} are` : `port ${port} is`
  throw new Error(`${range} taken: end the programs that listen there, or choose another port`)
}

function tryBind(server, port) {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', resolve)
      resolve(null)
    })
  })
}
