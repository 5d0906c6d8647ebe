/**
 * The bridge's end in the offscreen document, which owns the vault's worker. Each port of an extension's page or service
 * worker becomes one port of the worker, so the vault treats these contexts as its pages.
 */
import { MAX_PORTS } from '../../glue/constants.js'
import { StrongroomError } from '../page/errors/error.js'
import { listen } from '../page/listen.js'
import { refusals, watchRefusals } from '../page/connection/refused-worker.js'
import { explain } from '../page/connection/worker-failure.js'
import { BYE, HANDSHAKE, type VaultMessage } from '../protocol/messages.js'
import { extensionApi, type Port } from './chrome.js'
import { isOwnSender } from './sender.js'
import { pack, parse, PORT_NAME } from './wire.js'

/** Errors that concern one client, and not the vault. */
const OF_ONE_CLIENT = ['message_invalid', 'limit_exceeded']

let isServing = false

/**
 * Serves the vault of a worker to the extension's own pages and to its service worker. Call this function once, at the
 * start of the script of the offscreen document.
 *
 * @param create Creates the vault's worker. Called for the first connection, and again after a vault has failed.
 * @throws `StrongroomError` `unsupported` outside of an extension; `config_invalid` if `create` is not a function,
 *   or if this function was called before.
 */
export const serveVault = (create: () => Worker): void => {
  const api = extensionApi()
  if (!api) throw new StrongroomError('unsupported', 'serveVault() works only in a page of an extension.')
  if (typeof create !== 'function') {
    throw new StrongroomError(
      'config_invalid',
      'serveVault() takes a function that creates the worker. Pass () => new Worker(…).',
    )
  }
  if (isServing) {
    throw new StrongroomError('config_invalid', 'serveVault() was called twice in one page. Call it once.')
  }
  isServing = true
  const clients = new Set<Client>()
  let current: Host | undefined
  /** Ends a worker, so that the next connection creates another one. */
  const replace = (host: Host) => {
    if (current === host) current = undefined
    host.worker.terminate()
  }
  const start = (): Host => {
    watchRefusals()
    const worker = create()
    let isWatched = false
    const host: Host = {
      worker,
      replace: () => replace(host),
      watch(lock) {
        if (!isWatched) navigator.locks.request(lock, host.replace)
        isWatched = true
      },
    }
    const failed = async (event: Event) => {
      const message = await explain(event, create, refusals).catch(() => '')
      for (const client of clients) if (client.host === host) client.fail('worker_failed', message)
      replace(host)
    }
    listen(worker, 'error', failed)
    return host
  }
  api.runtime.onConnect.addListener((port) => {
    // The app may have ports of its own.
    if (port.name !== PORT_NAME) return
    if (!isOwnSender(port.sender)) return port.disconnect()
    const client = new Client(port, () => clients.delete(client))
    clients.add(client)
    if (clients.size > MAX_PORTS) {
      oldestOfGreediest(clients).fail(
        'limit_exceeded',
        'this page has the most connections, and too many are open',
      )
    }
    if (!clients.has(client)) return
    try {
      client.connect((current ??= start()))
    } catch (error) {
      client.fail('worker_failed', (error as Error).message)
    }
  })
}

/** The worker of a vault. */
interface Host {
  worker: Worker
  /** Ends the worker, because its vault has ended. */
  replace(): void
  /** Detects the end of the worker by the lock that it holds. */
  watch(lock: string): void
}

/**
 * Returns the oldest connection of the page with the most connections, so that no page can take the connections of other
 * pages. All connections without a document are those of the service worker.
 */
const oldestOfGreediest = (clients: Set<Client>): Client => {
  const byPage = new Map<string | undefined, Client[]>()
  for (const client of clients) byPage.set(client.page, [...(byPage.get(client.page) ?? []), client])
  const [[oldest]] = [...byPage.values()].sort((a, b) => b.length - a.length) as [[Client]]
  return oldest
}

/** A connection of a page or of the service worker of the extension. */
class Client {
  host: Host | undefined
  /** The browser's identifier of the page. The service worker has none. */
  readonly page: string | undefined
  readonly #port: Port
  readonly #channel = new MessageChannel()
  readonly #onEnd: () => void
  #isOver = false

  constructor(port: Port, onEnd: () => void) {
    this.#port = port
    this.page = port.sender?.documentId
    this.#onEnd = onEnd
    port.onMessage.addListener((message) => this.#receive(message))
    port.onDisconnect.addListener(() => this.#end())
    this.#channel.port1.onmessage = ({ data }) => this.#pass(data)
  }

  connect(host: Host) {
    this.host = host
    host.worker.postMessage(HANDSHAKE, [this.#channel.port2])
  }

  /** Tells the client that it is not served any longer. */
  fail(code: string, message: string) {
    this.#post([JSON.stringify({ t: 'failed', code, message } satisfies VaultMessage)])
    this.#end()
    this.#port.disconnect()
  }

  /** Passes a message of the client to the vault. */
  #receive(message: unknown) {
    if (this.#isOver) return
    const parsed = parse(message)
    if (parsed === undefined) {
      return this.fail('message_invalid', 'a message to the bridge is malformed or too large')
    }
    const body = typeof parsed === 'number' ? undefined : parsed[1]
    this.#channel.port1.postMessage(parsed, body ? [body] : [])
  }

  /** Passes a message of the vault to the client. */
  #pass(message: unknown) {
    this.#post(pack(message))
    if (typeof message === 'string') this.host!.watch(message)
    const code = codeOfFailure(message)
    if (code === undefined) return
    this.#end()
    if (!OF_ONE_CLIENT.includes(code)) this.host!.replace()
  }

  #post(message: unknown) {
    if (this.#isOver) return
    try {
      this.#port.postMessage(message)
    } catch {
      // The client has gone, and the event `disconnect` has not been fired yet.
      this.#end()
    }
  }

  /** Ends the calls and logins of the client, which cannot receive their responses. */
  #end() {
    if (this.#isOver) return
    this.#isOver = true
    this.#channel.port1.postMessage([BYE])
    this.#channel.port1.close()
    this.#onEnd()
  }
}

/** Returns the code of the message with which a vault ends, or ends a connection. */
const codeOfFailure = (message: unknown): string | undefined => {
  const text = Array.isArray(message) && message[0]
  if (typeof text !== 'string') return
  const { t, code } = JSON.parse(text)
  return t === 'failed' ? code : undefined
}
