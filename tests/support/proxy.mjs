import { createServer, request as forward } from 'node:http'
import { once } from 'node:events'
import { answerOf, Faults, waitFor } from './faults.mjs'

/**
 * One request as it arrived at the proxy. If a connection turns out to be closed, a browser may send the request of one
 * `fetch` twice. Both requests are recorded.
 *
 * @typedef {object} WireRequest
 * @property {number} at Milliseconds since the Unix epoch.
 * @property {string} method
 * @property {string} path With the query.
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} endpoint The name that `nameOf` returns.
 * @property {import('./faults.mjs').Fault | null} fault The fault that was applied.
 * @property {number} status The response's status, or 0 if there is no response yet.
 * @property {string} sent The body of the request so far, if the proxy keeps bodies.
 * @property {string} received The body of the server's response so far, if the proxy keeps bodies.
 * @property {Promise<void>} closed Resolves when the exchange has ended in any way.
 */

/**
 * Starts a proxy on loopback in front of a server. The proxy applies a test's faults to requests for the server. The
 * proxy has its own port, so a browser has a real connection that is refused, cut or slow. The proxy's origin is the
 * server's public origin: `Host` is forwarded unchanged.
 *
 * @param {(path: string) => string} [nameOf] Returns the name of a path in `faults` and `requests`.
 * @param {Record<string, string>} [renamed] The server's own path for each path that the proxy renames.
 * @param {{ keepsBodies?: boolean, host?: string }} [options] With `keepsBodies`, responses are not compressed. `host` is
 *   another name for loopback.
 */
export async function startProxy(
  nameOf = (path) => path,
  renamed = {},
  { keepsBodies = false, host = '127.0.0.1' } = {},
) {
  const faults = new Faults()
  /** @type {WireRequest[]} All requests except CORS preflights, oldest first. */
  const requests = []
  const server = createServer(serve)
  let target
  let others = {}

  async function serve(request, response) {
    const [path] = request.url.split('?')
    const endpoint = nameOf(path)
    const isPreflight = request.method === 'OPTIONS'
    const fault = isPreflight ? undefined : faults.take(endpoint)
    const closed = once(response, 'close').then(() => {
      entry.status = response.headersSent ? response.statusCode : 0
    })
    const { method, url, headers } = request
    const entry = {
      at: Date.now(),
      method,
      path: url,
      headers,
      endpoint,
      status: 0,
      sent: '',
      received: '',
      closed,
    }
    if (keepsBodies) keep(request, entry, 'sent')
    entry.fault = fault ?? null
    if (!isPreflight) requests.push(entry)
    // When one side cuts the connection, the error on the other side must not fail the test.
    response.on('error', () => {})
    request.on('error', () => {})
    try {
      if (fault) await disturb(request, response, fault)
      else await pass(request, response, entry)
    } catch {
      response.destroy()
    }
  }

  async function disturb(request, response, fault) {
    if (fault.when !== 'after' && !fault.cutAfter && !fault.add && !fault.hideErrors && !fault.edit) {
      await patience(response, fault)
      if (fault.drop) return response.destroy()
      if (fault.answer) return send(response, answerOf(fault, request.headers.origin))
      return pass(request, response)
    }
    const carriedOut = await ask(request)
    const chunks = []
    for await (const chunk of carriedOut) chunks.push(chunk)
    const whole = Buffer.concat(chunks)
    const body = fault.edit ? Buffer.from(JSON.stringify(fault.edit(JSON.parse(whole)))) : whole
    await patience(response, fault)
    if (fault.drop) return response.destroy()
    if (fault.answer) return send(response, answerOf(fault, request.headers.origin))
    const added = Object.entries(fault.add ?? {}).flat()
    const isHidden = fault.hideErrors && carriedOut.statusCode >= 400
    const own = isHidden ? without(/^access-control-/i, carriedOut.rawHeaders) : carriedOut.rawHeaders
    const headers = fault.edit ? without(/^content-length$/i, own) : own
    response.writeHead(carriedOut.statusCode, [...headers, ...added])
    if (!fault.cutAfter) return response.end(body)
    response.write(body.subarray(0, fault.cutAfter), () => response.destroy())
  }

  /**
   * Forwards a request as if there were no proxy. When one side closes its connection, the proxy closes the other
   * connection.
   */
  async function pass(request, response, entry) {
    const answer = await ask(request, response)
    if (entry && keepsBodies) keep(answer, entry, 'received')
    response.writeHead(answer.statusCode, answer.rawHeaders)
    answer.on('error', () => response.destroy())
    answer.pipe(response)
  }

  async function ask(request, response) {
    const [path] = request.url.split('?')
    const { hostname, port } = new URL(others[nameOf(path)] ?? target)
    const asked = forward({
      hostname,
      port,
      method: request.method,
      path: request.url.replace(/^[^?]*/, (path) => renamed[path] ?? path),
      headers: keepsBodies ? { ...request.headers, 'accept-encoding': 'identity' } : request.headers,
      agent: false,
    })
    response?.on('close', () => asked.destroy())
    request.pipe(asked)
    const [answer] = await once(asked, 'response')
    return answer
  }

  const listen = (port) =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject)
        resolve()
      })
    })

  /** Cuts the open connections, like a router that has forgotten them. */
  const cut = () => server.closeAllConnections()

  /** Refuses all connections until `accept()`. */
  async function refuse() {
    const closed = once(server, 'close')
    server.close()
    cut()
    await closed
  }

  await listen(0)
  const { port } = server.address()
  return {
    origin: `http://${host}:${port}`,
    faults,
    requests,
    cut,
    refuse,
    accept: () => listen(port),
    /**
     * @param {string} origin The origin of the server behind the proxy.
     * @param {Record<string, string>} [ofOthers] The origins of other servers, by the name of the paths for which they
     *   are.
     */
    forwardTo(origin, ofOthers = {}) {
      target = origin
      others = ofOthers
    },
    close: () => (server.listening ? refuse() : undefined),
  }
}

/** Adds a body to an entry as it passes. */
const keep = (stream, entry, member) => {
  const { emit } = stream
  // A listener would start the stream before it is piped.
  stream.emit = function (event, chunk) {
    if (event === 'data') entry[member] += chunk
    return emit.apply(this, arguments)
  }
}

/** Waits for the fault's `delay` and `hold`. Throws if the client disconnects during the wait. */
async function patience(response, fault) {
  const isOver = await Promise.race([waitFor(fault), once(response, 'close').then(() => true)])
  if (isOver) throw new Error('the client has disconnected')
}

/** Removes headers by name, such as those of CORS. In raw headers, names and values alternate. */
const without = (name, headers) => headers.filter((_, index) => !name.test(headers[index - (index % 2)]))

function send(response, { status, headers, body }) {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}
