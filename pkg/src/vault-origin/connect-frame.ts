/**
 * Connects the page to a vault on an origin of its own, through a frame of that origin (vault-frame.ts). A page loads
 * this file when it calls `connectFrame()`.
 *
 * The frame stays in the page. The frame owns the vault's worker, and holds the locks by which worker and page detect
 * each other's end, since locks are per origin. Calls do not pass through the frame.
 */
import { isState } from './callback-cookies.js'
import { type Effect, type Event as FrameEvent, next, type State } from './frame-state.js'
import { showUrl } from '../page/address.js'
import type { CallbackResult, ConnectOptions, Strongroom, StrongroomErrorLike } from '../page/api.js'
import type { connect as Connect } from '../page/connect.js'
import {
  type FrameResponse,
  FRAME_HANDSHAKE,
  STATE_FRAGMENT,
  type FrameRequest,
} from '../protocol/frame-messages.js'
import { NO_TIME_LIMIT, UNSUPPORTED_CONTEXT } from '../protocol/message-keys.js'
import { listen } from '../page/listen.js'
import { whenShown } from '../page/prerendering.js'
import { isTimeLimit, startLimit } from '../page/time-limit.js'
import type { FrameTransport, Connection } from '../page/connection/connection.js'
import type { HANDSHAKE } from '../protocol/messages.js'
import { ownOf } from '../protocol/own.js'
import type { refuse as Refuse } from '../page/errors/error-text.js'

type FrameCall = FrameRequest extends infer M ? (M extends { id: number } ? Omit<M, 'id'> : never) : never
type FrameReply = Extract<FrameResponse, { id: number }>

/** Milliseconds between handshake attempts: the frame's script may run after its `load` event. */
const RETRY_DELAYS = [250, 500, 1000, 2000, 4000]

/** A frame, and the number of clients and connection attempts that use it. */
interface SharedFrame {
  frame: Promise<Frame>
  users: number
}

/** The frames of this page by URL. */
const frames = new Map<string, SharedFrame>()

/**
 * See `connectFrame` of page/connect-by-frame.ts, which passes its own `connect` and `refuse` so that the bundle of this file does
 * not contain copies of them.
 */
export const connectFrame = async (
  address: string | URL,
  given: ConnectOptions | undefined,
  connect: typeof Connect,
  refuse: typeof Refuse,
): Promise<Strongroom> => {
  const options = ownOf(given)
  if (!globalThis.isSecureContext) return refuse('unsupported', UNSUPPORTED_CONTEXT)
  const { timeout = 10 } = options
  if (!isTimeLimit(timeout)) return refuse('message_invalid', NO_TIME_LIMIT + timeout)
  const { href, origin } = new URL(address, location.href)
  if (origin === location.origin) {
    return refuse('unsupported', `${href} is on the page's own origin, where a frame protects nothing`)
  }
  await whenShown()
  let shared: SharedFrame | undefined
  /** Ends one use of a frame, and removes the frame after its last use. */
  const release = (left: SharedFrame) => {
    if (--left.users) return
    if (frames.get(href) === left) frames.delete(href)
    left.frame.then(({ element }) => element.remove()).catch(() => {})
  }
  /** Uses the page's frame, or a new frame if the vault of the page's frame has failed or is outdated. */
  const acquire = async () => {
    let next = frames.get(href)
    if (!next || next === shared) frames.set(href, (next = { frame: embed(href, timeout, refuse), users: 0 }))
    const acquired = (shared = next)
    acquired.users++
    try {
      const frame = await acquired.frame
      frame.release = () => release(acquired)
      return frame
    } catch (error) {
      release(acquired)
      throw error
    }
  }
  let next: Frame | undefined
  try {
    next = await acquire()
    // `reconnect()` calls this function again, and gets a new frame.
    const make = () => {
      const made = next ?? acquire()
      next = undefined
      return made as never
    }
    return await connect(make, options)
  } catch (error) {
    // Forget this frame, so that the next attempt starts with a new frame.
    if (frames.get(href) === shared) frames.delete(href)
    // connect() releases each frame that it has got.
    next?.release()
    throw error
  }
}

/** Adds the frame to the page. Resolves when the frame has accepted the page. */
const embed = (href: string, timeout: number, refuse: typeof Refuse): Promise<Frame> =>
  new Promise((resolve, reject) => {
    const element = document.createElement('iframe')
    let state: State = { is: 'loading', href, loads: 0 }
    /** The timers that begin with a load of the frame. */
    let timers: ReturnType<typeof setTimeout>[] = []
    /** The ports of the handshakes since the last load. */
    const ports: MessagePort[] = []
    /** The port on which the frame has responded. */
    let accepted: MessagePort

    const on = (event: FrameEvent) => {
      const [after, ...effects] = next(state, event)
      state = after
      for (const effect of effects) carryOut(effect)
    }
    const carryOut = (effect: Effect) => {
      if (effect[0] === 'greet') return sendHandshake()
      timers.forEach(clearTimeout)
      switch (effect[0]) {
        case 'watch': {
          let pause = 0
          timers = RETRY_DELAYS.map((more) => setTimeout(on, (pause += more), { t: 'unheard' }))
          timers.push(setTimeout(on, effect[1], { t: 'silent' }))
          return
        }
        case 'reload':
          // A response of the earlier frame may be on its way.
          for (const port of ports.splice(0)) port.close()
          // In a new browsing context, so that the page's history gets no entry.
          element.remove()
          document.documentElement.append(element)
          return
        case 'open':
          resolve(new Frame(accepted, element, refuse))
          break
        case 'fail':
          element.remove()
          refuse(effect[1], effect[2]).catch(reject)
      }
      for (const stop of stops) stop()
    }

    /** Each attempt uses a new port. The frame uses the first port that it receives. */
    const sendHandshake = () => {
      const { port1, port2 } = new MessageChannel()
      const receive = ({ data: message }: MessageEvent<FrameResponse>) => {
        const data = ownOf(message)
        if (data.t !== 'refused' && data.t !== 'here') return
        accepted = port1
        on(data)
      }
      port1.addEventListener('message', receive, { once: true })
      port1.start()
      ports.push(port1)
      // The message is for the frame's origin only: an error page of the browser, or another page, must not get the
      // port.
      element.contentWindow?.postMessage(FRAME_HANDSHAKE, new URL(href).origin, [port2])
    }
    const violated = ({ effectiveDirective, blockedURI }: SecurityPolicyViolationEvent) =>
      on({ t: 'violated', directive: effectiveDirective, address: blockedURI })
    const stops = [
      startLimit(timeout * 1000, () => on({ t: 'late' })),
      listen(document, 'securitypolicyviolation', violated),
      listen(element, 'load', () => on({ t: 'loaded' })),
    ]
    element.hidden = true
    // The sandbox forbids popups, forms, and navigation of the app's page. With `allow-same-origin` the frame keeps its
    // own origin.
    element.setAttribute('sandbox', 'allow-scripts allow-same-origin')
    element.referrerPolicy = 'no-referrer'
    element.src = href
    document.documentElement.append(element)
  })

/** Prints a warning as connect.ts does. */
const print = ({ code, message }: StrongroomErrorLike) => console.warn(`strongroom: ${code}: ${message}`)

/** A frame that has accepted the page. connection.ts treats the frame as a worker whose locks are on another origin. */
class Frame extends EventTarget implements FrameTransport {
  readonly element: HTMLIFrameElement
  release = () => {}
  readonly #port: MessagePort
  readonly #refuse: typeof Refuse
  readonly #pending = new Map<number, (response?: FrameReply) => void>()
  /** Results of logins by `state`, and by the page's URL while the login is in flight. */
  readonly #results = new Map<string, Promise<CallbackResult>>()
  #last = 0

  constructor(port: MessagePort, element: HTMLIFrameElement, refuse: typeof Refuse) {
    super()
    this.element = element
    this.#port = port
    this.#refuse = refuse
    port.onmessage = ({ data: message }: MessageEvent<FrameResponse>) => {
      const data = ownOf(message)
      if ('id' in data) this.#pending.get(data.id)?.(data)
      else if (data.t === 'worker_failed')
        this.dispatchEvent(new CustomEvent('error', { detail: data.message }))
      else if (data.t === 'warning') refuse(data.warning, data.message).catch(print)
    }
    // If script removes the frame from the page, this page can no longer reach or watch the vault's worker, so all
    // pending requests end here.
    const removed = new MutationObserver(() => {
      if (element.isConnected) return
      removed.disconnect()
      for (const settle of this.#pending.values()) settle()
    })
    removed.observe(element.parentNode!, { childList: true })
  }

  postMessage(_: typeof HANDSHAKE, ports: [MessagePort]) {
    this.#post({ t: 'connect' }, ports)
  }

  readonly locks: FrameTransport['locks'] = {
    request: (name, options, granted = options as () => unknown) =>
      new Promise<void>((resolve, reject) => {
        const end = () => {
          this.#pending.delete(id)
          this.#post({ t: 'unlock', id })
        }
        // Called when the frame has granted the lock. Also called when the frame is gone: the page then treats the
        // worker as gone, too.
        const settle = async () => {
          this.#pending.delete(id)
          await granted()
          end()
          resolve()
        }
        const id = this.#request({ t: 'lock', name }, settle)
        const { signal } = options as { signal?: AbortSignal }
        signal?.addEventListener('abort', () => {
          end()
          reject(signal.reason)
        })
      }),
  }

  pendingState(url = new URL(location.href)): string | null {
    return url.hash.startsWith(STATE_FRAGMENT) ? url.hash.slice(STATE_FRAGMENT.length) : null
  }

  callback(connection: Connection, url: URL): Promise<CallbackResult | null> {
    const state = this.pendingState(url)
    // In development, frameworks run an app's start-up code twice, and the second call gets the same result.
    const known = this.#results.get(state ?? url.href)
    if (known || state === null) return known ?? Promise.resolve(null)
    const isShown = url.href === location.href
    url.hash = ''
    if (isShown) showUrl(url)
    // The URL may come from any link to the app, so the fragment is checked.
    const result = isState(state)
      ? this.#finish(connection, state)
      : this.#refuse('login_unknown', 'the URL does not name a login')
    this.#results.set(state, result).set(url.href, result)
    const done = () => this.#results.delete(url.href)
    result.then(done, done)
    return result
  }

  async #finish(connection: Connection, state: string): Promise<CallbackResult> {
    const response = await new Promise<FrameReply | undefined>((resolve) =>
      this.#request({ t: 'callback', state }, resolve),
    )
    if (response?.t === 'settled') {
      // The vault announces the session on the page's own port. The response to `inspect` arrives after this
      // announcement.
      await connection.query({ t: 'inspect' }).catch(() => {})
      return { returnTo: response.returnTo ?? '/' }
    }
    if (response?.t !== 'error') return this.#refuse('vault_crashed')
    const { code, message, returnTo } = response
    return this.#refuse(code, message).catch((error: StrongroomErrorLike) => {
      throw Object.assign(error, returnTo === undefined ? {} : { returnTo })
    })
  }

  awaitResponse(state: string, fail: (error: unknown) => void) {
    let isThere = false
    const settle = (response?: FrameReply) => {
      isThere = true
      this.#pending.delete(id)
      // A successful login reaches the page on its own port.
      if (response?.t === 'error') this.#refuse(response.code, response.message).catch(fail)
    }
    const id = this.#request({ t: 'await', state }, settle)
    const hasArrived = () =>
      new Promise<boolean>((resolve) => {
        const check = this.#request({ t: 'look', of: id }, (response) => {
          this.#pending.delete(check)
          resolve(isThere || (response?.t === 'looked' && response.isThere))
        })
      })
    return {
      stop: () => {
        this.#pending.delete(id)
        this.#post({ t: 'forget', id })
      },
      hasArrived,
    }
  }

  #request(message: FrameCall, onResponse: (response?: FrameReply) => void): number {
    const id = ++this.#last
    this.#pending.set(id, onResponse)
    this.#post({ ...message, id } as FrameRequest)
    return id
  }

  #post(message: FrameRequest, transfer: Transferable[] = []) {
    this.#port.postMessage(message, transfer)
  }
}
