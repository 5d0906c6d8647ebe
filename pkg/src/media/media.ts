/**
 * The service worker's side of the option `media` of a rule: pictures, videos, sounds, subtitles and fonts that elements
 * of a page load by their addresses, with a token that the page never sees, and that the service worker does not need.
 *
 * ```ts
 * // sw.ts, which the page registers
 * import { media } from 'strongroom/media'
 * media('/media/')
 * ```
 *
 * The service worker sends a port to the page whose element makes the request, and the page passes the port to the vault.
 * No port is kept: a service worker can be stopped at any time.
 *
 * @module
 */

import { DESTINATION_TYPES } from '../../glue/constants.js'
import {
  type ClaimReply,
  MEDIA,
  type MediaMessage,
  type MediaRequest,
  type TicketReply,
} from '../protocol/media-messages.js'
import { vaultRequests, withoutFragment } from './vault-requests.js'

declare const self: ServiceWorkerGlobalScope

/**
 * Returns the beginnings of the types that fit a destination (Fetch 2.2.5), or `undefined` if media must not load for it.
 * Nothing that becomes a document, a script or a style has one of these destinations.
 */
const typesFor = (destination: string): string[] | undefined =>
  DESTINATION_TYPES.split(',')
    .find((entry) => entry.startsWith(`${destination} `))
    ?.split(' ')
    .slice(1)

/** Headers, each with its name and value. */
type Pairs = [string, string][]

/** The headers of the API's response that elements need. All others are dropped. */
const KEPT = ['content-type', 'content-length', 'content-range', 'accept-ranges', 'etag', 'last-modified']

/** Headers that keep a response from becoming a document or a script, and from caches. */
const FIXED: Pairs = [
  ['x-content-type-options', 'nosniff'],
  ['cache-control', 'no-store'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['content-security-policy', "sandbox; default-src 'none'"],
  ['referrer-policy', 'no-referrer'],
]

/** Milliseconds within which a page must say that it has got a request. A page without a client of this package does not. */
const HELLO = 10_000

/**
 * Milliseconds between two checks that a response's page still exists, because not every engine cancels its stream. Each
 * check also tells the vault that this service worker runs.
 */
const CHECK = 5_000

/** Milliseconds for which an address for a download is valid. */
const TICKET = 60_000

/** The maximum number of a page's requests at the vault, which limits its calls. Other requests wait. */
const MAX_OF_A_PAGE = 128

/** The requests at the vaults of pages, by id. */
const calls = new Map<number, { client: string; told: (error?: string) => void }>()
// A page may still report a failure of the instance before this one, whose numbers must be others.
let lastId = Date.now()

/** A download that a page has asked for, with the port that gets a {@link TicketReply}. */
interface Ticket {
  client: string
  url: string
  name: string
  port: MessagePort
}

/** For each page the number of its requests at the vault, and the functions that let the others continue. */
const queues = new Map<string, { count: number; waiting: (() => void)[] }>()

/** The addresses for downloads. */
const tickets = new Map<string, Ticket>()

interface Loaded {
  status: number
  headers: Headers
  body: ReadableStream | undefined
}

/**
 * Loads addresses of elements below `prefix` from the API that the vault's configuration names. Call this function first,
 * then the first lines of docs/pwa.md, then any code that responds to requests or caches them. `escrow()` comes before or
 * after `media()`, but also before the first lines, which would otherwise leave requests of `media()` to the browser.
 *
 * No listener that is added later sees a request with `Authorization`, or one that looks like the vault's for tokens,
 * metadata or keys, also if other code than the vault sends it.
 *
 * @param prefix A path of this origin that starts and ends with `/`, as in the option `media` of a rule.
 * @param vault The URL of the file that calls `vault()`. With it, later listeners do not see the request for this file
 * either and, until the service worker is stopped, any other request of the vault.
 * @param callbacks The paths of the app's callback pages, if it has any (docs/callback-page.md). While a callback
 * page is open that no service worker controls, this service worker takes control of no page.
 */
export const media = (prefix: string, vault?: string | URL, callbacks: readonly string[] = []): void => {
  if (!/^(\/[\w~-]+)+\/$/.test(prefix))
    throw new TypeError(`strongroom: media() needs a path such as '/media/'`)
  if (!Array.isArray(callbacks) || !callbacks.every((path) => /^\/[^?#]*$/.test(path)))
    throw new TypeError(`strongroom: media() needs the paths of the callback pages, such as ['/callback']`)
  const isOfVault = vaultRequests(vault && withoutFragment(new URL(vault, location.href)).href, new Set())
  self.addEventListener('fetch', (event) => {
    const url = new URL(event.request.url)
    const isMedia = url.origin === location.origin && url.pathname.startsWith(prefix)
    if (!isMedia && !isOfVault(event)) return
    event.stopImmediatePropagation()
    if (isMedia) event.respondWith(respond(event, url).catch((error) => refuse(502, error.message)))
  })
  self.addEventListener('message', (event) => {
    const { data, source, ports } = event as ExtendableMessageEvent & { data: MediaMessage | null }
    if (data?.t !== MEDIA || !(source instanceof WindowClient)) return
    if ('claim' in data)
      event.waitUntil(claim(source, callbacks).then((reply: ClaimReply) => ports[0]?.postMessage(reply)))
    else if ('ticket' in data) {
      const { ticket: url, name } = data
      if (typeof name !== 'string' || typeof url !== 'string' || !url.startsWith(prefix)) return
      const address = prefix + crypto.randomUUID()
      tickets.set(address, { client: source.id, url, name, port: ports[0]! })
      setTimeout(() => tickets.delete(address), TICKET)
      reply(ports[0]!, { address })
    } else {
      const call = calls.get(data.id)
      // One page cannot end the requests of another.
      if (call?.client === source.id) call.told(data.error)
    }
  })
}

/** Controls the pages of this origin, unless the page that asks is controlled already. */
const claim = async ({ id }: WindowClient, callbacks: readonly string[]): Promise<ClaimReply> => {
  const { clients } = self
  const own = new Set((await clients.matchAll()).map(({ id }) => id))
  if (own.has(id)) return true
  const all = await clients.matchAll({ includeUncontrolled: true })
  if (all.some(({ id, url }) => !own.has(id) && callbacks.includes(new URL(url).pathname)))
    return 'a callback page is open in a tab, outside of the control of a service worker'
  await clients.claim()
  return true
}

const reply = (port: MessagePort, message: TicketReply) => port.postMessage(message)

/** Returns the headers with these names. */
const pick = (headers: Headers, names: string[]): Pairs =>
  [...headers].filter(([name]) => names.includes(name))

const create = (body: BodyInit | undefined, status: number, headers: Pairs = []): Response =>
  new Response(body, { status, headers: [...headers, ...FIXED] })

const refuse = (status: number, why: string) =>
  create(`strongroom: ${why}`, status, [['content-type', 'text/plain']])

const respond = async (event: FetchEvent, { pathname, search }: URL): Promise<Response> => {
  const { destination, method, mode, headers } = event.request
  const ticket = mode === 'navigate' && tickets.get(pathname)
  if (ticket) {
    tickets.delete(pathname)
    return download(event, ticket)
  }
  const types = typesFor(destination)
  // Only `<use>` loads images with this mode, and clones their elements into the page.
  const isCloned = destination === 'image' && mode === 'same-origin'
  // The pictures of a prerendered page wait for its vault, which starts when the page is shown.
  const isPrefetch = !/^$|;\s*prerender\b/.test(headers.get('sec-purpose') ?? '')
  if (!types || isCloned || method !== 'GET' || isPrefetch)
    return refuse(403, 'this address is only for elements that show media')
  const loaded = await load(event, event.clientId, pathname + search, pick(headers, ['accept', 'range']))
  const { status, body } = loaded
  const isFound = status === 200 || status === 206
  const type = loaded.headers.get('content-type')
  const kind = `${type}`.split(';')[0]!.trim().toLowerCase() + ';'
  const fits = types.some((beginning) => kind.startsWith(beginning))
  if (isFound && fits) return create(body, status, pick(loaded.headers, KEPT))
  body?.cancel()
  if (isFound) return refuse(502, `the API's type ${type} is not for the destination ${destination}`)
  return create(undefined, status, pick(loaded.headers, ['content-range']))
}

/** Responds to the navigation of a hidden frame or of the page, with a file that the browser always saves. */
const download = async (event: FetchEvent, { client, url, name, port }: Ticket): Promise<Response> => {
  try {
    const { status, headers, body } = await load(event, client, url, [])
    if (status !== 200) {
      body?.cancel()
      throw new Error(`the API has responded with ${status}`)
    }
    reply(port, { error: undefined })
    return create(body, status, [
      ...pick(headers, ['content-length']),
      ['content-type', 'application/octet-stream'],
      ['content-disposition', disposition(name)],
    ])
  } catch (error) {
    reply(port, { error: (error as Error).message })
    // With this status, the browser stays at the page.
    return create(undefined, 204)
  }
}

/** Returns `Content-Disposition` (RFC 6266) with a name that is safe on every system. */
const disposition = (name: string): string => {
  // No control characters, no characters that change the direction of the text, and no parts of a path.
  const safe =
    name
      .slice(0, 200)
      .replace(/[\p{C}"%*/:<>?\\|]/gu, '_')
      .replace(/^[.\s]+|[.\s]+$/g, '') || 'download'
  const encoded = encodeURIComponent(safe).replace(/['()]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return `attachment; filename="${safe.replace(/[^ -~]/g, '_')}"; filename*=UTF-8''${encoded}`
}

/** Waits until fewer than {@link MAX_OF_A_PAGE} requests of a page are at its vault. Resolves with a function that ends one. */
const enter = async (client: string): Promise<() => void> => {
  const queue = queues.get(client) ?? { count: 0, waiting: [] }
  queues.set(client, queue)
  if (queue.count === MAX_OF_A_PAGE) await new Promise<void>((resolve) => queue.waiting.push(resolve))
  else queue.count++
  return () => {
    const next = queue.waiting.shift()
    if (next) next()
    else if (!--queue.count) queues.delete(client)
  }
}

/** Has the vault of the page `clientId` request an address. Rejects if there is no response. */
const load = async (event: FetchEvent, clientId: string, url: string, headers: Pairs): Promise<Loaded> => {
  let ended = () => {}
  // The browser must not stop this service worker while a response runs.
  event.waitUntil(new Promise<void>((resolve) => (ended = resolve)))
  const leave = await enter(clientId)
  // There is no page for a new document, or if the page has gone.
  const client = clientId && (await self.clients.get(clientId))
  return new Promise((resolve, reject) => {
    const { port1: port, port2 } = new MessageChannel()
    const id = ++lastId
    let stream: ReadableStreamDefaultController | undefined
    const end = () => {
      // A check may find the page gone after the end.
      if (!calls.delete(id)) return
      clearTimeout(limit)
      clearInterval(check)
      port.close()
      leave()
      ended()
    }
    const cancel = () => {
      port.postMessage(null)
      end()
    }
    const fail = (why: string) => {
      // The vault may still get the port, from a page that was busy.
      cancel()
      const error = new Error(why)
      stream?.error(error)
      reject(error)
    }
    const told = (error?: string) => {
      clearTimeout(limit)
      if (error) fail(error)
    }
    calls.set(id, { client: clientId, told })
    const limit = setTimeout(fail, HELLO, 'the page does not respond')
    const check = setInterval(async () => {
      if (await self.clients.get(clientId)) port.postMessage(0)
      else fail('the page has gone')
    }, CHECK)
    if (!client || client.type !== 'window') return fail('no page needs this address')
    port.onmessage = ({ data: [head, payload] }) => {
      if (typeof head === 'string') {
        const { status, body } = JSON.parse(head)
        const [list, whole] = payload
        const headers = new Headers(list)
        // The API may have compressed the body, and sent the length of the compressed one.
        if (whole) headers.set('content-length', whole.length)
        const start = (controller: ReadableStreamDefaultController) => {
          stream = controller
          if (!whole) return
          controller.enqueue(whole)
          controller.close()
        }
        const pull = () => port.postMessage(1)
        // A whole body becomes a stream, too. Chromium would turn bytes into a blob of its main process, and 1000 pictures would
        // take a quarter longer.
        resolve({ status, headers, body: body ? new ReadableStream({ start, pull, cancel }) : undefined })
        if (whole || !body) end()
      } else if (payload) stream!.enqueue(payload)
      else if (payload === false) fail('network error')
      else {
        stream!.close()
        end()
      }
    }
    client.postMessage({ t: MEDIA, id, url, headers } satisfies MediaRequest, [port2])
  })
}
