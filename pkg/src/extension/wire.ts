/**
 * The messages of the bridge: those of src/protocol/messages.ts, as JSON. Extension ports pass only JSON, so bytes
 * become an object with their base64. A body that is a stream, and the port of a socket, cannot cross.
 */

/** The name of the bridge's ports. */
export const PORT_NAME = 'strongroom'

/**
 * The maximum number of bytes in the body of a request. Chromium passes messages of up to 64 MiB, and base64 makes
 * bytes a third longer.
 */
export const MAX_BODY = 32 * 1024 * 1024

/** The maximum number of UTF-16 code units in the text of a message. The vault has a lower limit for the bytes. */
const MAX_TEXT = 256 * 1024

/** The number of bytes that become characters at once: a function call has a limited number of arguments. */
const SLICE = 0x8000

/** Bytes on the wire. */
interface Encoded {
  base64: string
}

/** A message on a `MessagePort` between page and vault. */
type Message = number | [text: string, body?: ArrayBuffer]

const encode = (bytes: Uint8Array): Encoded => {
  let text = ''
  for (let at = 0; at < bytes.length; at += SLICE) {
    text += String.fromCharCode(...bytes.subarray(at, at + SLICE))
  }
  return { base64: btoa(text) }
}

const decode = ({ base64 }: Encoded): Uint8Array<ArrayBuffer> => {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  // This loop is several times faster than Uint8Array.from().
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at)
  return bytes
}

const isEncoded = (value: unknown): value is Encoded =>
  typeof (value as Encoded | null | undefined)?.base64 === 'string'

/** Returns the message as JSON can represent it. */
export const pack = (message: unknown): unknown => {
  if (Array.isArray(message)) return message.map(pack)
  if (message instanceof ArrayBuffer) return encode(new Uint8Array(message))
  return message instanceof Uint8Array ? encode(message) : message
}

/** Returns the message that `pack` was given. The sender is trusted. */
export const unpack = (message: unknown): unknown => {
  if (Array.isArray(message)) return message.map(unpack)
  return isEncoded(message) ? decode(message) : message
}

/** Returns the message that a page sent, or `undefined` if it is not a message of a page, or too large. */
export const parse = (message: unknown): Message | undefined => {
  if (typeof message === 'number') return message
  if (!Array.isArray(message) || message.length > 2) return
  const [text, body] = message as unknown[]
  if (typeof text !== 'string' || text.length > MAX_TEXT) return
  if (body === undefined || body === null) return [text]
  if (!isEncoded(body) || body.base64.length > Math.ceil(MAX_BODY / 3) * 4) return
  try {
    return [text, decode(body).buffer]
  } catch {
    // The string is not base64.
    return
  }
}
