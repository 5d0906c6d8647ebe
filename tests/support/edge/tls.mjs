import { request as open } from 'node:http'
import { createServer } from 'node:https'
import { generate } from 'selfsigned'

/**
 * Terminates https in front of a server that speaks http, with a self-signed certificate for `localhost`.
 *
 * @returns {Promise<{ origin: string, forwardTo(origin: string): void, close(): Promise<void> }>}
 */
export async function startTls() {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
  })
  let target
  const server = createServer({ key, cert }, (request, response) => {
    const { method, headers, url } = request
    const passed = open(target + url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    request.pipe(passed)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `https://localhost:${server.address().port}`,
    forwardTo(origin) {
      target = origin
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
