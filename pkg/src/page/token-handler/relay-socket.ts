/**
 * Implements a socket that an app created before the client was connected. The app has a lazy target (lazy-target.ts),
 * which relays the browser's own `WebSocket`.
 */
import { defineAttributes } from '../streaming/define-attributes.js'
import type { LazyTarget } from '../streaming/lazy-target.js'

const TYPES = ['open', 'message', 'error', 'close']

/** Makes `target` behave as `socket`. */
export const relaySocket = (target: LazyTarget, socket: WebSocket): void => {
  const { readyState, binaryType } = target as LazyTarget & { binaryType?: BinaryType }
  if (binaryType) socket.binaryType = binaryType
  for (const type of TYPES) {
    socket.addEventListener(type, (event) => {
      // The constructors of these events accept every member of the event, so the original event serves as the options.
      const Same = event.constructor as new (type: string, init: EventInit) => Event
      target.dispatchEvent(new Same(type, event))
    })
  }
  defineAttributes(target, TYPES, {
    CONNECTING: 0,
    OPEN: 1,
    CLOSING: 2,
    CLOSED: 3,
    url: socket.url,
    get readyState() {
      return socket.readyState
    },
    get protocol() {
      return socket.protocol
    },
    get extensions() {
      return socket.extensions
    },
    get bufferedAmount() {
      return socket.bufferedAmount
    },
    get binaryType() {
      return socket.binaryType
    },
    set binaryType(type: BinaryType) {
      socket.binaryType = type
    },
    send: (data: string | Blob | BufferSource) => socket.send(data as string),
    close: (code?: number, reason?: string) => socket.close(code, reason),
  })
  // If `readyState` is not 0, the app closed the target before the socket was created.
  if (readyState) socket.close()
}
