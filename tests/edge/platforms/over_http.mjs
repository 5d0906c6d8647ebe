import { Agent, request as send } from 'node:http'

/** An HTTP agent that allows any number of parallel calls. */
const agent = new Agent({ keepAlive: false, maxSockets: Infinity })

/**
 * Returns the coordinator of an isolate that runs apps/store.mjs.
 *
 * @param {string} url
 * @returns {import('../../../pkg/src/edge/coordinators/coordinator.ts').Coordinator}
 */
export const overHttp = (url) => ({
  read: (keys) => call(url, ['read', keys]),
  swap: (...args) => call(url, ['swap', ...args]),
  wait: (...args) => call(url, ['wait', ...args]),
})

function call(url, operation) {
  return new Promise((resolve, reject) => {
    const request = send(url, { method: 'POST', agent }, async (response) => {
      const pieces = []
      try {
        for await (const piece of response) pieces.push(piece)
      } catch (error) {
        return reject(error)
      }
      const text = Buffer.concat(pieces).toString()
      if (response.statusCode === 200) resolve(JSON.parse(text))
      else reject(new Error(`status ${response.statusCode}: ${text}`))
    })
    request.on('error', reject)
    request.end(JSON.stringify(operation))
  })
}
