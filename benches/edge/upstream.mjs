/** An API in its own thread: `/small` returns a small JSON body, and `/big` returns 16 MB of JSON. */
import { createServer } from 'node:http'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { once } from 'node:events'

export const BIG = 16 * 1024 * 1024

const ORDER = { id: 1, of: 'alice', items: ['a book', 'a lamp'], note: 'some words, as data has them' }
const SMALL = Buffer.from(JSON.stringify(Array(4).fill(ORDER)))
const PIECE = Buffer.alloc(64 * 1024, `${JSON.stringify(ORDER)},`)

/** @returns {Promise<{ origin: string, stop(): Promise<number> }>} */
export async function startUpstream() {
  const worker = new Worker(new URL(import.meta.url))
  const [port] = await once(worker, 'message')
  return { origin: `http://127.0.0.1:${port}`, stop: () => worker.terminate() }
}

if (!isMainThread) {
  const server = createServer((request, response) => {
    const isBig = request.url.endsWith('/big')
    const length = isBig ? BIG : SMALL.length
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
    if (!isBig) return response.end(SMALL)
    let left = BIG / PIECE.length
    const write = () => {
      while (left > 0) {
        left--
        if (!response.write(PIECE)) return response.once('drain', write)
      }
      response.end()
    }
    write()
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
}
