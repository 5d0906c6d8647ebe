/**
 * Implements `WebSocket` (WHATWG WebSockets). The vault opens the socket with the access token:
 * src/browser/api_socket.rs.
 */
import { errorEvent, defineAttributes } from './define-attributes.js'
import type { Connection } from '../connection/connection.js'
import type { LazyTarget } from './lazy-target.js'
import { ownOf } from '../../protocol/own.js'

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

type Data = string | Blob | BufferSource

/** Matches a token (RFC 9110 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

const bytesOf = (text: string) => new TextEncoder().encode(text).length

/** Returns data that can be posted to the vault, and its size in bytes. */
const pack = (data: Data): [data: string | Blob | ArrayBuffer, size: number] => {
  if (data instanceof Blob) return [data, data.size]
  if (data instanceof ArrayBuffer) return [data, data.byteLength]
  if (ArrayBuffer.isView(data)) {
    // Copies only the part of the buffer that the view covers.
    const { buffer, byteOffset, byteLength } = data
    return [buffer.slice(byteOffset, byteOffset + byteLength), byteLength]
  }
  const text = String(data)
  return [text, bytesOf(text)]
}

export const webSocket = (
  target: LazyTarget,
  connection: Connection,
  protocols: string | string[] = [],
): void => {
  const { port1: port, port2 } = new MessageChannel()
  const address = new URL(target.url)
  address.hash = ''
  address.protocol = address.protocol.replace('http', 'ws')
  const url = address.href
  let { readyState } = target
  let { binaryType = 'blob' } = target as { binaryType?: BinaryType }
  let protocol = ''
  /**
   * Numbers of bytes: sent by the page so far, sent when the page last asked the vault, and passed to the network.
   */
  let [sent, sentAtQuestion, transmitted] = [0, 0, 0]
  let isAsking = false
  let id = 0
  let hasFailed = false

  const end = (how: CloseEventInit, error?: unknown) => {
    if (readyState === CLOSED) return
    readyState = CLOSED
    connection.drop(id)
    port.close()
    if (hasFailed || error) target.dispatchEvent(errorEvent(error))
    target.dispatchEvent(new CloseEvent('close', how))
  }
  const fail = (error: unknown) => end({ code: 1006 }, explain(error))
  /** Closes a socket that was never open. */
  const giveUp = () => {
    hasFailed = true
    setTimeout(fail)
  }

  const receive = ({ data }: MessageEvent) => {
    if (typeof data === 'string') {
      ;({ protocol } = ownOf(JSON.parse(data)))
      readyState = OPEN
      target.dispatchEvent(new Event('open'))
    } else if (typeof data === 'number') {
      transmitted = sentAtQuestion - data
      isAsking = false
    } else if (!data) {
      hasFailed = true
    } else if (!Array.isArray(data)) {
      end(data)
    } else if (readyState === OPEN) {
      const [message] = data
      const isBlob = binaryType === 'blob' && typeof message !== 'string'
      const { origin } = address
      target.dispatchEvent(
        new MessageEvent('message', { data: isBlob ? new Blob([message]) : message, origin }),
      )
    }
  }

  defineAttributes(target, ['open', 'message', 'error', 'close'], {
    CONNECTING,
    OPEN,
    CLOSING,
    CLOSED,
    url,
    extensions: '',
    get readyState() {
      return readyState
    },
    get protocol() {
      return protocol
    },
    get bufferedAmount() {
      // Only the vault knows the value, and the page asks the vault when script reads the attribute.
      if (readyState === OPEN && sent > transmitted && !isAsking) {
        isAsking = true
        sentAtQuestion = sent
        port.postMessage(0)
      }
      return sent - transmitted
    },
    get binaryType() {
      return binaryType
    },
    set binaryType(type: BinaryType) {
      if (type === 'blob' || type === 'arraybuffer') binaryType = type
    },
    send(data: Data) {
      if (readyState === CONNECTING) {
        throw new DOMException('the socket is not open yet', 'InvalidStateError')
      }
      const [packed, size] = pack(data)
      sent += size
      if (readyState === OPEN) port.postMessage([packed])
    },
    close(code?: number, reason?: string) {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException(`${code} is neither 1000 nor from 3000 to 4999`, 'InvalidAccessError')
      }
      if (reason !== undefined && bytesOf(reason) > 123) {
        throw new DOMException('the reason is longer than 123 bytes', 'SyntaxError')
      }
      if (readyState >= CLOSING) return
      const wasOpen = readyState === OPEN
      readyState = CLOSING
      if (wasOpen) return port.postMessage({ code, reason })
      connection.drop(id, 'abort')
      giveUp()
    },
  })
  if (readyState) return giveUp()
  const names = [protocols].flat().map(String)
  if (new Set(names).size < names.length || !names.every((name) => TOKEN.test(name))) {
    const error = new DOMException('a sub-protocol is not a token, or is named twice', 'SyntaxError')
    setTimeout(fail, 0, error)
    return
  }
  port.onmessage = receive
  id = connection.send({ respond: () => true, fail }, { t: 'socket', url, protocols: names }, port2)
}

/**
 * Explains why the vault refused the message `socket`. If no rule has `webSocket`, the worker loads a vault module
 * without sockets, which does not know this message. Invalid arguments cannot be the reason, because this file has
 * checked them.
 */
const explain = (error: unknown): unknown => {
  if ((error as { code?: string } | undefined)?.code !== 'message_invalid') return error
  const message = 'no rule in apis has webSocket. Add it to the rule for this URL in the worker’s file.'
  return Object.assign(error as Error, { code: 'url_not_allowed', message })
}
