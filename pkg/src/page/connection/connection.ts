/**
 * A page's connection to its vault: the handshake, requests and responses by id, and disconnecting.
 *
 * A page always sends `bye` when the user leaves it, because the vault is not notified of a closed port and serves a
 * limited number of ports. If the page comes back from the back-forward cache, it connects to the vault again on a new
 * port. Every request that was in flight then fails with `page_left`, since the responses were lost.
 */
import { PROTOCOL } from '../../../glue/constants.js'
import type { Report } from '../activity.js'
import type { CallbackResult } from '../api.js'
import type { StrongroomError } from '../errors/error.js'
import { listen } from '../listen.js'
import { loadExplanation } from '../load.js'
import { LOCK_STOLEN, NO_WORKER, OTHER_ACCOUNT } from '../../protocol/message-keys.js'
import {
  BYE,
  HANDSHAKE,
  lockName,
  type Demand,
  type PageMessage,
  type VaultMessage,
} from '../../protocol/messages.js'
import { ownOf, portOf } from '../../protocol/own.js'
import { startLimit } from '../time-limit.js'
import { createError } from '../errors/error-text.js'
import { refusals } from './refused-worker.js'
import { connections } from './release.js'
import { type Effect, type Event as ConnectionEvent, type State, transition } from './state.js'
import { locksOf } from './locks.js'

/** The maximum number of thefts of its lock, within {@link THEFT_PERIOD}, after which a page connects again. */
const MAX_THEFTS = 3

/** Milliseconds within which thefts of a page's lock count together. */
const THEFT_PERIOD = 60_000

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never

/** A message with a response. The connection adds the id. */
export type RequestMessage = Without<
  Extract<PageMessage, { t: 'login' | 'callback' | 'fetch' | 'socket' | 'logout' | 'inspect' }>,
  'id'
>
/** A request with exactly one response. */
export type QueryMessage = Extract<RequestMessage, { t: 'callback' | 'logout' | 'inspect' }>
/** The response to a request with exactly one response, except `error`. */
export type ResponseTo<T extends QueryMessage['t']> = Extract<
  ResponseMessage,
  { t: { callback: 'settled' | 'initiated' | 'navigate'; logout: 'done'; inspect: 'inspection' }[T] }
>
/** A response to a request, except `error`. */
export type ResponseMessage = Exclude<Extract<VaultMessage, { id: number }>, { t: 'error' }>
/** An error message for one request, or for all requests. */
type ErrorMessage = Extract<VaultMessage, { code: string }> & {
  id?: number
  login?: Demand
  returnTo?: string
}
/** A message that concerns the whole page. */
export type Announcement = Extract<
  VaultMessage,
  { t: 'ready' | 'session' | 'expiring' | 'trace' | 'warning' | 'outdated' }
>
/** The first message of a vault. */
export type Ready = Extract<VaultMessage, { t: 'ready' }>
/** A value that JSON cannot represent: a request's body, a socket's port. */
export type Payload = Blob | ArrayBuffer | ReadableStream | MessagePort | undefined
/** The payload of `head`: the response's headers, and the whole body if it came with the head. */
export type HeadPayload = [headers: [string, string][], body?: Bytes]
/** Bytes of a body. */
export type Bytes = Uint8Array<ArrayBuffer>
/** A chunk of a body: `null` at its end, `false` where the connection broke. */
export type Chunk = Bytes | null | false

/** A request that waits for its response. */
export interface PendingRequest {
  /** Handles a response. Returns true if more messages follow. */
  respond(message: ResponseMessage, payload: unknown): unknown
  /** Called when the request was refused, or when the vault is gone. No more messages follow. */
  fail(error: unknown): void
  /** Handles a chunk of the body. Called only after `respond()`. */
  chunk?(chunk: Chunk): void
}

/** A worker on another origin, behind a frame of that origin: src/vault-origin/connect-frame.ts. */
export interface FrameTransport extends EventTarget {
  postMessage(message: typeof HANDSHAKE, ports: [MessagePort]): void
  /** The locks of the worker's origin. */
  locks: {
    request(name: string, options: object, granted?: () => unknown): Promise<unknown>
  }
  /** Releases the frame, which this connection no longer needs. */
  release(): void
  /**
   * Returns the `state` of the login that the fragment of the page's URL names, or `null`. The worker's origin should
   * have the response to this login.
   */
  pendingState(): string | null
  /** Implements `handleCallback()`. */
  callback(connection: Connection, url: URL): Promise<CallbackResult | null>
  /**
   * Waits for the response to a popup's login, and has the vault finish this login. `stop` ends the wait. `hasArrived`
   * resolves with true if the response has arrived, and otherwise with false.
   */
  awaitResponse(
    state: string,
    fail: (error: unknown) => void,
  ): { stop: () => void; hasArrived: () => Promise<boolean> }
}

/** A connection to a vault, after the handshake on its port. */
export interface Connection {
  /** The vault's worker. If this is a shared worker, the page in a popup can connect to the same worker. */
  at: SharedWorker | Worker | FrameTransport
  /** The lock that the vault's worker holds as long as it runs. */
  lock?: string
  /** All requests fail in a state that has an error. */
  state: State
  /** Sends a request and returns its id. If the vault is gone, returns 0, and the request fails. */
  send(request: PendingRequest, message: RequestMessage, payload?: Payload): number
  /** Sends a request that has exactly one response. */
  query<T extends QueryMessage['t']>(message: Extract<QueryMessage, { t: T }>): Promise<ResponseTo<T>>
  /** Requests more chunks of a body. */
  more(id: number): void
  /** Sends a message that has no response. */
  notify(what: Report): void
  /** Drops request `id`. With `how`, also tells the vault to abort the call or to cancel the login. */
  drop(id: number, how?: 'abort' | 'cancel'): void
  /**
   * Passes an event to the connection: see state.ts. `code` and `message` describe the error with which requests fail
   * after the event.
   */
  on(event: ConnectionEvent, code?: string, message?: string): void
  /** The connection that takes the place of this one: for the effects `adopt` and `discard`. */
  successor?: Connection
  /** Ends the worker or removes the frame of a connection that is replaced: reconnect.ts. */
  release?: () => void
}

/** Carries out the effects that a connection does not carry out itself, and receives the vault's announcements. */
export type Client = Partial<Record<Effect, (connection: Connection) => void>> & {
  announce?(announcement: Announcement): void
  /** Called with each refusal of a request. */
  refused?(refusal: { code: string; login?: Demand }): void
}

/**
 * Opens a port and waits for the vault's response. Every call creates a new port, so a page can connect to the same
 * worker several times.
 *
 * `timeout` is in seconds. The timeout is needed for two reasons. A worker that fails to load causes only an `error`
 * event, which Chromium 156 sometimes does not fire for shared workers. A worker that runs other code does not respond
 * at all.
 *
 * @param make The function that has made the worker, or `false` if `connect()` was given a worker.
 * @param account The account of the page. A worker of another one is refused, also if it takes the place of an earlier worker.
 */
export const open = (
  worker: Connection['at'],
  timeout: number,
  client: Client,
  make: unknown,
  account = 0,
): Promise<Connection> =>
  new Promise((resolve, reject) => {
    const pending = new Map<number, PendingRequest>()
    let last = 0
    let port: MessagePort
    let unlock: () => void
    let stopTimer: (() => void) | undefined
    let watching: AbortController | undefined
    let stopWaiting: (() => void) | undefined
    let stopPagehide: () => void
    /** The times at which script of the origin has stolen the page's lock, the latest one first. */
    const thefts: number[] = []
    const target = portOf(Object(worker)) ?? (worker as Worker)
    if (!target?.postMessage) return void createError('unsupported', `${worker}${NO_WORKER}`).then(reject)
    const locks = locksOf(worker)

    const post = (message: PageMessage, payload?: Payload) => {
      // Transfer every payload except a blob, which is passed by reference.
      const transfer = payload && !(payload instanceof Blob) ? [payload] : []
      // JSON would omit an option whose value is a function, and the vault could not refuse this option; and it throws
      // for a BigInt. `true` replaces both, and the vault refuses `true`.
      const text = JSON.stringify(message, (_, value) => /^(function|bigint)$/.test(typeof value) || value)
      port.postMessage([text, payload], transfer)
    }
    const connection = ownOf<Connection>({
      at: worker,
      state: { is: 'connecting', why: undefined },
      more: (id) => port.postMessage(id),
      send(request, message, payload) {
        const { why } = connection.state
        if (why) {
          why().then(request.fail)
          return 0
        }
        const id = ++last
        post({ ...message, id }, payload)
        pending.set(id, request)
        return id
      },
      query: (message) =>
        new Promise((resolve, fail) =>
          connection.send({ respond: resolve as PendingRequest['respond'], fail }, message),
        ),
      notify: (t) => post({ t }),
      drop(id, how) {
        if (forget(id) && how) post({ t: how, id })
      },
      on(event, code, message) {
        let error: Promise<StrongroomError> | undefined
        // One promise, so that a client learns of the end in the turn in which its requests fail.
        const why = code ? () => (error ??= createError(code, message)) : undefined
        const [state, effects] = transition(connection.state, event, why)
        connection.state = state
        for (const effect of effects) {
          own[effect]?.()
          client[effect]?.(connection)
        }
      },
    })

    const forget = (id: number) => {
      const existed = pending.delete(id)
      own.drain!()
      return existed
    }

    const end = () => {
      connections.delete(connection)
      own.leave!()
      failAll()
    }
    /** Fails all requests with `error`, the error of the state, or `page_left`. */
    const failAll = (error?: Promise<StrongroomError>) => {
      if (pending.size) error ??= connection.state.why?.() ?? createError('page_left')
      for (const request of pending.values()) error!.then(request.fail)
      pending.clear()
    }
    const refuse = ({ t, id, code, message, ...more }: ErrorMessage) => {
      if (t === 'failed') return connection.on(code === 'vault_outdated' ? 'stopped' : 'ended', code, message)
      const request = pending.get(id)
      if (id && !request) return
      client.refused?.({ code, ...more })
      const error = createError(code, message)
      // These members are set before `request.fail` is called, so that the request gets the complete error.
      error.then((refusal) => Object.assign(refusal, more))
      if (request) error.then(request.fail)
      // An error without an id means that the vault could not read the id of a message, so it may concern any request.
      else {
        error.then(reject)
        failAll(error)
      }
      forget(id!)
    }
    const dispatch = (message: VaultMessage, payload: unknown) => {
      if ('code' in message) return refuse(message)
      if ('id' in message) {
        const request = pending.get(message.id)
        if (!request || !deliver(request, message, payload)) forget(message.id)
        return
      }
      // A worker without accounts has the session of the first one.
      if (message.t === 'ready' && (message.account ?? 0) !== account)
        return connection.on('ended', 'config_invalid', `${OTHER_ACCOUNT}${message.account}/${account}`)
      if (connection.state.is !== 'retiring') client.announce?.(message)
      if (message.t === 'ready') connection.on('ready')
    }
    /** Detects the end of the worker by the worker's lock, since the platform has no event for the end. */
    const watch = (name: string) => {
      watching?.abort()
      watching = new AbortController()
      const gone = () => connection.on('ended', 'vault_crashed')
      locks.request((connection.lock = name), watching, gone).catch(() => {})
    }
    /** Connects again after a theft of the page's lock, because the vault has disconnected the page, or will. */
    const robbed = ({ name }: Error) => {
      // If the browser blocks the site's data, it refuses the lock with another error.
      if (name !== 'AbortError') return
      if (pending.size) failAll(createError('page_left', LOCK_STOLEN))
      thefts.unshift(performance.now())
      if (thefts[0]! - thefts[MAX_THEFTS]! < THEFT_PERIOD)
        connection.on('ended', 'vault_crashed', LOCK_STOLEN)
      else connection.on('robbed')
    }
    const receive = ({ data }: MessageEvent) => {
      if (typeof data === 'string') return watch(data)
      const [head, payload] = data
      if (typeof head === 'string') return dispatch(ownOf(JSON.parse(head)), payload)
      pending.get(head)?.chunk?.(payload)
      if (!payload) forget(head)
    }

    const timedOut = () => connection.on('ended', 'worker_timeout', `${timeout}`)
    const startTimer = () => (stopTimer = startLimit(timeout * 1000, timedOut))
    const onWorkerError = (event: Event) =>
      loadExplanation(() => import('./worker-failure.js'), 'explain')
        .then(({ explain }) => explain(event, make, refusals))
        .catch(() => '')
        // A worker that has sent the name of its lock runs the vault's code, and sends its own error.
        .then((why) => connection.lock || connection.on('ended', 'worker_failed', why))
    const stopWatching = listen(worker, 'error', onWorkerError)
    /** Ends what only the handshake needs. Later errors in the worker's file concern only the app. */
    const opened = () => {
      stopTimer?.()
      stopWaiting?.()
      stopWatching()
    }

    /** The effects that a connection carries out itself. */
    const own: Partial<Record<Effect, () => void>> = ownOf({
      greet() {
        failAll()
        const { port1, port2 } = new MessageChannel()
        port = port1
        port.onmessage = receive
        // A page can end without sending `bye`, but the browser then releases the page's locks. Each page therefore
        // holds a lock, and the vault learns of the page's end by waiting for this lock. The number in the lock's name
        // is a fraction, so that the number cannot be the id of a request. The page releases the lock when the user
        // leaves the page, because browsers do not keep a page that holds locks in the back-forward cache.
        const held = new Promise<void>((resolve) => (unlock = resolve))
        const name = Math.random()
        locks?.request(lockName(name), () => (port1.postMessage(name), held)).catch(robbed)
        // A prerendered page gets its worker only when it is shown, so the timer starts then.
        if (document.prerendering) stopWaiting = listen(document, 'prerenderingchange', startTimer)
        else startTimer()
        target.postMessage(HANDSHAKE, [port2])
        post({ t: 'hello', version: PROTOCOL, loaded: Math.trunc(performance.timeOrigin) })
        // The worker may have ended while the page was in the back-forward cache.
        if (connection.lock) watch(connection.lock)
        stopPagehide = listen(window, 'pagehide', () => {
          connection.on('left')
          addEventListener('pageshow', () => connection.on('restored'), { once: true })
        })
      },
      open() {
        opened()
        connections.add(connection)
        resolve(connection)
      },
      leave() {
        opened()
        stopPagehide()
        watching?.abort()
        port.postMessage([BYE])
        port.close()
        unlock()
      },
      end,
      part() {
        end()
        connection.release?.()
      },
      report: () => connection.state.why!().then(reject),
      discard: () => connection.successor!.on('close', 'closed'),
      drain() {
        // A call may still be prepared for this vault, while the page has moved to a newer one.
        if (!pending.size) connection.on('idle', 'vault_outdated')
      },
    })
    own.greet!()
  })

/** Passes a response to its request. Returns true if more messages follow. The request fails if its handler throws. */
const deliver = (request: PendingRequest, message: ResponseMessage, payload: unknown) => {
  try {
    return request.respond(message, payload)
  } catch (error) {
    return request.fail(error)
  }
}
