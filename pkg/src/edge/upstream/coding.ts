/** The encodings of bodies: what the platform's `fetch` decodes. docs/edge-reference.md has the table. */

import { hasUndici, IS_BUN, IS_DENO, IS_WORKERD } from './platform.js'

/** The values of `Content-Encoding` that `fetch` decodes. On Cloudflare, capital letters count. */
const DECODED: readonly string[] = [
  ...['gzip', 'br'],
  ...(IS_DENO || IS_WORKERD ? [] : ['x-gzip', 'deflate']),
  ...(IS_BUN || hasUndici(7, 11) ? ['zstd'] : []),
]

/**
 * Encodings that some browser or client may decode: those that are registered (RFC 9110 16.6.1), and older ones. Any other
 * name changes nothing, as in browsers.
 */
const KNOWN =
  /^(?:aes128gcm|br|(?:x-)?bzip2|(?:x-)?compress|dc[bz]|(?:x-)?deflate|exi|(?:x-)?gzip|lz4|lzma|pack200-gzip|sdch|snappy|xz|zstd)$/i

/**
 * True if `fetch` can leave a body compressed. Bun's `fetch` leaves the body compressed if the option `decompress` is
 * false. Cloudflare's `fetch` leaves the body compressed unless script reads it. The other platforms always decode the
 * body.
 */
export const CAN_PASS_CODED: boolean = IS_BUN || IS_WORKERD

/**
 * Returns what `fetch` does with a body of this `Content-Encoding`: `none` if there is nothing to decode, `decoded`, `kept`
 * if the body is still encoded, or `unclear` for several encodings, which platforms treat differently.
 */
export const codingOf = (value: string | undefined): 'none' | 'decoded' | 'kept' | 'unclear' => {
  if (!value) return 'none'
  if (DECODED.includes(IS_WORKERD ? value : value.toLowerCase())) return 'decoded'
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(value)) return 'unclear'
  return KNOWN.test(value) ? 'kept' : 'none'
}
