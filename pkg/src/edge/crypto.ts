/**
 * Cryptography by WebCrypto: AES-256-GCM for sealed values, verification of the provider's signatures, signatures of
 * client assertions and DPoP proofs, and generation of DPoP keys.
 */
import { NONCE_LEN } from '../../glue/constants.js'

/** The parameters of `importKey`, `sign` and `verify`. */
export type Parameters = { name: string; hash: string; namedCurve: string; saltLength: number }

const encoder = new TextEncoder()

/** Returns a view of a part of the bytes. `subarray()` would cost five times as much. */
const part = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>, start: number, end = length) =>
  new Uint8Array(buffer, byteOffset + start, end - start)

/** The part of `node:crypto` that opens sealed values. */
interface NodeCrypto {
  createSecretKey(bytes: Uint8Array): object
  createDecipheriv(name: 'aes-256-gcm', key: object, nonce: Uint8Array, options: object): Decipher
}
interface Decipher {
  setAAD(aad: Uint8Array): void
  setAuthTag(tag: Uint8Array): void
  update(bytes: Uint8Array): Uint8Array
  final(): Uint8Array
}

/**
 * `node:crypto`, on Node only. It opens a value at once, while WebCrypto passes each value to another thread, which takes
 * five to ten times as long. Other platforms imitate this module, and Deno's did not verify tags before 2.1.7
 * (CVE-2025-24015).
 */
const node: NodeCrypto | undefined = ['Deno', 'Bun', 'WebSocketPair', 'EdgeRuntime'].some(
  (name) => name in globalThis,
)
  ? undefined
  : (
      globalThis as { process?: { getBuiltinModule?(name: string): NodeCrypto | undefined } }
    ).process?.getBuiltinModule?.('node:crypto')

/** The length of an authentication tag of AES-GCM in bytes. */
const TAG = 16

/** The keyring. Keys are imported once as not extractable. */
export class Keys {
  /** The keys for `node:crypto`, if the platform has it. */
  readonly #secrets: object[] | undefined
  readonly #keys: (CryptoKey | Promise<CryptoKey>)[]
  /** The encoded additional data of the last operation, which is usually the same in the next operation. */
  #bound: { aad: string; bytes: Uint8Array<ArrayBuffer> } = { aad: '', bytes: encoder.encode('') }

  constructor(keys: Uint8Array[]) {
    this.#secrets = node && keys.map((bytes) => node.createSecretKey(bytes))
    this.#keys = keys.map(async (bytes) => {
      const usages: KeyUsage[] = ['encrypt', 'decrypt']
      const key = await crypto.subtle.importKey('raw', new Uint8Array(bytes), 'AES-GCM', false, usages)
      bytes.fill(0)
      return key
    })
    for (const [i, key] of this.#keys.entries()) {
      // An imported key replaces its promise, so that later uses need not wait. An import error is thrown when the key
      // is used.
      Promise.resolve(key).then(
        (key) => (this.#keys[i] = key),
        () => {},
      )
    }
  }

  /** Resolves with the plaintext, or with `undefined` if the value is not authentic. */
  async open(i: number, sealed: Uint8Array<ArrayBuffer>, aad: string): Promise<Uint8Array | undefined> {
    const key = this.#keys[i]!
    const parameters = this.#parameters(part(sealed, 0, NONCE_LEN), aad)
    const secret = this.#secrets?.[i]
    try {
      if (secret) return openNow(secret, sealed, this.#bound.bytes)
      const known = key instanceof Promise ? await key : key
      return new Uint8Array(await crypto.subtle.decrypt(parameters, known, part(sealed, NONCE_LEN)))
    } catch {
      return undefined
    }
  }

  /** Seals a plaintext. `plain` begins with the nonce, and the result begins with the same nonce. */
  async seal(plain: Uint8Array<ArrayBuffer>, aad: string): Promise<Uint8Array> {
    const nonce = plain.subarray(0, NONCE_LEN)
    const parameters = this.#parameters(nonce, aad)
    const sealed = await crypto.subtle.encrypt(parameters, await this.#keys[0]!, plain.subarray(NONCE_LEN))
    const whole = new Uint8Array(NONCE_LEN + sealed.byteLength)
    whole.set(nonce)
    whole.set(new Uint8Array(sealed), NONCE_LEN)
    plain.fill(0)
    return whole
  }

  #parameters(iv: Uint8Array<ArrayBuffer>, aad: string): AesGcmParams {
    if (this.#bound.aad !== aad) this.#bound = { aad, bytes: encoder.encode(aad) }
    return { name: 'AES-GCM', iv, additionalData: this.#bound.bytes }
  }
}

/** Returns the plaintext. Throws if the value is not authentic. */
const openNow = (key: object, sealed: Uint8Array<ArrayBuffer>, aad: Uint8Array): Uint8Array => {
  const end = sealed.length - TAG
  const nonce = part(sealed, 0, NONCE_LEN)
  const decipher = node!.createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG })
  decipher.setAAD(aad)
  decipher.setAuthTag(part(sealed, end))
  const plain = decipher.update(part(sealed, NONCE_LEN, end))
  // GCM returns all plaintext before the end, where the tag is checked.
  decipher.final()
  return plain
}

interface Signing {
  parameters: Parameters
  jwk: JsonWebKey
  input: string
}

/** Resolves with true if a signature verifies with a public key. */
export const verify = async (
  { parameters, jwk, input }: Signing,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> => {
  const key = await crypto.subtle.importKey('jwk', jwk, parameters, false, ['verify'])
  return crypto.subtle.verify(parameters, key, signature, encoder.encode(input))
}

/** Signs with a private key. */
export const sign = async ({ parameters, jwk, input }: Signing): Promise<Uint8Array> => {
  // WebCrypto would refuse a key whose `use`, `key_ops` or `alg` does not fit.
  const { key_ops, use, alg, ...bare } = jwk
  const key = await crypto.subtle.importKey('jwk', bare, parameters, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign(parameters, key, encoder.encode(input)))
}

/**
 * Generates a private key for ES256 as a JWK. The key is extractable, because it is stored in the sealed session, and
 * other isolates also sign with it.
 */
export const generateKey = async (): Promise<string> => {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])
  return JSON.stringify(await crypto.subtle.exportKey('jwk', pair.privateKey))
}
