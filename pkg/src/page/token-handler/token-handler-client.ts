/**
 * The client over a token handler (`strongroom/edge`). It has the same interface as the client over a vault, and sends
 * requests with a cookie that no script can read. A page loads this file when it calls `connect()` with a path.
 *
 * The handler makes all decisions. The client only knows the session that it last read from the handler.
 */
import { BACKGROUND, FOR_WINDOWS, UNAUTHORIZED, USER } from '../../../glue/constants.js'
import { watchUser } from '../activity.js'
import type { ConnectOptions, LogoutOptions, Strongroom } from '../api.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { recordEnd } from '../guards/end-record.js'
import { eventSource } from '../streaming/event-source.js'
import { createTarget, failTarget, type LazyClient } from '../streaming/lazy-target.js'
import { isLoopback } from '../../protocol/loopback.js'
import { ownOf } from '../../protocol/own.js'
import { listen } from '../listen.js'
import { whenShown } from '../prerendering.js'
import { type Failure, repeat } from '../../protocol/repeat.js'
import { handlerFetch, rejectWith, routeUrl } from './handler-fetch.js'
import { handlerLogin } from './handler-login.js'
import {
  errorIn,
  handlerRequests,
  type HandlerConfig,
  type HandlerError,
  type HandlerRequests,
  retryAfter,
} from './handler-requests.js'
import { handlerSession } from './handler-session.js'
import { relaySocket } from './relay-socket.js'
import { sendLogout } from './send-logout.js'

/** The response to a logout: src/edge/endpoints/logout.rs. */
interface LogoutResponse {
  url: string
  revoked: boolean
  /** True if the browser has another session than the one that the request named. Nothing has changed then. */
  other?: boolean
}

/**
 * See `connect` of connect.ts, which passes its own functions in the last three parameters so that the bundle of this
 * file does not contain copies of them.
 */
export const connect = async (
  address: string,
  timeout: number,
  resume: ConnectOptions['resume'],
  refuse: typeof Refuse,
  refuseOption: (call: string, name: string) => Promise<never>,
  createOn: (events: EventTarget) => Strongroom['on'],
): Promise<Strongroom> => {
  const base = await basePath(address, resume, refuse)
  // Browsers mark the requests of a prerendered page, and the handler refuses some of them.
  await whenShown()
  await checkAddress(base, refuse)
  const events = new EventTarget()
  const closing = new AbortController()
  const closed = closing.signal
  const sockets = new Set<WebSocket>()
  const requests = handlerRequests(base, timeout, closed)
  const deadline = performance.now() + timeout * 1000
  /** Repeats an attempt until the time limit. Rejects with the last error and its advice. */
  const untilTimeout = <T>(attempt: () => Promise<T>): Promise<T> =>
    repeat(attempt, deadline).catch((error: Partial<HandlerError>) => {
      // An exception of the platform.
      if (!error.code) throw error
      return rejectWith(refuse, error.code, error.message!)
    })
  const config = await untilTimeout(() => loadConfig(requests))
  const state = handlerSession(requests, config, events, (reason) => {
    for (const socket of sockets) socket.close(UNAUTHORIZED, reason ?? 'replaced')
  })
  await untilTimeout(async () => {
    const failed = await state.read()
    if (failed) throw failed
  })

  const resumed = state.session && 'cookie'
  const login: Strongroom['login'] = (options) =>
    handlerLogin({ base, state, events, closed, refuse, refuseOption }, ownOf(options))
  const send = handlerFetch(state, config, closed, refuse, login)
  const auth: LazyClient = {
    get session() {
      return state.session
    },
    get resumed() {
      return resumed
    },
    get endReason() {
      return state.reason
    },
    /** All tabs share one cookie, so no other session can exist. */
    elsewhere: false,
    fetch: send,
    eventSource(url, init, target = createTarget(url)) {
      eventSource(target, send, init, auth)
      return target as never
    },
    webSocket(url, protocols, early) {
      if (state.isClosed) {
        const target = early ?? createTarget(url)
        refuse('closed').catch((error) => failTarget(target, error))
        return target as never
      }
      const address = new URL(url, location.href)
      address.protocol = address.protocol.replace('ws', 'http')
      const target = routeUrl(config, address.href)
      if (!target) throw new TypeError(`no route of the handler has a url that covers ${address.href}`)
      const socket = new WebSocket(target.replace('http', 'ws'), protocols)
      sockets.add(socket)
      socket.addEventListener('close', () => sockets.delete(socket))
      if (early) relaySocket(early, socket)
      return socket
    },
    login,
    handleCallback: async () => null,
    async logout(options?: LogoutOptions) {
      const { provider = false, returnTo, ...unknown } = ownOf(options)
      for (const name of Object.keys(unknown)) return refuseOption('logout', name)
      if (state.isClosed) return refuse('closed')
      const startedAt = state.session?.startedAt
      const path = `${base}/logout`
      const response = await sendLogout(
        path,
        (headers) =>
          requests.send(provider ? 'logout?provider' : 'logout', USER, { method: 'POST', headers }),
        startedAt,
      ).catch(({ code, message }: HandlerError) =>
        state.isClosed ? refuse('closed') : rejectWith(refuse, code, message),
      )
      const error = await errorIn(response)
      if (error) return rejectWith(refuse, error.code, error.message)
      const body = ownOf((await response.json().catch(() => null)) as LogoutResponse | null)
      if (!response.ok || !body.url) {
        return refuse('handler_unreachable', `${path} sent no usable response (status ${response.status})`)
      }
      const { url, revoked, other } = body
      state.on({ t: 'denied', startedAt, reason: 'logged_out' })
      if (other) void state.read()
      // `url` is a URL of the handler, which redirects to the provider. Scripts do not get the provider's URL, because
      // it contains the ID token.
      if (provider && !other) location.assign(new URL(url, location.origin))
      return { revoked }
    },
    on: createOn(events),
    // Elements load the handler's routes with `media` themselves.
    media: async () => false,
    download: () =>
      refuse('unsupported', 'download() needs a vault: over a token handler, link to a route with navigate'),
    relay: () => refuse('unsupported', 'a token handler has no vault for media()'),
    name: base,
    recordEnd: () => recordEnd(base, auth),
    inspect: () =>
      refuse('unsupported', 'inspect() needs a vault: a token handler shows no page what it holds'),
    async reconnect() {},
    close() {
      if (state.isClosed) return
      for (const stop of stops) stop()
      state.close()
      for (const socket of sockets) socket.close()
      // Every pending request fails with this error.
      refuse('closed').catch((error) => closing.abort(error))
    },
  }
  state.openChannel()
  // Tells other tabs about the session, because this page may have just come back from a login.
  state.announce()
  const stops = [
    watchUser((event) => {
      if (event === 'active') state.onUserActivity()
      if (event === 'online' || event === 'visible') state.onPageShown()
    }),
    listen(window, 'focus', state.onPageShown),
    listen(window, 'pagehide', state.closeChannel),
    listen(window, 'pageshow', state.onPageRestored),
  ]
  return auth
}

/**
 * Resolves with the path of the handler's endpoints. Rejects if `address` or `resume` cannot be used with a token
 * handler.
 */
const basePath = async (
  address: string,
  resume: ConnectOptions['resume'],
  refuse: typeof Refuse,
): Promise<string> => {
  const { href, pathname } = new URL(address, location.href)
  if (/\.[cm]?[jt]sx?$/.test(pathname)) {
    const worker = "new SharedWorker(new URL('./auth.worker.js', import.meta.url), { type: 'module' })"
    return refuse(
      'unsupported',
      `a string is the path of a token handler (strongroom/edge), and ${pathname} is a script: for a vault in a worker pass the worker itself, such as ${worker}`,
    )
  }
  if (href !== location.origin + pathname) {
    return refuse('unsupported', `${href} is not a path on the page's own origin, where the cookies are`)
  }
  if (resume && resume !== 'none') {
    return refuse(
      'unsupported',
      'the option resume is for vaults: a token handler keeps the session in a cookie',
    )
  }
  return pathname.replace(/\/$/, '')
}

/**
 * Rejects if this page runs at an address of the handler, which never serves the app. A login would lead to the same page
 * again.
 */
const checkAddress = async (base: string, refuse: typeof Refuse): Promise<void> => {
  const { pathname } = location
  if (!FOR_WINDOWS.split(' ').some((name) => pathname === `${base}/${name}`)) return
  const source = navigator.serviceWorker?.controller
    ? "the app's service worker has most likely responded"
    : 'no service worker controls it, so the server has responded'
  return refuse(
    'shell_served',
    `the app's page runs at ${pathname}, which is an address of the token handler: ${source} with the app's page`,
  )
}

/** Loads the handler's configuration for pages. Rejects with an error for {@link repeat}. */
const loadConfig = async (requests: HandlerRequests): Promise<HandlerConfig> => {
  const response = await requests.send('config', BACKGROUND).catch(() => null)
  const config = response?.ok && ownOf((await response.json().catch(() => null)) as HandlerConfig | null)
  if (config && Array.isArray(config.routes)) {
    const { base } = config
    if (base === requests.base) return config
    const message = `a proxy changes the path of requests for the handler from ${requests.base} to ${base}, so its redirects and its redirect_uri would be wrong. Let the proxy pass paths on unchanged, and set base in the handler's configuration to the path that browsers use`
    throw failure('handler_unreachable', message, { isFinal: true })
  }
  const what = `the response of ${location.origin}${requests.base}/config`
  if (!response) throw failure('handler_unreachable', `${what} is missing`)
  const isPage = response.ok && /^text\/html\b/i.test(response.headers.get('content-type') ?? '')
  const more = {
    after: retryAfter(response),
    // In development, both are a wrong path. In production, a server may restart.
    isFinal: isLoopback(location.hostname) && (isPage || response.status === 404),
  }
  if (isPage) throw failure('shell_served', `${what} is a page`, more)
  const { code, message } = (await errorIn(response)) ?? {
    code: 'handler_unreachable',
    message: `${what} does not come from a token handler (status ${response.status})`,
  }
  throw failure(code, message, more)
}

const failure = (code: string, message: string, more?: Failure) => ({ code, message, ...more })
