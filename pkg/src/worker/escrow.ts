/**
 * A service worker's side of `persist: 'escrow'`: it has the key of the sealed session in its memory, for a vault
 * that starts after another one has gone with its page.
 *
 * ```ts
 * // sw.ts, which the page registers
 * import { escrow } from 'strongroom/escrow'
 * escrow(new URL('/auth.worker.js', location.href))
 * ```
 *
 * @module
 */

declare const self: ServiceWorkerGlobalScope

/**
 * What follows the address of the vault's worker in a vault's own requests; and their header, which is that of the
 * answers too: so none is taken out of a cache.
 */
const NAME = 'strongroom-escrow'

/** AES-256. */
const KEY = 32

/**
 * Takes the vault's key, and gives it to the vault. Call it first of all in the service worker's file.
 *
 * Who asks is known by the browser: only a worker whose address is exactly `vault` is answered, so neither a page nor
 * a frame at that address, nor a worker made of anything else. The key is in memory only. It is gone when the browser
 * stops this service worker, which it does half a minute after the last request; the vault sees to it that it is back
 * before it is needed.
 *
 * @param vault The address of the file that calls `vault()`, as it is registered by `new SharedWorker()` or
 *   `new Worker()`, with its query if it has one. It must be in this service worker's scope.
 */
export const escrow = (vault: string | URL): void => {
  const { href } = withoutFragment(new URL(vault, location.href))
  const address = `${href}${href.includes('?') ? '&' : '?'}${NAME}`
  let key: ArrayBuffer | undefined
  /** The vault's workers, as far as they are known: by the ids of their clients. */
  const vaults = new Set<string>()

  const answer = async ({ request, clientId }: FetchEvent): Promise<Response> => {
    const nonce = request.headers.get(NAME) ?? ''
    const say = (status: number, body?: ArrayBuffer) =>
      new Response(body, { status, headers: { [NAME]: nonce, 'Cache-Control': 'no-store' } })
    const client = await self.clients.get(clientId)
    if (!client || !/^(shared)?worker$/.test(client.type) || client.url !== href) return say(403)
    vaults.add(clientId)
    if (request.method !== 'PUT') return key ? say(200, key) : say(204)
    const given = await request.arrayBuffer()
    if (given.byteLength !== KEY) return say(400)
    key = given
    return say(204)
  }
  const isOfVault = ({ request, clientId, resultingClientId }: FetchEvent): boolean => {
    if (!/worker$/.test(request.destination) || withoutFragment(new URL(request.url)).href !== href) {
      return vaults.has(clientId)
    }
    if (resultingClientId) vaults.add(resultingClientId)
    return true
  }
  self.addEventListener('fetch', (event) => {
    const { request } = event
    const isAsked = request.url === address
    // The header, because who the vaults are is forgotten when this service worker is stopped.
    if (!isAsked && !isOfVault(event) && !request.headers.has('authorization')) return
    // No other listener is to see the key. Nor may one answer what the vault loads, or keep what it sends: script of
    // the page can write whatever is in a cache, and read it, a request's headers too. It goes to the network.
    event.stopImmediatePropagation()
    if (isAsked) event.respondWith(answer(event))
  })
}

const withoutFragment = (url: URL): URL => {
  url.hash = ''
  return url
}
