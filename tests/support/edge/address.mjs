import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/**
 * Starts the address of a store: a TCP proxy in front of the current primary.
 *
 * @param {string} primary URL of the primary.
 * @param {(data: Buffer) => void} [onSent] Gets what clients send.
 * @returns `turnTo(url)` cuts the connections, and makes another server the primary.
 */
export async function startAddress(primary, onSent = () => {}) {
  let { port } = new URL(primary)
  const sockets = new Set()
  const server = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ]) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
    socket.on('data', onSent)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => sockets.forEach((socket) => socket.destroy())
  return {
    url: `redis://127.0.0.1:${server.address().port}`,
    turnTo(url) {
      ;({ port } = new URL(url))
      cut()
    },
    close() {
      cut()
      server.close()
    },
  }
}
