/** A page's port to its vault: the handshake, questions and answers by id, and the end of it. */
import { failure, StrongroomError } from './error.js'
import { PROTOCOL, type PageMessage, type VaultMessage } from './messages.js'

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never

/** A message that starts something; the link gives it its id. */
export type Question = Without<
  Extract<PageMessage, { t: 'login' | 'callback' | 'fetch' | 'logout' | 'inspect' }>,
  'id'
>
/** What answers a question, but for `error`. */
export type Answer = Exclude<Extract<VaultMessage, { id: number }>, { t: 'error' }>
/** What concerns the whole page. */
export type Announcement = Extract<VaultMessage, { t: 'ready' | 'session' | 'trace' }>
/** A piece of a body: `null` at its end, `false` where the connection broke. */
export type Piece = Uint8Array<ArrayBuffer> | null | false

/** Somebody who waits for the answer to a question. */
export interface Asker {
  /** Returns whether more is to come. */
  answer(answer: Answer, payload: unknown): unknown
  /** It was refused, or there is no vault any more. Nothing follows. */
  fail(error: unknown): void
  /** A piece of the body that an answer announced. */
  piece?(piece: Piece): void
}

/** An open port, after its handshake. */
export interface Link {
  /** Whether tabs share this vault, so that a popup's page reaches the same one. */
  shared: boolean
  /** Sends a question and returns its id. Throws if the vault is gone. */
  ask(asker: Asker, question: Question, payload?: unknown, transfer?: Transferable[]): number
  /** Sends a question that has one answer. */
  query(question: Question): Promise<Answer>
  /** Sends what has no answer: a message, or a bare id to ask for one more piece. */
  send(message: PageMessage | number): void
  /** Nobody waits for `id` any more: `abort` a call, `cancel` a login. */
  drop(id: number, how?: 'abort' | 'cancel'): void
  /** Ends everything that is pending with `error`, and all that would follow. */
  end(error: StrongroomError): void
}

/** What hears about the whole page's matters. */
export interface Listener {
  announce(announcement: Announcement): void
  /** The link has ended, by the vault or by `end()`. */
  ended(error: StrongroomError): void
}

/**
 * Opens a port and waits for the vault's answer. Every call makes a port of its own, so one worker may
 * be connected to any number of times.
 *
 * A worker that fails to load says so by an `error` event only, and one that runs something else says
 * nothing at all: hence the time limit, in seconds.
 */
export const open = (worker: SharedWorker | Worker, timeout: number, listener: Listener): Promise<Link> =>
  new Promise((resolve, reject) => {
    const { port1: port, port2 } = new MessageChannel()
    const askers = new Map<number, Asker>()
    const life = new AbortController()
    let last = 0
    let over: StrongroomError | undefined

    const send: Link['send'] = (message) => post(port, message)
    const link: Link = {
      shared: 'port' in worker,
      send,
      ask(asker, question, payload, transfer) {
        if (over) throw over
        const id = ++last
        post(port, { ...question, id }, payload, transfer)
        askers.set(id, asker)
        return id
      },
      query: (question) => new Promise((answer, fail) => link.ask({ answer, fail }, question)),
      drop(id, how) {
        if (askers.delete(id) && how) send({ t: how, id })
      },
      end(error) {
        if (over) return
        over = error
        opened()
        life.abort()
        port.close()
        failAll(error)
        listener.ended(error)
      },
    }

    const failAll = (error: StrongroomError) => {
      reject(error)
      for (const asker of askers.values()) asker.fail(error)
      askers.clear()
    }
    const hear = (message: VaultMessage, payload: unknown) => {
      if (message.t === 'failed') {
        link.end(new StrongroomError(message.code, message.message))
      } else if ('id' in message) {
        const asker = askers.get(message.id)
        if (message.t !== 'error' && asker && proceed(asker, message, payload)) return
        askers.delete(message.id)
        if (message.t !== 'error') return
        const error = new StrongroomError(message.code, message.message)
        if (asker) asker.fail(error)
        // The vault could not read so much as the id of a message. Nobody is left waiting.
        else if (!message.id) failAll(error)
      } else {
        listener.announce(message)
        if (message.t === 'ready') {
          opened()
          resolve(link)
        }
      }
    }
    port.onmessage = ({ data: [head, payload] }) => {
      if (typeof head === 'string') return hear(JSON.parse(head), payload)
      const asker = askers.get(head)
      if (!payload) askers.delete(head)
      asker?.piece?.(payload)
    }

    const late = () => link.end(failure('worker_timeout', `the worker did not answer within ${timeout} s`))
    const broken = () => link.end(failure('worker_failed', "the worker's script could not be loaded or run"))
    const timer = setTimeout(late, timeout * 1000)
    // Only until the handshake: later errors in the app's part of the worker's file are the app's.
    const opened = () => {
      clearTimeout(timer)
      worker.removeEventListener('error', broken)
    }
    worker.addEventListener('error', broken)
    // A page in the back-forward cache comes back with its port.
    addEventListener('pagehide', (event) => event.persisted || send({ t: 'bye' }), { signal: life.signal })

    const door = 'port' in worker ? worker.port : worker
    door.postMessage('strongroom', [port2])
    send({ t: 'hello', version: PROTOCOL })
  })

/** Whether more is to come. An answer that the page cannot use fails; it leaves nobody waiting. */
const proceed = (asker: Asker, answer: Answer, payload: unknown) => {
  try {
    return asker.answer(answer, payload)
  } catch (error) {
    return asker.fail(error)
  }
}

const post = (
  port: MessagePort,
  message: object | number,
  payload?: unknown,
  transfer: Transferable[] = [],
) =>
  port.postMessage(
    typeof message === 'number'
      ? message
      : payload == null
        ? [JSON.stringify(message)]
        : [JSON.stringify(message), payload],
    transfer,
  )
