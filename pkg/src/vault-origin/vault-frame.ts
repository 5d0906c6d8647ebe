/**
 * The vault's origin: two static pages on a sub-domain that serves nothing else, such as vault.example.com for
 * app.example.com. One is a frame in the app's pages; it has the worker, its storage, and the answers of the provider.
 * The other is the redirect URI. The app calls `connectFrame()`.
 *
 * ```ts
 * // frame.ts, for https://vault.example.com/frame.html
 * import { vaultFrame } from 'strongroom/vault-frame'
 * vaultFrame({
 *   apps: ['https://app.example.com'],
 *   worker: () => new SharedWorker(new URL('./auth.worker.ts', import.meta.url), { type: 'module', extendedLifetime: true }),
 * })
 * ```
 * ```ts
 * // callback.ts, for https://vault.example.com/callback
 * import { vaultCallback } from 'strongroom/vault-frame'
 * vaultCallback({ app: 'https://app.example.com/' })
 * ```
 *
 * The headers are part of it: docs/vault-origin.md.
 *
 * @module
 */
import { isState, storeResponse, takeResponse, watchResponses } from './callback-cookies.js'
import { StrongroomError } from '../page/error.js'
import {
  type FrameResponse,
  FRAME_HANDSHAKE,
  STATE_FRAGMENT,
  type FrameRequest,
} from '../protocol/frame-messages.js'
import { listen } from '../page/listen.js'
import { BYE, HANDSHAKE, type PageMessage, PROTOCOL, type VaultMessage } from '../protocol/messages.js'

// With what workers' options are called that TypeScript's library has not.
export type { StrongroomErrorLike } from '../page/api.js'
export { StrongroomError }

type AnyWorker = SharedWorker | Worker

/** What {@link vaultFrame} is told. */
export interface VaultFrameOptions {
  /**
   * The origins that may use the vault, exactly as browsers write them: `https://app.example.com`. Of the same site
   * as the vault's origin, since browsers give a frame of another site a storage of its own.
   */
  apps: string[]
  /** Makes the vault's worker, from its file on this origin. Called once, for an app that is on the list. */
  worker: () => AnyWorker
}

/** What {@link vaultCallback} is told. */
export interface VaultCallbackOptions {
  /** The app's page that calls `connectFrame()` and `handleCallback()`. */
  app: string
}

/** Most requests of one page that the frame has open at once. */
const MAX_OPEN = 64

/** Seconds that the worker has to answer. What it asks the provider for has limits of its own. */
const HANDSHAKE_TIMEOUT = 10

/** Seconds that a popup has to close. */
const CLOSE_DELAY = 1

/** The lock that a page holds (messages.ts); the one by which pages see that the worker is gone. */
const PAGE_LOCK = /^strongroom \d(\.\d+)?(e-\d+)?$/
const WORKER_LOCK = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

const invalid = (what: string) => new StrongroomError('config_invalid', `${what}.`)

/** Whether tokens may be used by, and codes sent for, a page of this address. */
const isTrustworthy = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' ||
  (protocol === 'http:' && /^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(hostname))

const checkApp = (app: unknown): string => {
  const url = typeof app === 'string' && URL.canParse(app) ? new URL(app) : undefined
  if (!url || url.origin !== app || !isTrustworthy(url)) {
    throw invalid(`\`apps\` names ${JSON.stringify(app)}, which is no origin such as https://app.example.com`)
  }
  if (app === location.origin) {
    throw invalid(
      `\`apps\` names ${app}, the frame's own origin: its script could reach all that the vault has`,
    )
  }
  return app
}

let isStarted = false

/**
 * Makes this page the vault's frame. Call it once, first of all in the page's only script; from then on nothing
 * changes the list.
 *
 * It serves the page around it, and no other window, if the browser says that its origin is on the list.
 *
 * @throws {@link StrongroomError} `config_invalid`: an app is no origin, or the vault's own, or it was called before.
 */
export const vaultFrame = ({ apps, worker }: VaultFrameOptions): void => {
  if (isStarted) throw invalid('vaultFrame() was called twice in one page')
  isStarted = true
  if (!Array.isArray(apps) || !apps.length)
    throw invalid('`apps` must be a list of origins, with one at least')
  const allowed = new Set(apps.map(checkApp))
  if (typeof worker !== 'function') throw invalid('`worker` must be a function that makes the worker')
  if (parent === window) return console.info('strongroom: this page is for frames in the pages of apps')
  let isTaken = false
  addEventListener('message', ({ data, origin, source, ports }) => {
    const [port] = ports
    if (data !== FRAME_HANDSHAKE || source !== parent || ports.length !== 1 || !port) return
    if (!allowed.has(origin)) {
      post(port, { t: 'refused', code: 'origin_not_allowed', message: origin })
    } else if (!isTaken) {
      isTaken = true
      serve(port, worker)
    }
  })
}

const post = (port: MessagePort, message: FrameResponse) => port.postMessage(message)

/** What a page has asked for, until it is done or nobody waits for it any more. */
type Open = Map<number, () => void>

const serve = (port: MessagePort, make: () => AnyWorker) => {
  const failed = (event?: Event) =>
    import('../page/worker-failure.js')
      .then(({ explain }) => explain(event, make))
      .catch(() => '')
      .then((message) => post(port, { t: 'worker_failed', message }))
  const worker = start(make, failed)
  const open: Open = new Map()
  const awaited = new Map<number, string>()
  let stopWatching: (() => void) | undefined

  const end = (id: number) => {
    open.get(id)?.()
    open.delete(id)
  }
  const finish = async (id: number, url: string) => {
    // One of those that are counted.
    open.set(id, () => {})
    const settled = await finishLogin(worker, url)
    open.delete(id)
    post(port, { ...settled, id })
  }
  const loginUnknown = (id: number) => {
    const message = "the vault's origin has no answer to this login: it keeps one for a minute, in a cookie"
    post(port, { t: 'error', id, code: 'login_unknown', message })
  }
  const checkAwaited = () => {
    for (const [id, state] of awaited) {
      const url = takeResponse(state)
      if (!url) continue
      end(id)
      finish(id, url)
    }
  }
  const stop = (id: number) => {
    awaited.delete(id)
    if (awaited.size) return
    stopWatching?.()
    stopWatching = undefined
  }
  const handlers: {
    [T in FrameRequest['t']]: (message: Extract<FrameRequest, { t: T }>, given?: MessagePort) => void
  } = {
    connect(_, given) {
      if (!worker) failed()
      else if (given) passPort(worker, given)
    },
    lock({ id, name }) {
      end(id)
      const isOfPage = PAGE_LOCK.test(name)
      if (!isOfPage && !WORKER_LOCK.test(name)) return
      const waiting = new AbortController()
      let release: (() => void) | undefined
      open.set(id, () => {
        waiting.abort()
        release?.()
      })
      const granted = () => {
        post(port, { t: 'granted', id })
        // Whoever has the worker's lock knows that it is gone. So shall the others.
        if (isOfPage) return new Promise<void>((resolve) => (release = resolve))
        return open.delete(id)
      }
      navigator.locks.request(name, waiting, granted).catch(() => {})
    },
    unlock: ({ id }) => end(id),
    callback({ id, state }) {
      end(id)
      const url = takeResponse(state)
      if (url) finish(id, url)
      else loginUnknown(id)
    },
    await({ id, state }) {
      end(id)
      awaited.set(id, state)
      open.set(id, () => stop(id))
      stopWatching ??= watchResponses(checkAwaited)
    },
    look({ id, of }) {
      checkAwaited()
      post(port, { t: 'looked', id, isThere: !awaited.has(of) })
    },
    forget: ({ id }) => end(id),
  }
  port.onmessage = ({ data, ports: [given] }) => {
    if (!isValidRequest(data)) return
    const id = data.id as number
    if (open.size >= MAX_OPEN && !open.has(id)) {
      // Who asks for a lock goes without; who asks for anything else waits for an answer.
      const message = `this page has ${MAX_OPEN} requests open at the vault's frame already`
      if (data.state || data.of) post(port, { t: 'error', id, code: 'limit_exceeded', message })
      return
    }
    handlers[data.t as 'connect']?.(data as never, given)
  }
  // The page leaves, perhaps for the back-forward cache, which takes nobody who holds a lock. It asks again.
  addEventListener('pagehide', () => {
    for (const id of open.keys()) end(id)
  })
  post(port, { t: 'here' })
}

/** Of the types that they are declared with. */
const isValidRequest = (data: unknown): data is Record<string, unknown> & { t: string } => {
  if (typeof data !== 'object' || !data) return false
  const { t, id, name = '', state } = data as Record<string, unknown>
  const isKnown = /^(connect|lock|unlock|callback|await|look|forget)$/.test(String(t))
  const hasId = t === 'connect' || Number.isSafeInteger(id)
  const needsState = t === 'callback' || t === 'await'
  return isKnown && hasId && typeof name === 'string' && (!needsState || isState(state))
}

/** A worker whose page's policy forbids it may throw at once. */
const start = (make: () => AnyWorker, failed: (event: Event) => void): AnyWorker | undefined => {
  try {
    const worker = make()
    listen(worker, 'error', failed)
    return worker
  } catch (error) {
    console.error(error)
    return undefined
  }
}

const passPort = (worker: AnyWorker, port: MessagePort) => {
  const target = 'port' in worker ? worker.port : worker
  target.postMessage(HANDSHAKE, [port])
}

type LoginOutcome =
  { t: 'settled'; returnTo: string | null } | { t: 'error'; code: string; message: string; returnTo?: string }

/** Gives an answer to the vault, as a page of the redirect URI would, on a port for that. */
const finishLogin = (worker: AnyWorker | undefined, url: string): Promise<LoginOutcome> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    const send = (message: PageMessage) => port1.postMessage([JSON.stringify(message)])
    const watching = new AbortController()
    const end = (settled: LoginOutcome) => {
      clearTimeout(timer)
      watching.abort()
      port1.postMessage([BYE])
      port1.close()
      resolve(settled)
    }
    const fail = (code: string, message = '', returnTo?: string) =>
      end({ t: 'error', code, message, returnTo })
    const timer = setTimeout(fail, HANDSHAKE_TIMEOUT * 1000, 'worker_timeout', `${HANDSHAKE_TIMEOUT}`)
    port1.onmessage = ({ data }) => {
      if (typeof data === 'string') {
        // The lock that the worker holds for as long as it lives: no event would tell of its end.
        navigator.locks.request(data, watching, () => fail('vault_crashed')).catch(() => {})
        return
      }
      const message: VaultMessage = JSON.parse(data[0])
      if (message.t === 'error') fail(message.code, message.message, message.returnTo)
      else if (message.t === 'failed') fail(message.code, message.message)
      else if (message.t === 'ready') {
        clearTimeout(timer)
        send({ t: 'callback', id: 1, url })
      } else if (message.t === 'settled') end({ t: 'settled', returnTo: message.returnTo })
    }
    if (!worker) return fail('worker_failed')
    passPort(worker, port2)
    send({ t: 'hello', version: PROTOCOL, loaded: Math.trunc(performance.timeOrigin) })
  })

/** What an error says to people (RFC 6749 4.1.2.1) nobody reads here, and it may be long. */
const withoutDescription = (part: string): string =>
  part.charAt(0) +
  part
    .slice(1)
    .split('&')
    .filter((parameter) => !/^error_(description|uri)=/.test(parameter))
    .join('&')

/**
 * Makes this page the redirect URI: keeps the provider's answer for the vault's frame, and goes on to the app, or
 * closes, if it is a popup. Nothing of the answer goes along but its `state`, which the app knows, or a random name for
 * one without.
 *
 * Give the provider the same address to come back to after its logout: without an answer it goes on to the app.
 *
 * @throws {@link StrongroomError} `config_invalid` if `app` is no address of another origin.
 */
export const vaultCallback = ({ app }: VaultCallbackOptions): void => {
  const url = URL.canParse(app) ? new URL(app) : undefined
  if (!url || !isTrustworthy(url) || url.origin === location.origin) {
    throw invalid('`app` must be the address of a page of the app, which is of another origin')
  }
  // Its policy lets nobody put it into a frame. Where that is missing it is of no use there either.
  if (parent !== window) return
  const { hash, pathname, search } = location
  // Before anything else: from here on the code is in no address.
  history.replaceState(null, '', pathname)
  url.hash = ''
  const response = [search, hash]
    .map((part) => new URLSearchParams(part.slice(1)))
    .find((params) => params.has('code') || params.has('error'))
  // Some providers leave it out of errors. The vault says what is wrong with such a response, by any name.
  const state = response && (response.get('state') ?? crypto.randomUUID())
  const leave = () => location.replace(url)
  if (!isState(state)) return leave()
  if (!storeResponse(state, pathname + withoutDescription(search) + withoutDescription(hash))) {
    console.error(
      "strongroom: the provider's answer is lost: it is too long, or cookies are not allowed here",
    )
  }
  if (state.endsWith('.p')) {
    window.close()
    setTimeout(leave, CLOSE_DELAY * 1000)
  } else {
    url.hash = STATE_FRAGMENT + state
    leave()
  }
}
