/**
 * PKCE and JSON Web Tokens on their own, without the rest of strongroom. Works in browsers, workers and Node.
 *
 * @module
 */
import { ENTROPY_LEN, EXPIRED, NOT_YET_VALID } from '../../glue/constants.js'
import { Core, initSync } from '../../glue/strongroom_core.js'
import { StrongroomError } from '../page/error.js'
import { loadWasm, type WasmSource } from './wasm.js'

export { StrongroomError }
export type { WasmSource } from './wasm.js'

/** A verifier and its challenge (RFC 7636 4.1, 4.2). */
export interface Pkce {
  /** 32 random bytes as 43 characters of base64url. Keep this string, and send it with the authorization code. */
  codeVerifier: string
  /** The SHA-256 hash of `codeVerifier`, in base64url. */
  codeChallenge: string
  codeChallengeMethod: 'S256'
}

/** The status of a token by its `exp` and `nbf` (RFC 7519 4.1.4, 4.1.5). Times are in seconds. */
export type JwtStatus =
  | { status: 'valid'; until: number }
  | { status: 'expired'; since: number }
  | { status: 'not_yet_valid'; from: number }
  /** The string is not a signed token, or one of its times is missing or not valid. Treat the token as expired. */
  | { status: 'malformed'; reason: string }

let core: Core | undefined
let memory: WebAssembly.Memory
/** The buffer in the core's memory for strings and bytes. */
let buffer = new Uint8Array()

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Loads the core. Call the other functions after this promise has resolved. A second call does nothing.
 *
 * @param wasm Default: strongroom_core_bg.wasm beside this file. In Node, pass the bytes of this file.
 * @throws {@link StrongroomError} `wasm_failed` or `wasm_blocked`.
 */
export const ready = async (
  wasm: WasmSource = new URL('./strongroom_core_bg.wasm', import.meta.url),
): Promise<void> => {
  memory = await loadWasm(wasm, initSync).catch(({ code, message }) => {
    throw new StrongroomError(code, code === 'wasm_blocked' ? BLOCKED : `${FAILED + message}. ${MISSING}`)
  })
  core ??= new Core()
}

const BLOCKED =
  "the Content-Security-Policy forbids WebAssembly. Add 'wasm-unsafe-eval' to script-src in the page's policy."
const FAILED = 'the WebAssembly module could not be loaded: '
const MISSING = 'Serve strongroom_core_bg.wasm beside the script, or pass its URL or its bytes to ready().'

/** Returns a new PKCE pair (RFC 7636) from the platform's random numbers. */
export const generatePkce = (): Pkce => {
  const core = loaded()
  crypto.getRandomValues(buffer.subarray(0, ENTROPY_LEN))
  core.make_pkce()
  const pair = take(86)
  return {
    codeVerifier: pair.slice(0, 43),
    codeChallenge: pair.slice(43),
    codeChallengeMethod: 'S256',
  }
}

/**
 * Reads a token's times without checking its signature. The times are enough to know that a new token is needed, but
 * never enough to trust the token.
 *
 * @param token A signed JSON Web Token in compact form (RFC 7515 7.1).
 * @param now Seconds since the Unix epoch.
 * @param tolerance Seconds by which the issuer's clock may differ.
 */
export const jwtStatus = (token: string, now = Date.now() / 1000, tolerance = 0): JwtStatus => {
  const core = loaded()
  const { written } = encoder.encodeInto(token, buffer)
  // The core adds a constant to the time of an expired token, and another to the time of a token that is not valid yet.
  // A negative number is the length of the reason for which a token is malformed.
  const time = core.jwt_status(written, now, tolerance)
  if (time < 0) return { status: 'malformed', reason: take(-time) }
  if (time < EXPIRED) return { status: 'valid', until: time }
  if (time < NOT_YET_VALID) return { status: 'expired', since: time - EXPIRED }
  return { status: 'not_yet_valid', from: time - NOT_YET_VALID }
}

/** Returns the core, and renews the view of its buffer: the view is empty after the memory has grown. */
const loaded = (): Core => {
  if (!core) throw new Error('strongroom/core is not loaded yet: await ready() first')
  if (!buffer.length) buffer = new Uint8Array(memory.buffer, core.buffer(), core.buffer_length())
  return core
}

/** Decodes a string from the buffer, and wipes that part of the buffer. */
const take = (length: number): string => {
  loaded()
  const bytes = buffer.subarray(0, length)
  const text = decoder.decode(bytes)
  bytes.fill(0)
  return text
}
