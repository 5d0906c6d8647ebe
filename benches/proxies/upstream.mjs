/**
 * An API in its own thread, whose last part of the path names the body. `upload` reads the request's body, `events` is a
 * stream of events: the message `event` sends one on each stream. Only `checked` refuses an access token that has expired.
 */
import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'

const MEGABYTE = 1_000_000

const ORDER = { id: 1, of: 'alice', items: ['a book', 'a lamp'], note: 'some words, as data has them' }

/**
 * @returns {Promise<{ origin: string, sendEvents(): void, stop(): Promise<number> }>}
 */
export async function startUpstream() {
  const worker = new Worker(new URL(import.meta.url))
  const [port] = await once(worker, 'message')
  return {
    origin: `http://127.0.0.1:${port}`,
    sendEvents: () => worker.postMessage('event'),
    stop: () => worker.terminate(),
  }
}

/** Returns true if a request has no JWT, or one that has expired. oauth2-proxy has a header of its own for it. */
const hasExpired = ({ authorization = '', 'x-forwarded-access-token': token = authorization }) => {
  const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url')
  return !payload.length || JSON.parse(payload).exp * 1000 <= Date.now()
}

if (!isMainThread) {
  const base64url = randomBytes((MEGABYTE * 3) / 4).toString('base64url')
  const item = `${JSON.stringify(ORDER)},`
  const bodies = {
    small: JSON.stringify(Array(4).fill(ORDER)),
    json: `[${item.repeat(MEGABYTE / item.length)}{}]`,
    line: base64url,
    lines: base64url.replace(/.{64}/g, '$&\n'),
  }
  const streams = new Set()
  const server = createServer((request, response) => {
    const name = request.url.split('/').at(-1)
    if (name === 'upload') return request.resume().on('end', () => response.end('{}'))
    if (name === 'events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      // A plain proxy on Bun sends no headers before the first byte.
      response.write(':\n\n')
      streams.add(response)
      return response.on('close', () => streams.delete(response))
    }
    if (name === 'checked' && hasExpired(request.headers)) return response.writeHead(401).end()
    const body = Buffer.from(bodies[name] ?? '{}')
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
    response.end(body)
  })
  server.keepAliveTimeout = 600_000
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
  parentPort.on('message', () => {
    for (const stream of streams) stream.write(`data: ${JSON.stringify(ORDER)}\n\n`)
  })
}
