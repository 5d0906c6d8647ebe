import { createHash, X509Certificate } from 'node:crypto'
import { request as open } from 'node:http'
import { createServer } from 'node:https'
import { generate } from 'selfsigned'

/**
 * Terminates https in front of a server that speaks http, with a self-signed certificate for `localhost`.
 *
 * @param {{ port?: number }} [options] Default: any free port.
 * @returns {Promise<{ origin: string, forwardTo(origin: string): void, close(): Promise<void> }>}
 */
export async function startTls({ port = 0 } = {}) {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
  })
  let target
  /** All requests in the order of their responses. */
  const seen = []
  /** Statuses with which the proxy itself responds, by path. */
  const failing = new Map()
  /** Promises for which requests wait, by path. */
  const holds = new Map()
  const server = createServer({ key, cert }, async (request, response) => {
    const { method, headers, url } = request
    const { pathname } = new URL(url, 'https://localhost')
    const status = failing.get(pathname)
    if (status) return response.writeHead(status).end()
    await holds.get(pathname)
    const passed = open(target + url, { method, headers }, (answer) => {
      seen.push({
        method,
        path: pathname,
        headers,
        status: answer.statusCode,
        answered: answer.headers,
      })
      response.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    request.pipe(passed)
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    origin: `https://localhost:${server.address().port}`,
    /** The hash of the certificate's public key, by which Chromium can be told to trust it. */
    spki: createHash('sha256')
      .update(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64'),
    seen,
    failing,
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
