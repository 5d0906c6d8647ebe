/**
 * PKCE and JSON Web Tokens by themselves, for those who want nothing else of strongroom. Works in browsers,
 * workers and Node.
 *
 * @module
 */
import { generate_pkce, jwt_status } from '../glue/strongroom.js'
import { loadWasm, type WasmSource } from './wasm.js'

export { StrongroomError } from './error.js'
export type { WasmSource } from './wasm.js'

/** A verifier and its challenge (RFC 7636 4.1, 4.2), ready to be sent by their own names. */
export interface Pkce {
  /** 43 characters of base64url: 32 random bytes. Keep it; send it with the code. */
  codeVerifier: string
  /** The base64url of its SHA-256. */
  codeChallenge: string
  codeChallengeMethod: 'S256'
}

/** Whether a token is current, by its `exp` and `nbf` (RFC 7519 4.1.4, 4.1.5). Times are in seconds. */
export type JwtStatus =
  | { status: 'valid'; until: number }
  | { status: 'expired'; since: number }
  | { status: 'not_yet_valid'; from: number }
  /** No signed token, or its times are missing or no times: to be treated as expired. */
  | { status: 'malformed'; reason: string }

let loaded = false

/**
 * Loads the core; the other functions may be called once this has resolved. Calling it again is free.
 *
 * @param wasm Default: strongroom_bg.wasm beside this file. In Node pass its bytes.
 * @throws {@link StrongroomError} `wasm_failed` or `wasm_blocked`.
 */
export const ready = async (wasm?: WasmSource): Promise<void> => {
  await loadWasm(wasm)
  loaded = true
}

/** A fresh PKCE pair (RFC 7636), from the platform's random numbers. */
export const generatePkce = (): Pkce => {
  check()
  const pair = generate_pkce()
  return {
    codeVerifier: pair.slice(0, 43),
    codeChallenge: pair.slice(43),
    codeChallengeMethod: 'S256',
  }
}

/** The core says `not_yet_valid` by adding this to a time, and `expired` by its sign. */
const NOT_YET_VALID = 1e15

/**
 * Reads a token's times without checking its signature: enough to know that a new one is due, never enough
 * to trust what it says.
 *
 * @param token A signed JSON Web Token in compact form (RFC 7515 7.1).
 * @param now Seconds since the Unix epoch.
 * @param tolerance Seconds by which the issuer's clock may differ.
 */
export const jwtStatus = (token: string, now = Date.now() / 1000, tolerance = 0): JwtStatus => {
  check()
  let time
  try {
    time = jwt_status(token, now, tolerance)
  } catch (reason) {
    if (typeof reason !== 'string') throw reason
    return { status: 'malformed', reason }
  }
  if (time >= NOT_YET_VALID) return { status: 'not_yet_valid', from: time - NOT_YET_VALID }
  if (time > 0) return { status: 'valid', until: time }
  return { status: 'expired', since: -time }
}

const check = () => {
  if (!loaded) throw new Error('strongroom/core is not loaded yet: await ready() first')
}
