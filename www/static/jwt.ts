/** Signs and verifies the JWTs of the static demo's provider, with a key that never leaves this worker (RFC 7515). */
import { base64url } from '../format.js'

export type Claims = Record<string, unknown>

const ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' }
const KEY_ID = 'demo'

let pair: Promise<CryptoKeyPair> | undefined

function keys(): Promise<CryptoKeyPair> {
  pair ??= crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  return pair
}

/** Resolves with the key set of the provider. */
export async function keySet(): Promise<{ keys: object[] }> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', (await keys()).publicKey)
  return { keys: [{ kty, crv, x, y, kid: KEY_ID, alg: 'ES256', use: 'sig' }] }
}

export async function sign(typ: string, claims: Claims): Promise<string> {
  const input = [{ alg: 'ES256', typ, kid: KEY_ID }, claims]
    .map((part) => base64url(bytesOf(JSON.stringify(part))))
    .join('.')
  const signature = await crypto.subtle.sign(ALGORITHM, (await keys()).privateKey, bytesOf(input))
  return `${input}.${base64url(new Uint8Array(signature))}`
}

/** Resolves with the claims of a token of this provider, or with `null` for any other string. */
export async function verify(token: string): Promise<Claims | null> {
  const [header, payload, signature] = token.split('.')
  if (!header || !payload || !signature) return null
  const { publicKey } = await keys()
  const input = bytesOf(`${header}.${payload}`)
  if (!(await crypto.subtle.verify(ALGORITHM, publicKey, decode(signature), input))) return null
  return JSON.parse(new TextDecoder().decode(decode(payload)))
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}

function decode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
}
