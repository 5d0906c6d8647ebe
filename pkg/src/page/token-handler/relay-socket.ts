/** A socket that an app created before the client was connected: the browser's own `WebSocket` behind a lazy target. */
import { defineAttributes } from '../define-attributes.js'
import type { LazyTarget } from '../lazy-target.js'

const TYPES = ['open', 'message', 'error', 'close']

/** Makes `target` behave as `socket`. */
export const relaySocket = (target: LazyTarget, socket: WebSocket): void => {
  const { readyState, binaryType } = target as LazyTarget & { binaryType?: BinaryType }
  if (binaryType) socket.binaryType = binaryType
  for (const type of TYPES) {
    socket.addEventListener(type, (event) => {
      // The events of a socket have only members that their constructors take.
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
  // The app closed it before it was opened.
  if (readyState) socket.close()
}
