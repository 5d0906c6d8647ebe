/**
 * Records every message that this page sends or receives through ports, workers and broadcast channels. To do so, this
 * module replaces functions of the platform: only `strongroom/inspector/record`, and a click in the inspector, start it.
 *
 * The recording stays in this module. The inspector, which is another file, gets it through an event of the window, so
 * that no object of the page leads to the messages.
 */
import type { PageMessage, VaultMessage } from '../protocol/messages.js'

export interface RecordedMessage {
  at: number
  direction: 'sent' | 'received'
  /**
   * The protocol's name of the message (`fetch`, `head`, …), or the kind of a message without a name: `chunk`, `pull`,
   * `port` or `other`.
   */
  type: string
  /**
   * The message as a string. A buffer is cut off after 64 KiB, and a blob or a stream is replaced by the name of its
   * type.
   */
  text: string
}

export interface Recording {
  /** True if the recording began with the page's first import. */
  readonly isComplete: boolean
  /** The time at which the recording began, in milliseconds since the Unix epoch. */
  readonly since: number
  /** The latest messages, oldest first. */
  readonly messages: readonly RecordedMessage[]
  /** Returns the number of messages by direction and type. */
  totals(): { direction: string; type: string; count: number }[]
  /** Deletes the recorded messages that contain this text. */
  forget(text: string): void
}

type Channel = MessagePort | Worker | BroadcastChannel

const EVENT = 'strongroom-inspector-recording'
const KEPT_MESSAGES = 2000
const KEPT_CHARACTERS = 8_000_000
const KEPT_BYTES = 64 * 1024
/** Objects within objects that are read. A message may contain itself. */
const DEPTH = 8

/** Returns the recording of this page, if there is one. */
export function findRecording(): Recording | undefined {
  const detail: { recording?: Recording } = {}
  dispatchEvent(new CustomEvent(EVENT, { detail }))
  return detail.recording
}

/** Starts to record, unless this page is recorded already. `isComplete`: no port was created before. */
export function startRecording(isComplete: boolean): Recording {
  const existing = findRecording()
  if (existing) return existing
  const recording = new Recorder(isComplete)
  addEventListener(EVENT, (event) => {
    ;(event as CustomEvent<{ recording?: Recording }>).detail.recording = recording
  })
  for (const kind of [MessagePort, Worker, BroadcastChannel]) wrap(kind.prototype, recording)
  return recording
}

class Recorder implements Recording {
  readonly since = Date.now()
  readonly messages: RecordedMessage[] = []
  readonly isComplete: boolean
  readonly #totals = new Map<string, number>()
  #characters = 0

  constructor(isComplete: boolean) {
    this.isComplete = isComplete
  }

  /** Records a message. Never throws, because this method runs inside the app's own calls. */
  record(direction: RecordedMessage['direction'], data: unknown): void {
    try {
      const type = typeOf(data)
      const text = textOf(data)
      this.messages.push({ at: Date.now(), direction, type, text })
      this.#characters += text.length
      while (this.messages.length > KEPT_MESSAGES || this.#characters > KEPT_CHARACTERS) {
        this.#characters -= this.messages.shift()?.text.length ?? this.#characters
      }
      const key = `${direction} ${type}`
      this.#totals.set(key, (this.#totals.get(key) ?? 0) + 1)
    } catch {
      // A message that cannot be read, such as a revoked proxy, which the platform refuses too.
    }
  }

  totals() {
    return [...this.#totals].map(([key, count]) => {
      const [direction = '', type = ''] = key.split(' ')
      return { direction, type, count }
    })
  }

  forget(text: string): void {
    for (let index = this.messages.length - 1; index >= 0; index--) {
      const message = this.messages[index] as RecordedMessage
      if (!message.text.includes(text)) continue
      this.messages.splice(index, 1)
      this.#characters -= message.text.length
      const key = `${message.direction} ${message.type}`
      const rest = (this.#totals.get(key) ?? 1) - 1
      if (rest) this.#totals.set(key, rest)
      else this.#totals.delete(key)
    }
  }
}

/** The protocol's names of messages. Messages of the app may have other names, which could identify a user. */
const NAMES: Record<PageMessage['t'] | VaultMessage['t'], true> = {
  hello: true,
  login: true,
  cancel: true,
  callback: true,
  fetch: true,
  socket: true,
  abort: true,
  logout: true,
  inspect: true,
  active: true,
  visible: true,
  hidden: true,
  online: true,
  offline: true,
  bye: true,
  ready: true,
  outdated: true,
  failed: true,
  navigate: true,
  device: true,
  settled: true,
  initiated: true,
  session: true,
  warning: true,
  expiring: true,
  head: true,
  network_error: true,
  error: true,
  done: true,
  inspection: true,
  trace: true,
}

function typeOf(data: unknown): string {
  if (typeof data === 'number') return 'pull'
  if (typeof data === 'string') return 'port'
  const first = Array.isArray(data) && valueOf(data, 0)
  if (typeof first === 'number') return 'chunk'
  const name = /^{"t":"(\w+)"/.exec(String(typeof first === 'string' ? first : ''))?.[1] ?? ''
  return Object.hasOwn(NAMES, name) ? name : 'other'
}

/** Returns the content of a message as one string, so that the search does not depend on types. */
function textOf(data: unknown, depth = 0): string {
  if (typeof data === 'function') return '[function]'
  if (typeof data !== 'object' || data === null) return String(data)
  if (depth === DEPTH) return '…'
  if (data instanceof ArrayBuffer) return textOfBytes(new Uint8Array(data))
  if (ArrayBuffer.isView(data)) {
    return textOfBytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  if (data instanceof Blob) return '[Blob]'
  if (data instanceof ReadableStream) return '[ReadableStream]'
  const inner = (value: unknown) => textOf(value, depth + 1)
  if (data instanceof Map) return [...data].map(inner).join(' ')
  if (data instanceof Set) return [...data].map(inner).join(' ')
  return Object.keys(data)
    .map((key) => `${Array.isArray(data) ? '' : `${key} `}${inner(valueOf(data, key))}`)
    .join(' ')
}

const textOfBytes = (bytes: Uint8Array): string =>
  new TextDecoder('latin1').decode(bytes.slice(0, KEPT_BYTES))

/** Returns the value of a data property. A getter, which is code of the app, is not called. */
const valueOf = (data: object, key: PropertyKey): unknown =>
  Reflect.getOwnPropertyDescriptor(data, key)?.value

function wrap(prototype: Channel, recorder: Recorder): void {
  const watched = new WeakSet<Channel>()
  const addListener = EventTarget.prototype.addEventListener
  const post = Object.getOwnPropertyDescriptor(prototype, 'postMessage')
  const onmessage = Object.getOwnPropertyDescriptor(prototype, 'onmessage')
  /** Listens on a channel when the page uses it for the first time. If the channel is a port, the port is not started. */
  const watch = (channel: Channel) => {
    if (watched.has(channel)) return
    watched.add(channel)
    addListener.call(channel, 'message', (event) => recorder.record('received', (event as MessageEvent).data))
  }
  Object.defineProperty(prototype, 'postMessage', {
    ...post,
    value(this: Channel, ...parameters: unknown[]) {
      watch(this)
      recorder.record('sent', parameters[0])
      return post?.value.apply(this, parameters)
    },
  })
  Object.defineProperty(prototype, 'onmessage', {
    ...onmessage,
    set(this: Channel, listener: unknown) {
      watch(this)
      onmessage?.set?.call(this, listener)
    },
  })
  Object.defineProperty(prototype, 'addEventListener', {
    configurable: true,
    writable: true,
    value(this: Channel, ...parameters: Parameters<EventTarget['addEventListener']>) {
      if (parameters[0] === 'message') watch(this)
      // A library such as zone.js may have replaced this method since.
      return EventTarget.prototype.addEventListener.apply(this, parameters)
    },
  })
}
