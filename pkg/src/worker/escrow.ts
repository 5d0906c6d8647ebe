/**
 * The service worker's side of `persist: 'escrow'`. The service worker holds the key of the sealed session in memory,
 * for a vault that starts after the previous vault has ended with its page.
 *
 * ```ts
 * // sw.ts, which the page registers
 * import { escrow } from 'strongroom/escrow'
 * escrow(new URL('/auth.worker.js', location.href))
 * ```
 *
 * @module
 */

import { KEY_LEN, ESCROW_HEADER, ESCROW_SUFFIX } from '../../glue/constants.js'
import { isForEscrow, vaultRequests, withoutFragment } from '../media/vault-requests.js'

declare const self: ServiceWorkerGlobalScope

/**
 * Stores the vault's key, and returns the key when the vault requests it. Call this function before all other code in
 * the service worker's file.
 *
 * The browser identifies the client: only a worker whose URL is exactly `vault` gets the key. A page or a frame at that
 * URL does not get the key, nor does a worker from another file. The key is in memory only, and is lost when the
 * browser stops this service worker, half a minute after the last request. The vault sends the key again every twenty
 * seconds, until five minutes after the last activity of the user.
 *
 * @param vault The URL of the file that calls `vault()`, exactly as `new SharedWorker()` or `new Worker()` gets this
 * URL, including the query if there is one. The URL must be in this service worker's scope.
 */
export const escrow = (vault: string | URL): void => {
  const { href } = withoutFragment(new URL(vault, location.href))
  const separator = href.includes('?') ? '&' : '?'
  const address = href + separator + ESCROW_SUFFIX
  let key: ArrayBuffer | undefined
  /** The client ids of the known workers of the vault. */
  const vaults = new Set<string>()

  /** Returns the key to the vault's own request only: a call of a page to this address has the same client. */
  const respond = async ({ request, clientId }: FetchEvent): Promise<Response> => {
    const nonce = request.headers.get(ESCROW_HEADER) ?? ''
    const reply = (status: number, body?: ArrayBuffer) =>
      new Response(body, { status, headers: { [ESCROW_HEADER]: nonce, 'Cache-Control': 'no-store' } })
    const client = await self.clients.get(clientId)
    const isVault = client && /^(shared)?worker$/.test(client.type) && client.url === href
    if (!isVault || !isForEscrow(request)) return reply(403)
    vaults.add(clientId)
    if (request.method !== 'PUT') return key ? reply(200, key) : reply(204)
    const given = await request.arrayBuffer()
    if (given.byteLength !== KEY_LEN) return reply(400)
    key = given
    return reply(204)
  }
  const isOfVault = vaultRequests(href, vaults)
  self.addEventListener('fetch', (event) => {
    const { url } = event.request
    const isForKey = url === address
    // A vault of another version may send its key.
    const isForEscrow = url.startsWith(href + separator + ESCROW_HEADER)
    if (!isForEscrow && !isOfVault(event)) return
    // No other listener may see the key either. A request that is not for the key goes to the network.
    event.stopImmediatePropagation()
    if (isForKey) event.respondWith(respond(event))
  })
}
