/** Connects a page to a vault, or to a token handler, and implements the client's methods. */
import type { ConnectOptions, Events, LogoutOptions, Resumed, Strongroom } from './api.js'
import { isResponse, webUrl } from './address.js'
import { afterCallbacks, callbacksOf, handleCallback, loadLogin } from './login/callback.js'
import { StrongroomError } from './errors/error.js'
import { vaultFetch } from './fetch/fetch.js'
import { watchUser } from './activity.js'
import { listen } from './listen.js'
import { load, loadExplanation } from './load.js'
import { mediaMethods, relayMedia } from './media/relay.js'
import { openPopup } from './login/popup.js'
import { recordEnd } from './guards/end-record.js'
import { type Client, type Connection, open as openAny, type Ready } from './connection/connection.js'
import { refusals, watchRefusals } from './connection/refused-worker.js'
import {
  NO_OPTION,
  NO_RESUME,
  NO_TIME_LIMIT,
  NOT_CREATED,
  UNSUPPORTED_CONTEXT,
} from '../protocol/message-keys.js'
import { hasMethod, ownOf } from '../protocol/own.js'
import { release } from './connection/release.js'
import { implementTarget } from './streaming/implement-target.js'
import { createTarget, type LazyClient } from './streaming/lazy-target.js'
import { refuse, rejectTyped } from './errors/error-text.js'
import { isTimeLimit } from './time-limit.js'
import { isSignedIn, next, type SessionEvent, START } from './session-state.js'
import type { Notice } from './errors/error-messages.js'

/** A worker, or a frame that stands for one: src/vault-origin/connect-frame.ts. */
type AnyWorker = SharedWorker | Worker

/** All events: see `Events` in api.ts. */
const EVENTS = ['call', 'change', 'expiring', 'failed', 'trace']

/** Milliseconds after which a page is left although a warning could not be printed. */
const LEAVE = 2000

/** Milliseconds after which a missing call of `handleCallback()` is reported. */
const REMINDER = 5000

/** Rejects because the method `call` has no option `name`. */
const refuseOption = (call: string, name: string) => refuse('message_invalid', `${call}${NO_OPTION}'${name}'`)

/** Creates the client's method `on()` for the events of `events`. */
const createOn =
  (events: EventTarget): Strongroom['on'] =>
  (type, listener) => {
    // The error is thrown synchronously, so its message cannot be loaded first.
    if (!EVENTS.includes(type)) {
      throw new StrongroomError('message_invalid', `on() has no event '${type}', only ${EVENTS}.`)
    }
    return listen(events, type, ({ detail }: CustomEvent) => listener(detail))
  }

/**
 * Connects the page to the vault in `worker`.
 *
 * Each call creates a new connection, so the same worker may be passed again.
 *
 * @param worker A worker from the app's own file, which calls `vault()` of `strongroom/worker`. Call `connect()` in the
 *   same turn in which you create the worker: the `error` event of a worker that fails to load is fired only once.
 *
 *   Prefer a function that returns the worker, or a promise of the worker. The client calls this function for
 *   `reconnect()`, to get the worker of a newer deployment (docs/deployment.md), and to explain in `worker_failed` what
 *   is wrong with the file.
 *
 *   Alternatively, pass the path of a token handler's endpoints (`strongroom/edge`) on this origin, such as `/auth`. No
 *   vault runs in the browser in this case. The client has the same interface, and docs/edge-page.md lists the differences
 *   in behavior.
 * @throws `StrongroomError` `worker_failed`, `worker_timeout`, or an error of the vault, such as
 *   `config_invalid`, `wasm_failed` or `wasm_blocked`. Over a token handler: `handler_unreachable`, or an error of the
 *   handler, such as `coordinator_unavailable`.
 */
export const connect = async (
  worker: AnyWorker | (() => AnyWorker | Promise<AnyWorker>) | string,
  options?: ConnectOptions,
): Promise<Strongroom> => {
  const { timeout = 10, resume, account, ...unknown } = ownOf(options)
  if (!globalThis.isSecureContext) return refuse('unsupported', UNSUPPORTED_CONTEXT)
  for (const name of Object.keys(unknown)) return refuseOption('connect', name)
  if (!isTimeLimit(timeout)) return refuse('message_invalid', NO_TIME_LIMIT + timeout)
  if (account !== undefined && resume) return refuse('message_invalid', NO_RESUME)
  if (typeof worker === 'string') {
    if (account !== undefined) return refuseOption('connect', 'account')
    return (await load(() => import('./token-handler/token-handler-client.js'), 'connect', timeout)).connect(
      worker,
      timeout,
      resume,
      refuse,
      refuseOption,
      createOn,
    )
  }
  const resuming = resume && load(() => import('./guards/resume.js'), 'resume')
  let connection: Connection
  /** Settles when the last attempt to replace a vault has ended. */
  let replacement: Promise<void> | undefined
  const open: typeof openAny = (at, limit, client, why) => openAny(at, limit, client, why, account)
  const events = new EventTarget()
  let state = START
  /** The first message of the vault in use. */
  let ready!: Ready
  let stopWatching: (() => void) | undefined
  // Declared here, because `resume()` may call handleCallback(), which clears this timer.
  let reminder: ReturnType<typeof setTimeout> | undefined

  const make =
    typeof worker === 'function' &&
    (async () => {
      watchRefusals()
      try {
        return await worker()
      } catch (error: any) {
        if (error?.name !== 'SecurityError') return rejectTyped(error, NOT_CREATED)
        // WebKit throws this error if the page's policy forbids the worker, and only an event says so.
        const why = await loadExplanation(() => import('./connection/worker-failure.js'), 'explain')
          .then(({ explainRefusal }) => explainRefusal(worker, refusals))
          .catch(() => '')
        return why ? refuse('worker_failed', why) : rejectTyped(error, NOT_CREATED)
      }
    })

  const emit = <K extends keyof Events>(type: K, detail: Events[K]) => {
    events.dispatchEvent(new CustomEvent(type, { detail }))
  }
  const loadReconnect = () => load(() => import('./connection/reconnect.js'), 'succeed', timeout)
  /** Resolves when the last warning is printed. */
  let told: Promise<void> | undefined
  const tell = (message: Notice) => {
    const texts = loadExplanation(() => import('./errors/error-messages.js'), 'describeError')
    told = texts.then(
      ({ tell }) => tell(message, emit),
      () => console.warn(message),
    )
  }
  /** Waits for `told` before the page is left, but not for a file that does not arrive. */
  const printed = () => told && Promise.race([told, new Promise((resolve) => setTimeout(resolve, LEAVE))])
  const on = (event: SessionEvent) => {
    const [after, ...effects] = next(state, event)
    state = after
    for (const [type, detail] of effects) emit(type, detail)
  }
  const use = (next: Connection) => {
    connection = next
    stopWatching?.()
    stopWatching = watchUser((event) => state.session && connection.notify(event))
  }

  const client = ownOf<Client>({
    announce(message) {
      if (message.t === 'trace' || message.t === 'warning') return void tell(message)
      if (message.t === 'outdated') return connection.on(message.t)
      if (message.t === 'ready') ready = message
      on(message)
    },
    refused({ code, login }) {
      if (code === 'interaction_required' || login) on({ t: 'refused', startedAt: state.session?.startedAt })
    },
    end() {
      on({ t: 'gone' })
      stopWatching?.()
    },
    hide: () => on({ t: 'hidden' }),
    report: (ended) =>
      (failed = ended).state.why!().then((failure) => {
        // Emit no event if the page has called close() in the meantime.
        if (ended.state.is === 'closed') return
        emit('failed', failure)
        // This event is the second, so that no listener takes the end of the session for one in a vault that works.
        if (state.shown) on({ t: 'hidden' })
      }),
    move: (old) => void succeed(old),
    replace: (old) => (replacement = succeed(old)),
    adopt: ({ successor }) => use(successor!),
  })
  /** Connects to the vault of another worker. Resolves when the client uses this vault. */
  const succeed = (old: Connection) => {
    const successor = loadReconnect().then((loaded) =>
      loaded.succeed(old, make, open, timeout, client, refuse, release, () => state.session, events),
    )
    successor.catch(() => old.on('unreplaced'))
    return successor
  }

  /** Waits until the vault is not being replaced. Rejects if it has no successor. */
  const replaced = () =>
    replacement?.catch((error) => {
      // A move that began earlier may have succeeded.
      if (connection.state.why) throw error
    })

  // Loads login.js while the vault starts, because a first visit needs the file next, and the app's next deployment may
  // delete it. If loading fails, the login itself reports the failure.
  let loaded: typeof import('./login/login.js') | undefined
  loadLogin().then(
    (file) => (loaded = file),
    () => {},
  )
  let made: AnyWorker | undefined
  /** The last connection that has failed. */
  let failed: Connection | undefined
  /** Connects, and leaves no worker behind if that fails. */
  const first = async (limit = timeout, why: unknown = make) => {
    const at = (made = make ? await make() : (worker as AnyWorker))
    return open(at, limit, client, why).catch((error) => {
      if (make) release(at)
      throw error
    })
  }
  use(
    await first().catch(async (error) => {
      // Without a function, there is no other worker, and the page's policy or the browser refuses each one. A page may
      // also have come to a vault that is about to end.
      if (!/^(worker_failed|vault_.+)$/.test(error.code) || !make || !made || refusals.size) throw error
      const reconnect = await loadReconnect().catch(() => {})
      if (!reconnect) throw error
      return reconnect.again(error, first, timeout, () => failed)
    }),
  )
  const hasResponse = () => isResponse(new URL(location.href), ready.app)
  if (ready.callbackPage && hasResponse()) tell({ t: 'exposed' })
  let resumed: Resumed | null = state.session && (ready.from ?? 'vault')
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
    get elsewhere() {
      return !state.session && state.elsewhere
    },
    async fetch(input, init) {
      const { onProgress } = ownOf(init)
      const via = onProgress
        ? (await load(() => import('./streaming/streaming.js'), 'webSocket')).watched(connection, onProgress)
        : connection
      return vaultFetch(via, input, init, (call) => {
        // The API does not accept the token, and a login brings another one.
        if (call.status === 401) on({ t: 'refused', startedAt: state.session?.startedAt })
        emit('call', call)
      }).catch((error) => {
        const { login } = ownOf(error as Partial<StrongroomError>)
        if (error instanceof StrongroomError && login) {
          error.stepUp = async (options) => {
            await auth.login({ mode: 'popup', ...login, ...options })
            return auth.fetch(input, init)
          }
        }
        throw error
      })
    },
    eventSource: (url, init, target = createTarget(url)) =>
      implementTarget('eventSource', target, connection, init, auth),
    webSocket: (url, protocols, target = createTarget(url)) =>
      implementTarget('webSocket', target, connection, protocols),
    async login(given) {
      // login.js refuses an event, whose members are inherited.
      const options = given && hasMethod(given, 'preventDefault') ? given : ownOf(given)
      if (isSignedIn(state, options)) return state.session!
      const { href } = location
      // A callback that the callback page has finished ends before login.js is there.
      const own = callbacksOf(ready.app)
      const begun = own.inFlight
      // login.js refuses a popup in a foreign frame. Usually it is loaded already, so that no window opens.
      const popup = loaded?.isForeignFrame() ? undefined : openPopup(connection, options)
      try {
        const { login } = await loadLogin()
        const context = {
          href,
          popup,
          hasSession: () => state.session,
          callback: () => afterCallbacks(own.inFlight ?? begun),
          refuse,
          webUrl,
          printed,
          ready,
        }
        await login(connection, options, context)
      } catch (error) {
        popup?.close()
        throw error
      }
      return state.session!
    },
    async handleCallback(url) {
      clearTimeout(reminder)
      return handleCallback(connection, ready.app, url)
    },
    async logout(options?: LogoutOptions) {
      const { provider = false, returnTo, ...unknown } = ownOf(options)
      for (const name of Object.keys(unknown)) return refuseOption('logout', name)
      await replaced()
      const back = returnTo && new URL(returnTo, location.href).href
      const before = state.session
      const done = await connection.query({ t: 'logout', provider, returnTo: back })
      // If the page has moved to a newer vault in the meantime, that vault may not know of the logout yet.
      if (before) on({ t: 'ended', startedAt: before.startedAt, reason: 'logged_out' })
      if (done.url) {
        const url = webUrl(done.url)
        await printed()
        location.assign(url)
      }
      return { revoked: done.revoked }
    },
    on: createOn(events),
    ...mediaMethods((request, port) => auth.relay(request, port), account),
    relay: ({ url, headers }, port) =>
      new Promise((_, fail) =>
        connection.send(
          // The only message to the page is about a network error.
          { respond: () => fail(new TypeError('network error')), fail },
          { t: 'fetch', url, method: 'GET', headers, media: true },
          port,
        ),
      ),
    get name() {
      return ready.app
    },
    recordEnd: () => recordEnd(ready.app, auth, Date.now()),
    async inspect() {
      return (await connection.query({ t: 'inspect' })).holdings
    },
    async reconnect() {
      connection.on('reconnect')
      await replaced()
      // The successor may have failed in the meantime.
      if (connection.state.is === 'failed') throw await connection.state.why()
    },
    close() {
      stopRelay()
      connection.on('close', 'closed')
    },
  }
  const stopRelay = relayMedia(auth.relay, account)
  if (resuming)
    resumed =
      (await resuming
        .then((loaded) =>
          loaded.resume(
            auth,
            connection,
            resume,
            callbacksOf(ready.app).handled,
            refuse,
            ready.app,
            !!ready.callbackPage,
          ),
        )
        .catch((error) => {
          auth.close()
          if (make) release(connection.at)
          throw error
        })) ?? resumed
  // Warns the developer if the URL still contains the response to a login after a few seconds.
  reminder = setTimeout(() => hasResponse() && tell({ t: 'unhandled' }), REMINDER)
  return auth
}
