import { createHash, X509Certificate } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { request as open } from 'node:http'
import { createServer } from 'node:https'
import { pipeline } from 'node:stream'
import { text } from 'node:stream/consumers'
import { generate } from 'selfsigned'

/** One certificate for all proxies of a process, so that a browser can be told to trust its key. */
let certificate

/**
 * Terminates https in front of a server that speaks http, with a self-signed certificate for `localhost`.
 *
 * @param {{ host?: string, port?: number }} [options] `host`: the name in the origin, which a browser must map to
 *   loopback. Only a browser that trusts the certificate's key ignores that the certificate is for another name. `port`:
 *   by default, any free port.
 */
export async function startTls({ host = 'localhost', port = 0 } = {}) {
  certificate ??= generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
  })
  const { private: key, cert } = await certificate
  let target
  /** All requests in the order of their responses. */
  const seen = []
  /** Emits the path of each request when it arrives, and `response` with each response. */
  const arrivals = new EventEmitter()
  /** The faults with which the proxy itself responds, by path: a status, or a function of the response. */
  const failing = new Map()
  /** Functions that change a response, by the path of its request: its `status`, its `headers`, and its `body`. */
  const changes = new Map()
  /** Promises for which requests wait, by path. */
  const holds = new Map()
  const note = ({ method, headers, url }, { statusCode: status, headers: answered }) => {
    seen.push({ method, path: pathOf(url), headers, status, answered })
    arrivals.emit('response')
  }
  const server = createServer({ key, cert }, async (request, response) => {
    const { method, headers, url } = request
    const path = pathOf(url)
    arrivals.emit(path)
    const fault = failing.get(path)
    if (typeof fault === 'function') return fault(response)
    if (fault) return response.writeHead(fault).end()
    await holds.get(path)
    const passed = open(target + url, { method, headers }, (answer) => {
      note(request, answer)
      const change = changes.get(path)
      if (change) return sendChanged(answer, response, change)
      response.writeHead(answer.statusCode, answer.rawHeaders)
      // Cuts the response off where the server has.
      pipeline(answer, response, () => {})
    })
    passed.on('error', () => response.destroy())
    response.on('close', () => passed.destroy())
    request.pipe(passed)
  })
  server.on('upgrade', (request, socket) => {
    const { method, headers, url } = request
    arrivals.emit(pathOf(url))
    const passed = open(target + url, { method, headers })
    const close = () => socket.destroy()
    passed.on('error', close)
    // The response to a handshake that is refused.
    passed.on('response', (answer) => {
      note(request, answer)
      answer.on('close', close)
    })
    passed.on('upgrade', (answer, onward) => {
      note(request, answer)
      socket.write(headOf(answer))
      onward.on('error', close)
      socket.on('error', () => onward.destroy())
      socket.pipe(onward).pipe(socket)
    })
    passed.end()
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    origin: `https://${host}:${server.address().port}`,
    /** The hash of the certificate's public key, by which Chromium can be told to trust it. */
    spki: createHash('sha256')
      .update(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64'),
    seen,
    arrivals,
    failing,
    changes,
    holds,
    forwardTo(origin) {
      target = origin
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const pathOf = (url) => new URL(url, 'https://localhost').pathname

async function sendChanged(answer, response, change) {
  const { 'content-length': _length, ...headers } = answer.headers
  const given = { status: answer.statusCode, headers, body: await text(answer) }
  const { status, headers: sent, body } = { ...given, ...change(given) }
  response.writeHead(status, sent).end(body)
}

/** Returns the head of a response as it was received. */
function headOf({ statusCode, statusMessage, rawHeaders }) {
  let head = `HTTP/1.1 ${statusCode} ${statusMessage}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  return `${head}\r\n`
}
