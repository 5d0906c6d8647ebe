/**
 * The pages of a vault on its own origin. The origin is a subdomain, such as vault.example.com for app.example.com. It
 * serves only two static pages with their scripts, and the vault's worker. One page is a frame in the app's pages. This
 * page creates the worker, and passes the provider's responses to the worker. The other page is the redirect URI. The
 * app calls `connectFrame()`.
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
 * The headers of both pages are part of the setup: docs/vault-origin.md.
 *
 * @module
 */
import { POPUP_MARK } from '../../glue/constants.js'
import { isState, storeResponse, takeResponse, watchResponses } from './callback-cookies.js'
import { showUrl } from '../page/address.js'
import { isLoopback } from '../protocol/loopback.js'
import { StrongroomError } from '../page/errors/error.js'
import {
  type FrameResponse,
  FRAME_HANDSHAKE,
  STATE_FRAGMENT,
  type FrameRequest,
} from '../protocol/frame-messages.js'
import { listen } from '../page/listen.js'
import { loadExplanation } from '../page/load.js'
import { refusals, watchRefusals } from '../page/connection/refused-worker.js'
import { type AnyWorker, passPort, passResponse } from '../page/login/pass-response.js'
import { FRAMED_HANDSHAKE } from '../protocol/messages.js'
import { ownOf } from '../protocol/own.js'

// api.ts also declares the worker options that TypeScript's library does not have.
export type { StrongroomErrorLike } from '../page/api.js'
export { StrongroomError }

/** Options of {@link vaultFrame}. */
export interface VaultFrameOptions {
  /**
   * The origins that may use the vault, exactly as browsers serialize them: `https://app.example.com`. These origins
   * must be of the same site as the vault's origin, since browsers partition the storage of frames of another site.
   */
  apps: string[]
  /**
   * Creates the vault's worker from its file on this origin. Called once, when a page of an origin in `apps` connects.
   */
  worker: () => AnyWorker
}

/** Options of {@link vaultCallback}. */
export interface VaultCallbackOptions {
  /** The app's page that calls `connectFrame()` and `handleCallback()`. */
  app: string
}

/** The maximum number of a page's open requests. */
const MAX_OPEN = 64

/** Seconds after which a popup that could not close redirects to the app. */
const CLOSE_DELAY = 1

/**
 * Patterns for two names: of the lock that a page holds (messages.ts), and of the lock by which pages detect the end of
 * the worker.
 */
const PAGE_LOCK = /^strongroom \d(\.\d+)?(e-\d+)?$/
const WORKER_LOCK = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

const invalid = (what: string) => new StrongroomError('config_invalid', `${what}.`)

/** Returns true if a page at this URL may use tokens: the URL is https, or http on loopback. */
const isTrustworthy = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))

const parsed = (url: string): URL | undefined => {
  try {
    return new URL(url)
  } catch {
    return
  }
}

const checkApp = (app: unknown): string => {
  const url = typeof app === 'string' ? parsed(app) : undefined
  if (!url || url.origin !== app || !isTrustworthy(url)) {
    throw invalid(
      `\`apps\` names ${JSON.stringify(app)}, which is not an origin such as https://app.example.com`,
    )
  }
  if (app === location.origin) {
    throw invalid(
      `\`apps\` names ${app}, the frame's own origin: its script could reach everything in the vault`,
    )
  }
  return app
}

let isStarted = false

/**
 * Makes this page the vault's frame. Call this function once, at the start of the page's only script. `apps` cannot
 * change afterwards.
 *
 * The frame serves the surrounding page, and no other window, if `apps` contains that page's origin.
 *
 * @throws `StrongroomError` `config_invalid` if an app is not an origin or is the vault's own origin, or if this
 *   function was called before.
 */
export const vaultFrame = (options: VaultFrameOptions): void => {
  const { apps, worker } = ownOf(options)
  if (isStarted) throw invalid('vaultFrame() was called twice in one page')
  isStarted = true
  if (!Array.isArray(apps) || !apps.length) throw invalid('`apps` must be an array of origins, and not empty')
  const allowed = new Set(apps.map(checkApp))
  if (typeof worker !== 'function') throw invalid('`worker` must be a function that makes the worker')
  if (parent === window) return console.info('strongroom: this page must be in a frame of an app')
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

/** Open requests of a page by id, each with the function that ends the request. */
type Open = Map<number, () => void>

const serve = (port: MessagePort, make: () => AnyWorker) => {
  const failed = (event?: Event) =>
    loadExplanation(() => import('../page/connection/worker-failure.js'), 'explain')
      .then(({ explain }) => explain(event, make, refusals))
      .catch(() => '')
      .then((message) => post(port, { t: 'worker_failed', message }))
  watchRefusals()
  const worker = start(make, failed)
  const open: Open = new Map()
  const awaited = new Map<number, string>()
  let stopWatching: (() => void) | undefined

  const end = (id: number) => {
    open.get(id)?.()
    open.delete(id)
  }
  const finish = async (id: number, url: string) => {
    // The login counts toward the limit of open requests.
    open.set(id, () => {})
    const outcome = await passResponse(worker, url, (warning) => post(port, warning))
    open.delete(id)
    const settled = outcome.t === 'settled' ? { t: outcome.t, returnTo: outcome.returnTo } : outcome
    post(port, { ...settled, id })
  }
  const loginUnknown = (id: number) => {
    const message =
      "the vault's origin has no response to this login: it stores one for a minute, in a cookie"
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
      else if (given) passPort(worker, given, FRAMED_HANDSHAKE)
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
        // A page that gets the worker's lock knows that the worker is gone. The lock is released at once, because other
        // pages wait for the same lock.
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
  port.onmessage = ({ data: message, ports: [given] }) => {
    const data = ownOf(message)
    if (!isValidRequest(data)) return
    const id = data.id as number
    if (open.size >= MAX_OPEN && !open.has(id)) {
      // Only a request with `state` or `of` gets an error. Any other request is ignored.
      const message = `this page has ${MAX_OPEN} requests open at the vault's frame already`
      if (data.state || data.of) post(port, { t: 'error', id, code: 'limit_exceeded', message })
      return
    }
    handlers[data.t as 'connect']?.(data as never, given)
  }
  // Releases all locks when the user leaves the page, because the back-forward cache does not accept pages with locks.
  // A page that the browser restores requests the locks again.
  addEventListener('pagehide', () => {
    for (const id of open.keys()) end(id)
  })
  post(port, { t: 'here' })
}

/** Returns true if the message has the declared types. */
const isValidRequest = (data: Record<string, unknown>): data is Record<string, unknown> & { t: string } => {
  const { t, id, name = '', state } = data
  const isKnown = /^(connect|lock|unlock|callback|await|look|forget)$/.test(String(t))
  const hasId = t === 'connect' || Number.isSafeInteger(id)
  const needsState = t === 'callback' || t === 'await'
  return isKnown && hasId && typeof name === 'string' && (!needsState || isState(state))
}

/**
 * Creates the worker. Returns `undefined` if `make` throws, which it may do if the page's policy forbids the worker.
 */
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

/**
 * Removes the parameters `error_description` and `error_uri` (RFC 6749 4.1.2.1), which are not used here and may be
 * long.
 */
const withoutDescription = (part: string): string =>
  part.charAt(0) +
  part
    .slice(1)
    .split('&')
    .filter((parameter) => !/^error_(description|uri)=/.test(parameter))
    .join('&')

/**
 * Makes this page the redirect URI. The page stores the provider's response for the vault's frame. Then the page
 * redirects to the app, or closes itself if it is a popup. The app gets only the response's `state`, which the app
 * already knows, or a random name if the response has no `state`.
 *
 * Register this page's URL at the provider for the redirect after a logout, too: if the URL contains no response, the
 * page redirects to the app.
 *
 * @throws `StrongroomError` `config_invalid` if `app` is not a URL of another origin.
 */
export const vaultCallback = (options: VaultCallbackOptions): void => {
  const { app } = ownOf(options)
  const url = parsed(app)
  if (!url || !isTrustworthy(url) || url.origin === location.origin) {
    throw invalid('`app` must be the URL of a page of the app, on another origin')
  }
  // The Content-Security-Policy of this page should forbid other pages to show this page in a frame. In a frame, this
  // page does nothing.
  if (parent !== window) return
  const { hash, pathname, search } = location
  // The response is removed before anything else happens, so that the authorization code does not stay in the URL.
  showUrl(pathname)
  url.hash = ''
  const response = [search, hash]
    .map((part) => new URLSearchParams(part.slice(1)))
    .find((params) => params.has('code') || params.has('error'))
  // Some providers omit `state` from errors. Such a response is stored under a random name, and the vault explains what
  // is wrong with it.
  const state = response && (response.get('state') ?? crypto.randomUUID())
  const leave = () => location.replace(url)
  if (!isState(state)) return leave()
  if (!storeResponse(state, pathname + withoutDescription(search) + withoutDescription(hash))) {
    console.error(
      "strongroom: the provider's response is lost: it is too long, or cookies are not allowed here",
    )
  }
  if (state.endsWith(POPUP_MARK)) {
    window.close()
    setTimeout(leave, CLOSE_DELAY * 1000)
  } else {
    url.hash = STATE_FRAGMENT + state
    leave()
  }
}
