/** Requests of a page to its service worker with `media()`: src/media/media.ts. */
import { NOT_CONTROLLED } from '../../protocol/message-keys.js'
import { type ClaimReply, MEDIA, type MediaMessage, type TicketReply } from '../../protocol/media-messages.js'
import type { DownloadOptions } from '../api.js'
import { isLoopback } from '../../protocol/loopback.js'
import { listen } from '../listen.js'
import type { LazyClient } from '../streaming/lazy-target.js'
import { ownOf } from '../../protocol/own.js'

/** Milliseconds for which `media()` waits for the service worker. */
const TIME_LIMIT = 10_000

/** Milliseconds after which the page asks again for control that the service worker has refused. */
const CLAIM_INTERVAL = 250

/** Milliseconds after which the frame of a download is removed, which has then begun or failed. */
const FRAME_TIME = 60_000

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never

/** Sends a message to a service worker. The returned port gets the replies. */
const ask = (worker: ServiceWorker, message: Without<MediaMessage, 't'>): MessagePort => {
  const { port1, port2 } = new MessageChannel()
  worker.postMessage({ t: MEDIA, ...message }, [port2])
  return port1
}

/** The beginning of the vault's message if no rule has `media` (src/rules/egress/policy.rs). */
const NO_RULE = 'no rule in apis has `media`:'

/** See `Strongroom.media` in api.ts. */
export const media = async (relay?: LazyClient['relay']): Promise<boolean> => {
  const { serviceWorker: workers } = navigator as Partial<Navigator>
  if (!workers) return false
  /** The reason why the vault loads no media, whichever service worker there is. Empty over a token handler. */
  let unused: string | undefined
  const useless = new Promise<false>((resolve) =>
    // No rule can have this address.
    relay?.({ t: MEDIA, id: 0, url: '/', headers: [] }, new MessageChannel().port1).catch(
      ({ code, message }) => {
        if (code === 'unsupported') unused = ''
        if (`${message}`.startsWith(NO_RULE)) unused = 'no rule in apis has `media` (docs/media.md)'
        if (unused !== undefined) resolve(false)
      },
    ),
  )
  const end = performance.now() + TIME_LIMIT
  /** The reason why the service worker does not control the page yet. */
  let refusal: string | undefined
  const controlled = async () => {
    const worker = workers.controller ?? (await workers.ready).active
    const claimed = (): Promise<ClaimReply> =>
      new Promise((resolve) => (ask(worker!, { claim: true }).onmessage = ({ data }) => resolve(data)))
    // The reply comes when the service worker controls the page, if it has `media()`.
    for (let reply; (reply = await claimed()) !== true && performance.now() < end;) {
      refusal = reply
      await new Promise((resolve) => setTimeout(resolve, CLAIM_INTERVAL))
    }
    if (!workers.controller) {
      await new Promise((resolve) => workers.addEventListener('controllerchange', resolve, { once: true }))
    }
    return true
  }
  if (await Promise.race([useless, controlled(), late()])) return true
  const why = unused ?? refusal ?? (await reason(workers))
  if (why && isLoopback(location.hostname)) console.warn(`strongroom: auth.media() is false: ${why}.`)
  return false
}

/** Returns the reason why no service worker with `media()` controls the page. */
const reason = async (workers: ServiceWorkerContainer): Promise<string> => {
  const { active, waiting, installing } = (await workers.getRegistration()) ?? {}
  if (waiting) return 'a new service worker waits until all pages of the old one are closed'
  if (installing) return 'the service worker is still being installed'
  return active
    ? `${active.scriptURL} does not respond: its file must call media() of strongroom/media (docs/media.md)`
    : 'no service worker is installed for this page: the Application tab shows why'
}

const late = () => new Promise<false>((resolve) => setTimeout(resolve, TIME_LIMIT, false))

/** See `Strongroom.download` in api.ts. */
export const download = async (
  path: string | URL,
  options: DownloadOptions | undefined,
  refuse: (code: string, message?: string) => Promise<never>,
): Promise<void> => {
  const { name } = ownOf(options)
  const { origin, pathname, search } = new URL(path, location.href)
  if (origin !== location.origin || !(await media())) return refuse('unsupported', NOT_CONTROLLED)
  const last = pathname.split('/').pop()!
  const port = ask(navigator.serviceWorker.controller!, {
    ticket: pathname + search,
    name: name ?? decoded(last),
  })
  const replies = (): Promise<TicketReply> =>
    new Promise((resolve) => (port.onmessage = ({ data }) => resolve(ownOf(data))))
  // A service worker with another path does not reply.
  const ticket = await Promise.race([replies(), late()])
  if (!ticket) return refuse('unsupported', NOT_CONTROLLED)
  const begun = replies()
  if ('address' in ticket) open(ticket.address)
  const outcome = await begun
  if ('error' in outcome && outcome.error) return refuse('download_failed', outcome.error)
}

/** Opens the address of a download in a hidden frame. */
const open = (address: string) => {
  const frame = document.createElement('iframe')
  frame.hidden = true
  frame.src = address
  // The policy of an app with a callback page forbids frames. The page stays if it navigates to a download, but the event
  // `beforeunload` is fired.
  const stop = listen(document, 'securitypolicyviolation', (violation: SecurityPolicyViolationEvent) => {
    const { blockedURI, disposition } = violation
    if (blockedURI !== frame.src || disposition !== 'enforce') return
    // A second policy reports the same frame, but the address is good once.
    stop()
    location.assign(frame.src)
  })
  document.body.append(frame)
  setTimeout(() => {
    stop()
    frame.remove()
  }, FRAME_TIME)
}

const decoded = (text: string) => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
