/**
 * Replaces `fetch` in this global scope by the static demo's provider and API. The vault keeps the `fetch` that it finds
 * when `strongroom/worker` is evaluated, so the worker's file imports this module first. Requests for files go to the
 * network.
 */
import { api, issuer } from './addresses.js'
import * as shop from './api.js'
import * as provider from './provider.js'

/** About the time of a request to a server nearby. */
const DELAY_MS = 40

const network = fetch

globalThis.fetch = async (input, init) => {
  const url = input instanceof Request ? input.url : String(input)
  const server = url.startsWith(api) ? shop : url.startsWith(`${issuer}/`) ? provider : null
  if (!server) return network(input, init)
  const request = new Request(input, init)
  const response = await unlessAborted(request.signal, async () => {
    await new Promise((resolve) => setTimeout(resolve, DELAY_MS))
    return server.respond(request)
  })
  // The constructor of `Response` leaves the address empty.
  return Object.defineProperty(response, 'url', { value: request.url })
}

function unlessAborted<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort)
    action().then(resolve, reject)
  })
}
