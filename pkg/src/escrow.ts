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

/** What follows the address of the vault's worker: a vault's own requests; and the header of the answers. */
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

  const answer = async ({ request, clientId }: FetchEvent): Promise<Response> => {
    const client = await self.clients.get(clientId)
    if (!client || !/^(shared)?worker$/.test(client.type) || client.url !== href) return say(403)
    if (request.method !== 'PUT') return key ? say(200, key) : say(204)
    const given = await request.arrayBuffer()
    if (given.byteLength !== KEY) return say(400)
    key = given
    return say(204)
  }
  self.addEventListener('fetch', (event) => {
    if (event.request.url !== address) return
    // No other listener is to see the key.
    event.stopImmediatePropagation()
    event.respondWith(answer(event))
  })
}

const withoutFragment = (url: URL): URL => {
  url.hash = ''
  return url
}

const say = (status: number, body?: ArrayBuffer) =>
  new Response(body, { status, headers: { [NAME]: '1', 'Cache-Control': 'no-store' } })
