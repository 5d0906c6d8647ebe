/** Sends requests to a server, over persistent connections. */
import { Agent, request as open } from 'node:http'

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

/** Sends one request. Resolves with its status and the size of its body in bytes. */
export const get = (url, headers) =>
  new Promise((resolve, reject) => {
    const request = open(url, { agent, headers }, (response) => {
      let bytes = 0
      response.on('data', (piece) => (bytes += piece.length))
      response.on('end', () => resolve({ status: response.statusCode, bytes }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end()
  })

/** Sends `count` requests, `atOnce` at a time. Resolves with the duration in milliseconds. */
export async function storm(url, headers, { count, atOnce, bytes }) {
  const start = performance.now()
  let left = count
  const run = async () => {
    while (left-- > 0) {
      const answer = await get(url, headers)
      if (answer.status !== 200 || (bytes && answer.bytes !== bytes)) {
        throw new Error(`${url} answered ${answer.status} with ${answer.bytes} bytes`)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, run))
  return performance.now() - start
}

export const release = () => agent.destroy()
