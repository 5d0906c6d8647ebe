/**
 * A page's port to its vault: the handshake, questions and answers by id, and the end of it.
 *
 * A page that is left says `bye`, always: the vault hears of a port's end in no other way, and it serves a
 * limited number. If the page comes back all the same, from the back-forward cache, it meets the vault again
 * on a new port. Until then it is frozen, and what was under way is rejected with `page_left` as it comes back,
 * since its answer went nowhere. A page that is gone for good is told nothing.
 */
import type { CallbackResult } from './api.js'
import type { StrongroomError } from './error.js'
import { listen } from './listen.js'
import {
  BYE,
  HANDSHAKE,
  lockName,
  PROTOCOL,
  type Demand,
  type PageMessage,
  type VaultMessage,
} from '../protocol/messages.js'
import { createError } from './error-text.js'

/** A text of src/page/error-messages.ts. */
const NO_WORKER = '\x07f'

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never

/** A message that starts something; the connection gives it its id. */
export type RequestMessage = Without<
  Extract<PageMessage, { t: 'login' | 'callback' | 'fetch' | 'socket' | 'logout' | 'inspect' }>,
  'id'
>
/** A question with one answer. */
export type QueryMessage = Extract<RequestMessage, { t: 'callback' | 'logout' | 'inspect' }>
/** What answers it, but for `error`. */
export type ResponseTo<T extends QueryMessage['t']> = Extract<
  ResponseMessage,
  { t: { callback: 'settled'; logout: 'done'; inspect: 'inspection' }[T] }
>
/** What answers a question, but for `error`. */
export type ResponseMessage = Exclude<Extract<VaultMessage, { id: number }>, { t: 'error' }>
/** What refuses a question, or all of them. */
type ErrorMessage = Extract<VaultMessage, { code: string }> & {
  id?: number
  login?: Demand
  returnTo?: string
}
/** What concerns the whole page. */
export type Announcement = Extract<
  VaultMessage,
  { t: 'ready' | 'session' | 'expiring' | 'trace' | 'warning' | 'outdated' }
>
/** What JSON cannot carry: a request's body, a socket's port. */
export type Payload = Blob | ArrayBuffer | ReadableStream | MessagePort | undefined
/** A chunk of a body: `null` at its end, `false` where the connection broke. */
export type Chunk = Uint8Array<ArrayBuffer> | null | false

/** Somebody who waits for the answer to a question. */
export interface PendingRequest {
  /** Returns whether more is to come. */
  respond(message: ResponseMessage, payload: unknown): unknown
  /** It was refused, or there is no vault any more. Nothing follows. */
  fail(error: unknown): void
  /** A chunk of the body that an answer announced. */
  chunk?(chunk: Chunk): void
}

/** A worker on another origin, behind a frame of that origin: src/vault-origin/connect-frame.ts. */
export interface FrameTransport extends EventTarget {
  postMessage(message: typeof HANDSHAKE, ports: [MessagePort]): void
  /** Those of the worker's origin. */
  locks: {
    request(name: string, options: object, granted?: () => unknown): Promise<unknown>
  }
  /** The page needs it no longer. */
  release(): void
  /** The `state` in the page's address, if it says that there is an answer on the worker's origin. */
  pendingState(): string | null
  /** What `handleCallback()` does. */
  callback(connection: Connection, url: URL): Promise<CallbackResult | null>
  /** Passes the answer to a popup's login to the vault. `look` tells whether it is there. */
  awaitResponse(
    state: string,
    fail: (error: unknown) => void,
  ): { stop: () => void; look: () => Promise<boolean> }
}

/** An open port, after its handshake. */
export interface Connection {
  /** Where the vault is. A popup's page reaches the same one if it has a port. */
  at: SharedWorker | Worker | FrameTransport
  /** The lock that the vault's worker holds for as long as it lives. */
  lock?: string
  /** Whether it has ended: then whatever is asked fails. */
  hasEnded(): boolean
  /** Sends a question and returns its id; 0 if the vault is gone, and then the request fails. */
  send(request: PendingRequest, message: RequestMessage, payload?: Payload): number
  /** Sends a question that has one answer. */
  query<T extends QueryMessage['t']>(message: Extract<QueryMessage, { t: T }>): Promise<ResponseTo<T>>
  /** Asks for more pieces of a body. */
  more(id: number): void
  /** Says something that has no answer. */
  notify(what: 'active' | 'woke'): void
  /** Nobody waits for `id` any more: `abort` a call, `cancel` a login. */
  drop(id: number, how?: 'abort' | 'cancel'): void
  /** Ends everything that is pending with this error, and all that would follow. */
  end(code: string, message?: string): void
  /** Announces nothing more, ends when nothing is pending, and then calls `ended`. */
  retire(ended: () => void): void
}

/** What hears about the whole page's matters. */
export interface Listener {
  announce(announcement: Announcement): void
  /** The connection has ended: with this error, unless it was closed by the page itself. */
  ended(error?: Promise<StrongroomError>): void
}

/**
 * Opens a port and waits for the vault's answer. Every call makes a port of its own, so one worker may
 * be connected to any number of times.
 *
 * A worker that fails to load says so by an `error` event only, which Chromium 156 loses now and then if the worker is
 * a shared one, and one that runs something else says nothing at all: hence the time limit, in seconds.
 *
 * @param make The argument of `connect()`.
 */
export const open = (
  worker: Connection['at'],
  timeout: number,
  listener: Partial<Listener>,
  make: unknown,
): Promise<Connection> =>
  new Promise((resolve, reject) => {
    const pending = new Map<number, PendingRequest>()
    let last = 0
    let failure: (() => Promise<StrongroomError>) | undefined
    let port: MessagePort
    let release: () => void
    let timer: ReturnType<typeof setTimeout>
    let watching: AbortController | undefined
    let isOpen = false
    let stopWaiting: (() => void) | undefined
    let hasRetired = false
    const target = (worker as Partial<SharedWorker> | undefined)?.port ?? (worker as Worker)
    if (!target?.postMessage) return void createError('unsupported', `${worker}${NO_WORKER}`).then(reject)
    const { locks = navigator.locks } = worker as Partial<FrameTransport>

    const post = (message: PageMessage, payload?: Payload) => {
      // All but a blob, which is passed on by reference.
      const transfer = payload && !(payload instanceof Blob) ? [payload] : []
      // JSON would leave out an option that is a function, and the vault could not refuse it. It refuses `true` instead.
      const text = JSON.stringify(message, (_, value) => typeof value === 'function' || value)
      port.postMessage([text, payload], transfer)
    }
    const connection: Connection = {
      at: worker,
      hasEnded: () => !!failure,
      more: (id) => port.postMessage(id),
      send(request, message, payload) {
        const id = ++last
        if (failure) {
          failure().then(request.fail)
          return 0
        }
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
      end(code, message) {
        if (failure) return
        let error: Promise<StrongroomError> | undefined
        failure = () => (error ??= createError(code, message))
        stopPagehide()
        disconnect()
        if (pending.size) failAll(failure())
        if (code === 'closed') return listener.ended?.()
        failure().then(reject)
        listener.ended?.(failure())
      },
      retire(ended) {
        listener = { ended }
        hasRetired = true
        forget(0)
      },
    }

    const forget = (id: number) => {
      const existed = pending.delete(id)
      if (hasRetired && !pending.size) connection.end('closed')
      return existed
    }

    const failAll = (error: Promise<StrongroomError>) => {
      for (const request of pending.values()) error.then(request.fail)
      pending.clear()
    }
    const refuse = ({ t, id, code, message, ...more }: ErrorMessage) => {
      if (t === 'failed') return connection.end(code, message)
      const request = pending.get(id)
      if (id && !request) return
      const error = createError(code, message)
      // Before anybody hears of it.
      error.then((refusal) => Object.assign(refusal, more))
      if (request) error.then(request.fail)
      // The vault could not read so much as the id of a message. Nobody is left waiting.
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
      listener.announce?.(message)
      if (message.t !== 'ready') return
      opened()
      resolve(connection)
    }
    /** The worker is gone when its lock is free: no event would say so. */
    const watch = (name: string) => {
      watching?.abort()
      watching = new AbortController()
      const gone = () => connection.end('vault_crashed')
      locks.request((connection.lock = name), watching, gone).catch(() => {})
    }
    const receive = ({ data }: MessageEvent) => {
      if (typeof data === 'string') return watch(data)
      const [head, payload] = data
      if (typeof head === 'string') return dispatch(JSON.parse(head), payload)
      pending.get(head)?.chunk?.(payload)
      if (!payload) forget(head)
    }

    const timedOut = () => connection.end('worker_timeout', `${timeout}`)
    const startTimer = () => (timer = setTimeout(timedOut, timeout * 1000))
    const onWorkerError = (event: Event) =>
      import('./worker-failure.js')
        .then(({ explain }) => explain(event, make))
        .catch(() => '')
        // A worker that has a lock runs the vault's code, and gives its own reason.
        .then((why) => isOpen || connection.lock || connection.end('worker_failed', why))
    const stopWatching = listen(worker, 'error', onWorkerError)
    // Only until the handshake: later errors in the app's part of the worker's file are the app's.
    const opened = () => {
      isOpen = true
      clearTimeout(timer)
      stopWaiting?.()
      stopWatching()
    }

    const connect = () => {
      if (failure) return
      if (pending.size) failAll(createError('page_left'))
      const { port1, port2 } = new MessageChannel()
      port = port1
      port.onmessage = receive
      // A page may be gone without a word, and nobody tells. But its locks are free then: the vault waits for this
      // one, whose name is no call's number. It is given back by hand, or the page would not be cached.
      const held = new Promise<void>((resolve) => (release = resolve))
      const name = Math.random()
      locks?.request(lockName(name), () => (port1.postMessage(name), held))
      // A page that is prerendered gets its worker when it is shown.
      if (document.prerendering) stopWaiting = listen(document, 'prerenderingchange', startTimer)
      else startTimer()
      target.postMessage(HANDSHAKE, [port2])
      post({ t: 'hello', version: PROTOCOL, loaded: Math.trunc(performance.timeOrigin) })
      // It may have ended with nobody there to see it.
      if (connection.lock) watch(connection.lock)
    }
    const disconnect = () => {
      opened()
      watching?.abort()
      port.postMessage([BYE])
      port.close()
      release()
    }
    const stopPagehide = listen(window, 'pagehide', () => {
      disconnect()
      addEventListener('pageshow', connect, { once: true })
    })
    connect()
  })

/** Whether more is to come. An answer that the page cannot use fails; it leaves nobody waiting. */
const deliver = (request: PendingRequest, message: ResponseMessage, payload: unknown) => {
  try {
    return request.respond(message, payload)
  } catch (error) {
    return request.fail(error)
  }
}
