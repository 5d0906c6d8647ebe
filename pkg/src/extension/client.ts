/**
 * The bridge's end in the extension's service worker and pages. For the page's code it looks like a worker, so that all
 * of src/page works unchanged.
 */
import type {
  Code,
  DefaultClaims,
  LoginOptions,
  LogoutOptions,
  OpenAuthorization,
  Session,
  VaultRequestInit,
} from '../page/api.js'
import type { Auth, AuthOptions } from '../page/auth/auth.js'
import { createAuth } from '../page/auth/create-auth.js'
import { StrongroomError } from '../page/errors/error.js'
import { refuse } from '../page/errors/error-text.js'
import { BYE, type HANDSHAKE, type VaultMessage } from '../protocol/messages.js'
import { extensionApi, type Port } from './chrome.js'
import { MAX_BODY, pack, PORT_NAME, unpack } from './wire.js'

/** Options of {@link createExtensionAuth}. */
export interface ExtensionAuthOptions extends Pick<AuthOptions, 'timeout'> {
  /** The path in the extension of the page that calls `serveVault()`, such as `offscreen.html`. */
  offscreen: string
  /**
   * Opens the authorization URL for `login()`. Default: `chrome.identity.launchWebAuthFlow`, which needs the permission
   * `identity`.
   */
  open?: OpenAuthorization
}

/**
 * Milliseconds between attempts to connect. Another context may have created the offscreen document, whose script has
 * not run yet. Or the document is being closed.
 */
const RETRY_DELAYS = [50, 100, 200, 400, 800, 1600]

const JUSTIFICATION = 'Runs the web worker that keeps the OAuth tokens.'

const NO_WINDOW =
  "in an extension login() opens no page of its own: leave out the option mode, or use 'device'"
const NO_PROVIDER = 'in an extension logout() cannot go to the provider: leave out the option provider'

const launchWebAuthFlow: OpenAuthorization = async (url) => {
  const { identity } = extensionApi()!
  if (!identity) throw new Error('the manifest has no permission "identity"')
  return (await identity.launchWebAuthFlow({ url, interactive: true })) ?? ''
}

/**
 * Creates the object through which the extension's service worker or one of its pages signs in and calls APIs. The
 * object is that of `createAuth()`, and connects at its first use to the vault in the offscreen document, which it
 * creates if necessary.
 *
 * `login()` uses the mode `custom`, with the option `open` of this function.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export const createExtensionAuth = <Claims = DefaultClaims>({
  offscreen,
  open = launchWebAuthFlow,
  ...options
}: ExtensionAuthOptions): Auth<Claims> => {
  if (!extensionApi()) {
    throw new StrongroomError('unsupported', 'createExtensionAuth() works only in an extension.')
  }
  if (typeof offscreen !== 'string') {
    throw new StrongroomError(
      'config_invalid',
      "createExtensionAuth() needs the path of the offscreen document. Pass { offscreen: 'offscreen.html' }.",
    )
  }
  const dedicated = () => new OffscreenWorker(offscreen) as unknown as Worker
  const auth = createAuth<Claims>({ dedicated }, options)
  const { fetch, login, logout } = auth
  const custom = { mode: 'custom', open } as const
  return Object.assign(auth, {
    async login(given?: LoginOptions): Promise<Session<Claims>> {
      // A service worker has no window, and the extension has no page at the redirect URI.
      if (/^(redirect|popup)$/.test(given?.mode ?? '')) return refuse('unsupported', NO_WINDOW)
      return login({ ...(!given?.mode && custom), ...given })
    },
    async logout(given?: LogoutOptions) {
      if (given?.provider) return refuse('unsupported', NO_PROVIDER)
      return logout(given)
    },
    fetch: (input: RequestInfo | URL, init?: VaultRequestInit) =>
      fetch(input, init).catch((error) => {
        const { stepUp } = error
        if (stepUp) error.stepUp = (given?: LoginOptions) => stepUp({ ...custom, ...given })
        throw error
      }),
  })
}

/**
 * Creates the offscreen document, unless it exists. Rejects if another context is creating it, because an extension can
 * have only one.
 */
const ensureDocument = async (path: string) => {
  const { offscreen, runtime } = extensionApi()!
  const existing = await runtime.getContexts({ contextTypes: ['OFFSCREEN_DOCUMENT'] })
  if (existing.length) return
  if (!offscreen) throw new Error('the manifest has no permission "offscreen"')
  const url = runtime.getURL(path)
  await offscreen.createDocument({ url, reasons: ['WORKERS'], justification: JUSTIFICATION })
}

/** Stands for the worker in the offscreen document. */
class OffscreenWorker extends EventTarget {
  readonly #path: string
  readonly #ends = new Set<() => void>()

  constructor(path: string) {
    super()
    this.#path = path
  }

  /** Connects the page's port to the vault. */
  postMessage(_message: typeof HANDSHAKE, [page]: [MessagePort]) {
    const end = () => {
      this.#ends.delete(end)
      stop()
    }
    const stop = relay(page, this.#path, end)
    this.#ends.add(end)
  }

  /** Disconnects. The worker in the offscreen document also serves other contexts, and does not end. */
  terminate() {
    for (const end of this.#ends) end()
  }
}

/**
 * Passes messages between the page's port and the bridge. Returns a function that ends the relay. `onEnd` is called if
 * the bridge or the page has ended it.
 */
const relay = (page: MessagePort, path: string, onEnd: () => void): (() => void) => {
  const { runtime } = extensionApi()!
  let isOver = false
  let disconnect = () => {}
  const stop = () => {
    isOver = true
    disconnect()
    page.close()
  }
  const tell = (message: VaultMessage) => page.postMessage([JSON.stringify(message)])
  const fail = (code: Code, message: string) => {
    if (isOver) return
    tell({ t: 'failed', code, message })
    onEnd()
  }
  /** The port of the bridge, as soon as the vault's worker has sent its first message: the name of its lock. */
  let ready: Port | undefined
  /** Messages of the page that wait for the vault's worker. */
  const waiting: unknown[] = []
  let last: Promise<unknown> = Promise.resolve()
  const send = async (data: unknown) => {
    const message = await readMessage(data)
    if (isOver) return
    if ('refusal' in message) tell(message.refusal)
    else if (ready) ready.postMessage(message.wire)
    else waiting.push(message.wire)
    if ((data as unknown[])[0] === BYE) onEnd()
  }
  // A blob is read asynchronously, and the messages must keep their order.
  page.onmessage = ({ data }) => {
    last = last.then(() => send(data)).catch((error) => fail('vault_crashed', error.message))
  }
  const connect = (attempt: number) => {
    if (isOver) return
    const port = runtime.connect({ name: PORT_NAME })
    disconnect = () => port.disconnect()
    port.onMessage.addListener((message) => {
      if (isOver) return
      page.postMessage(unpack(message))
      if (ready) return
      ready = port
      for (const held of waiting) port.postMessage(held)
    })
    port.onDisconnect.addListener(() => {
      // Chromium prints an error that is not read.
      const reason = runtime.lastError?.message ?? 'it has closed the connection'
      if (ready) fail('vault_crashed', 'the offscreen document has gone')
      else retry(attempt, reason)
    })
  }
  const retry = (attempt: number, reason: string) => {
    const delay = RETRY_DELAYS[attempt]
    if (delay) setTimeout(begin, delay, attempt + 1)
    else fail('worker_failed', `${path}: ${reason}`)
  }
  const begin = (attempt: number) =>
    ensureDocument(path)
      .then(() => connect(attempt))
      .catch((error) => retry(attempt, error.message))
  begin(0)
  return stop
}

/** Returns a message of the page for the bridge, or the error for a message that cannot cross. */
const readMessage = async (data: unknown): Promise<{ wire: unknown } | { refusal: VaultMessage }> => {
  if (!Array.isArray(data)) return { wire: data }
  const [text, body] = data
  const refuse = (code: Code, message: string) => ({
    refusal: { t: 'error', id: JSON.parse(text).id, code, message } as const,
  })
  if (body instanceof MessagePort)
    return refuse('unsupported', 'no socket crosses the bridge of an extension')
  if (body instanceof ReadableStream) {
    return refuse('unsupported', 'no streamed body crosses the bridge of an extension')
  }
  const size = body?.size ?? body?.byteLength ?? 0
  if (size > MAX_BODY) {
    return refuse(
      'limit_exceeded',
      `the body has ${size} bytes, and ${MAX_BODY} can cross the bridge of an extension`,
    )
  }
  return { wire: pack(body instanceof Blob ? [text, await body.arrayBuffer()] : body ? data : [text]) }
}
