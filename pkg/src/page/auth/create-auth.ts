/**
 * Creates the object that all parts of an app share. The object connects to the vault on first use, finishes a login
 * whose response is in the URL, and tells listeners about each change.
 */
import { showUrl } from '../address.js'
import type {
  CallbackResult,
  ConnectOptions,
  DefaultClaims,
  LoginOptions,
  Strongroom,
  StrongroomErrorLike,
} from '../api.js'
import { watchUser } from '../activity.js'
import type { Auth, AuthOptions, AuthSource, AuthState, WorkerSource } from './auth.js'
import { type AuthEvent, nextState } from './auth-state.js'
import { createWorker } from './create-worker.js'
import { connect } from '../connect.js'
import { connectFrame } from '../connect-by-frame.js'
import { rejectTyped } from '../errors/error-text.js'
import { isNews } from '../errors/news.js'
import { recordEnd } from '../guards/end-record.js'
import { INITIAL_STATE } from './initial-state.js'
import { listen } from '../listen.js'
import { load } from '../load.js'
import { unclaimedResponse } from '../login/callback.js'
import { mediaMethods, relayMedia } from '../media/relay.js'
import { ownOf } from '../../protocol/own.js'
import { isOffline } from '../../protocol/repeat.js'
import { createTarget, failTarget, type LazyClient } from '../streaming/lazy-target.js'
import { sendLogout } from '../token-handler/send-logout.js'

/** Milliseconds. A vault that fails within this time after it has replaced another vault is not replaced. */
const PAUSE = 60_000

/** The least milliseconds after a failed connection before an event or a call makes the page connect again. */
const RETRY_INTERVAL = 5000

/** Milliseconds after which a visible page connects again although its browser takes the device to be offline. */
const OFFLINE_INTERVAL = 30_000

/**
 * Matches the codes of failures that last, because the configuration or the app's code causes them, and not a server or a
 * network. `message_invalid` is not among them, because a vault of another version may have refused the page's message.
 */
const IS_FINAL = /^(config_invalid|origin_not_allowed|unsupported|wasm_blocked|wasm_missing|closed)$/

/**
 * Has the browser request the WebAssembly module, which the worker itself requests only when its own file has arrived.
 * The browser then gives the worker this response, if it may keep the file.
 */
const prefetch = (href: string | URL) => {
  try {
    document.head.append(
      Object.assign(document.createElement('link'), { rel: 'prefetch', as: 'fetch', crossOrigin: '', href }),
    )
  } catch {
    // An element of the page can be named `head`. The worker requests the module itself.
  }
}

/** Loads the guard, which most pages do not need. */
const loadGuard = () => load(() => import('../guards/guard.js'), 'signIn').catch(rejectTyped)

/**
 * The key, followed by the fallback's path, of a note in localStorage: this browser was signed in at the fallback, and an
 * older session of its vault may still have to end (1); or only the fallback has not responded to a logout yet (2).
 */
const NOTE = 'strongroom.fallback '

/** The end of the key under which localStorage has the start of the last session that this browser had at the fallback. */
const SINCE = ' since'

/** Returns the client's part of the state. */
const view = ({ session, elsewhere, recordEnd }: LazyClient) => ({
  session,
  endReason: recordEnd(),
  elsewhere,
  expiring: null,
})

/**
 * Creates the object through which an app signs in and calls its APIs. Nothing happens until the object is used, so a
 * module may create the object, also on a server.
 *
 * @param source The app's workers, or `{ frame }` with the URL of a vault on its own origin, or the path of a token
 *   handler such as `/auth`.
 * @typeParam Claims The claims that the configuration's `claims` names. The vault does not check their types.
 */
export const createAuth = <Claims = DefaultClaims>(source: AuthSource, given?: AuthOptions): Auth<Claims> => {
  const { onReturn = showUrl, ...options } = ownOf(given)
  const workers = typeof source === 'string' ? undefined : ownOf(source as { frame?: string } & WorkerSource)
  const { account, fallback, frame, wasm } = ownOf(workers)
  // Decided at once, and never after an error or a timeout: a user could then get a session in each of two places.
  const isFallback = !frame && !!fallback && !globalThis.WebAssembly
  const handler = isFallback ? fallback : typeof source === 'string' ? source : undefined
  const via = handler === undefined ? 'vault' : 'handler'
  const note = NOTE + fallback
  const events = new EventTarget()
  let state: AuthState<any> = INITIAL_STATE
  let client: LazyClient | undefined
  /** Resolves when the vault has responded and `handleCallback()` was called. */
  let opened: Promise<LazyClient> | undefined
  /** Resolves when the callback is finished. */
  let ready: Promise<LazyClient> | undefined
  let callback: ReturnType<Strongroom['handleCallback']>
  let nextRenewal = 0
  /** The time from which a failed connection is tried again when the world changes, or at a call. */
  let retryAt = Infinity
  let offlineTimer: ReturnType<typeof setTimeout> | undefined
  /** The message of the last failed connection. An attempt that fails in the same way is not printed. */
  let lastFailure: string | undefined
  let watching: (() => void)[] | undefined
  /** True if the world has changed since the last attempt to connect began. The next attempt may then succeed. */
  let hasWoken = false
  let isClosed = false
  /** True until the vault's session, which is older than that of the fallback, has ended. Until then, it is not shown. */
  let isLeaving = false

  const on = (event: AuthEvent) => {
    if (isClosed) return
    state = nextState(state, event)
    if (isFallback && state.session) {
      noted(1)
      since(state.session.startedAt)
    }
    events.dispatchEvent(new Event('change'))
  }
  /** Prints an error, because an app may look neither at the state nor at the promises of its calls. */
  const print = (error: any) => {
    // Promises that depend on each other fail with the same error.
    if (state.error !== error && isNews(error.code))
      console.error(`strongroom: ${error.code ?? error.name}: ${error.message}`)
    return error
  }
  const fail = (error: StrongroomErrorLike) => {
    on({ status: 'failed', error: error.message === lastFailure ? error : print(error) })
    lastFailure = error.message
    if (isClosed || IS_FINAL.test(error.code)) return
    retryAt = performance.now() + RETRY_INTERVAL
    if (hasWoken) later()
    if (!isOffline()) return
    // If the browser is wrong, no event says that the network works.
    clearTimeout(offlineTimer)
    offlineTimer = setTimeout(() => document.visibilityState === 'visible' && retry(), OFFLINE_INTERVAL)
  }
  /** Called when the world changes. The device comes online once, so an event that comes too early counts later. */
  const later = () => {
    hasWoken ||= state.status === 'connecting'
    // Timers ignore fractions.
    if (retryAt < Infinity) setTimeout(retry, retryAt - performance.now() + 1)
  }
  const retry = () => {
    if (performance.now() >= retryAt && !isClosed) beginAgain()
  }

  /** Writes an item, or returns it. Without localStorage, the handler's own limits end its session. */
  const item = (key: string, value?: number): unknown => {
    if (!fallback) return
    try {
      return value ? (localStorage[key] = value) : (localStorage.getItem(key) ?? undefined)
    } catch {
      return
    }
  }
  const noted = (value?: 1 | 2) => item(note, value)
  const since = (value?: number) => item(note + SINCE, value) as string | undefined
  /** Ends a session at the fallback, which may have begun in an earlier page, or by a link of another site. */
  const endFallback = async () => {
    if (isFallback || !fallback) return
    // A logout may fail at the vault. The next page then still has to end the session there.
    if (noted() != 1) noted(2)
    const path = fallback.replace(/\/$/, '')
    // Keeps guards of pages at the fallback from signing in again, also in older tabs.
    recordEnd(path, { session: null, endReason: 'logged_out', elsewhere: false })
    // With `keepalive`, the request is sent also if the page is left.
    const send = (headers: HeadersInit) =>
      fetch(`${path}/logout`, { method: 'POST', headers, keepalive: true })
    const response = await sendLogout(path, send, since(), true)
    const { revoked, other } = ownOf(await response.json())
    // Anything else than the handler's response may be a page of the server, or of a service worker. If the
    // browser has another session than the known one, the note stays for the next page.
    if (revoked === undefined || other) return
    if (noted() == 2) for (const key of [note, note + SINCE]) delete localStorage[key]
    // Tells older tabs.
    const channel = new BroadcastChannel(`strongroom ${path}`)
    channel.postMessage({ startedAt: null, reason: 'logged_out' })
    channel.close()
  }
  /**
   * Ends both sessions of a browser that has a vault again. The user of the older one must not come back.
   * At the fallback, ends a session there that a logout of the vault could not end.
   */
  const leaveFallback = async (vault: LazyClient) => {
    const value = noted()
    if (isFallback) {
      if (value == 2) {
        await vault.logout()
        delete localStorage[note]
      }
      return
    }
    isLeaving = value == 1 && !!vault.session
    if (isLeaving) {
      const ended = new Promise<void>((resolve) => vault.on('change', ({ session }) => session || resolve()))
      // The session ends at once, and its revocation may take long.
      await Promise.race([ended, vault.logout().catch(() => {})])
      // The vault has failed, and the one in its place may have the session.
      if (!vault.endReason) return
      isLeaving = false
    }
    if (!value) return
    noted(2)
    endFallback().catch(() => {})
  }

  const create = async () => {
    if (wasm && !isFallback) prefetch(wasm)
    // The handler has its own session, whichever account the page names.
    const given: ConnectOptions = isFallback ? { ...options } : { account, ...options }
    // The handler finds its session by the cookie, and a session that the vault resumes would end at once.
    if (isFallback || noted() == 1) given.resume = 'none'
    const next = (await (frame
      ? connectFrame(frame, given)
      : connect(handler ?? (() => createWorker(workers!)), given))) as LazyClient
    next.on('change', () => isLeaving || on(view(next)))
    next.on('expiring', ({ at }) => on({ expiring: at }))
    next.on('failed', (error) => {
      if (performance.now() >= nextRenewal) renew()
      else fail(error)
    })
    return next
  }

  const start = () => {
    retry()
    return ready ?? begin()
  }
  /** Connects, and finishes a login. If the login fails, the error is in the state, and the client stays usable. */
  const begin = (): Promise<LazyClient> => {
    hasWoken = false
    if (globalThis.document)
      watching ??= [
        watchUser((what) => (what === 'online' || what === 'visible') && later()),
        listen(window, 'focus', later),
      ]
    const open = async () => {
      if (client) await client.reconnect()
      else client = await create()
      await leaveFallback(client)
      callback = client.handleCallback()
      return client
    }
    const finish = async (next: LazyClient) => {
      let error: StrongroomErrorLike | null = null
      const back = ownOf<Partial<CallbackResult>>(
        await callback.catch(rejectTyped).catch((failure) => (error = print(failure))),
      )
      // An error that `onReturn` throws is reported as an unhandled rejection, and does not affect this connection.
      if (back.returnTo) (async () => onReturn(back.returnTo!))()
      // If the vault has failed in the meantime and is being replaced, wait for the new vault.
      if (opening !== opened) return ready!
      lastFailure = undefined
      on({ status: 'connected', via, ...view(next), error })
      // The error is on the console already.
      if (!handler) unclaimedResponse()?.then((unclaimed) => unclaimed && on({ error: unclaimed }))
      // Guards of the app wait for this promise, and then share the login that another site has begun.
      if (back.login) (await loadGuard()).signIn(auth, next.name, back.login)
      return next
    }
    const opening = (opened = open().catch(rejectTyped))
    ready = opening.then(finish)
    ready.catch(fail)
    return ready
  }
  const relay: LazyClient['relay'] = async (request, port) => (await start()).relay(request, port)
  /**
   * Replaces a vault that has failed: reconnect.ts waits for the vault's worker to end, and calls `createWorker` again.
   */
  const renew = () => {
    nextRenewal = performance.now() + PAUSE
    beginAgain()
  }
  const beginAgain = () => {
    retryAt = Infinity
    begin()
    on({ status: 'connecting', error: null })
  }

  const auth: Auth<any> = {
    get state() {
      return state
    },
    subscribe(listener) {
      // A server does not connect, and renders the initial state.
      if (globalThis.document) start()
      // A new function for each subscription, so that an app may subscribe the same listener twice.
      const own = () => listener(state)
      const stop = listen(events, 'change', own)
      own()
      return stop
    },
    connect: start,
    fetch: async (input, init) => (await start()).fetch(input, init),
    eventSource: (url, init) => live('eventSource', url, init),
    webSocket: (url, protocols) => live('webSocket', url, protocols),
    login(login?: LoginOptions) {
      if (state.error) on({ error: null })
      if (isFallback) noted(1)
      // Calls `login()` in the task of the click, so that the browser lets the popup open. Before the connection, calls
      // it in the turn in which the callback begins, so that the login waits for the callback.
      const attempt = (
        state.status === 'connected'
          ? client!.login(login)
          : (start(), opened!.then((next) => next.login(login)))
      ).catch(rejectTyped)
      // With this handler, an app may also ignore the promise.
      attempt.catch((error) => error.code === 'login_canceled' || on({ error: print(error) }))
      return attempt
    },
    media: mediaMethods(relay, account).media,
    download: async (path, download) => (await start()).download(path, download),
    async logout(logout) {
      endFallback().catch(() => {})
      const result = await (await start()).logout(logout)
      if (state.status === 'connected' && state.error) on({ error: null })
      return result
    },
    async requireSession(login) {
      // Loads the file while the vault starts. If loading fails, the second import below reports the failure.
      if (!state.session) loadGuard().catch(() => {})
      // If the connection fails, the error is in the state.
      await start().catch(() => {})
      // If the vault has stopped, waits for the vault that takes its place.
      if (state.session) await client!.reconnect().catch(() => {})
      // A login by redirect would cut off the callback of another client, which may still connect.
      else await unclaimedResponse()
      return state.session ?? (await loadGuard()).signIn(auth, client?.name, login)
    },
    async reconnect() {
      if (state.status === 'failed' && !isClosed) renew()
      await start()
    },
    close() {
      stopRelay()
      for (const stop of watching ?? []) stop()
      isClosed = !!opened
      opened?.then(
        (next) => next.close(),
        () => {},
      )
    },
  }

  // Elements may load before the app uses this object.
  const stopRelay = relayMedia(relay, account)

  /** Returns an event source or a socket that opens when the vault is connected. */
  const live = (kind: 'eventSource' | 'webSocket', url: string | URL, options: any): any => {
    if (state.status === 'connected') return client![kind](url, options)
    const target = createTarget(url)
    start()
      .then((next) => next[kind](url, options, target))
      .catch((error) => failTarget(target, print(error)))
    return target
  }
  return auth
}
