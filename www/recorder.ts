/**
 * Records every message that this page sends or receives through ports, workers and broadcast channels. This module
 * replaces global functions, so it is imported before any module that could create a port.
 */

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

type Channel = MessagePort | Worker | BroadcastChannel

const KEPT_MESSAGES = 2000
const KEPT_BYTES = 64 * 1024

/** The last 2,000 messages, oldest first. */
export const messages: RecordedMessage[] = []

const totals = new Map<string, number>()
const watched = new WeakSet<Channel>()
const addListener = EventTarget.prototype.addEventListener

/** Returns the number of messages by direction and type. */
export function messageTotals(): { direction: string; type: string; count: number }[] {
  return [...totals].map(([key, count]) => {
    const [direction = '', type = ''] = key.split(' ')
    return { direction, type, count }
  })
}

/** Deletes the recorded messages that contain this text. */
export function forget(text: string): void {
  for (let index = messages.length - 1; index >= 0; index--) {
    if (messages[index]?.text.includes(text)) messages.splice(index, 1)
  }
}

function record(direction: RecordedMessage['direction'], data: unknown): void {
  const type = typeOf(data)
  messages.push({ at: Date.now(), direction, type, text: textOf(data) })
  if (messages.length > KEPT_MESSAGES) messages.shift()
  const key = `${direction} ${type}`
  totals.set(key, (totals.get(key) ?? 0) + 1)
}

function typeOf(data: unknown): string {
  if (typeof data === 'number') return 'pull'
  if (typeof data === 'string') return 'port'
  if (!Array.isArray(data)) return 'other'
  if (typeof data[0] === 'number') return 'chunk'
  return /"t":"(\w+)"/.exec(String(data[0]))?.[1] ?? 'other'
}

/** Returns the content of a message as one string, so that the search does not depend on types. */
function textOf(data: unknown): string {
  if (data instanceof ArrayBuffer) return textOf(new Uint8Array(data))
  if (ArrayBuffer.isView(data)) {
    return new TextDecoder('latin1').decode(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(0, KEPT_BYTES),
    )
  }
  if (Array.isArray(data)) return data.map(textOf).join(' ')
  if (data instanceof Blob || data instanceof ReadableStream) return `[${data.constructor.name}]`
  if (data && typeof data === 'object') {
    return Object.entries(data)
      .map(([key, value]) => `${key} ${textOf(value)}`)
      .join(' ')
  }
  return String(data)
}

/** Listens on a channel when the page uses it for the first time. If the channel is a port, the port is not started. */
function watch(channel: Channel): void {
  if (watched.has(channel)) return
  watched.add(channel)
  addListener.call(channel, 'message', (event) => record('received', (event as MessageEvent).data))
}

function wrap(prototype: MessagePort | Worker | BroadcastChannel): void {
  const postMessage = prototype.postMessage as (...parameters: unknown[]) => void
  const onmessage = Object.getOwnPropertyDescriptor(prototype, 'onmessage')
  Object.defineProperty(prototype, 'postMessage', {
    configurable: true,
    writable: true,
    value(this: Channel, ...parameters: unknown[]) {
      watch(this)
      record('sent', parameters[0])
      return postMessage.apply(this, parameters)
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
      return addListener.apply(this, parameters)
    },
  })
}

for (const kind of [MessagePort, Worker, BroadcastChannel]) wrap(kind.prototype)
