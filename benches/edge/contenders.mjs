/**
 * Contenders of the token handler: handwritten handlers, the decryption alone, and a proxy without sessions. For a
 * request of a signed-in user, a handwritten handler reads and decrypts the cookie, checks the session's expiry and the
 * path's prefix, sends the request on with the token, and returns the response. Each handwritten handler decrypts the
 * session with another library, as the library's documentation recommends, and imports keys only once if possible.
 */
import { decode, encode } from '@auth/core/jwt'
import * as iron from 'iron-webcrypto'
import { EncryptJWT, jwtDecrypt } from 'jose'

const SECRET = 'a password of more than thirty-two characters'
const SALT = 'session'

const toBase64url = (bytes) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

const fromBase64url = (text) => {
  const letters = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  const bytes = new Uint8Array(letters.length)
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i)
  return bytes
}

const aesKey = () =>
  crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])

/**
 * For each library, a function that seals a session. The function resolves with two members: `sealed` is the sealed
 * session, and the function `open` opens a sealed session.
 */
const MAKERS = {
  async 'AES-GCM by hand'(session) {
    const key = await aesKey()
    const iv = crypto.getRandomValues(new Uint8Array(12))
    const plain = new TextEncoder().encode(JSON.stringify(session))
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, plain))
    const decoder = new TextDecoder()
    return {
      sealed: toBase64url(new Uint8Array([...iv, ...sealed])),
      async open(text) {
        const bytes = fromBase64url(text)
        const iv = bytes.subarray(0, 12)
        const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, bytes.subarray(12))
        return JSON.parse(decoder.decode(plain))
      },
    }
  },
  async 'iron-webcrypto'(session) {
    return {
      sealed: await iron.seal(session, SECRET, iron.defaults),
      open: (text) => iron.unseal(text, SECRET, iron.defaults),
    }
  },
  async 'jose, A256GCM'(session) {
    const key = await aesKey()
    const jwt = new EncryptJWT(session).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    return {
      sealed: await jwt.setExpirationTime('1h').encrypt(key),
      open: async (text) => (await jwtDecrypt(text, key)).payload,
    }
  },
  async 'Auth.js, decode'(session) {
    return {
      sealed: await encode({ token: session, secret: SECRET, salt: SALT }),
      open: (text) => decode({ token: text, secret: SECRET, salt: SALT }),
    }
  },
}

/** The names of the handwritten handlers. The project's aim refers to the first handler. */
export const BY_HAND = Object.keys(MAKERS)

/** Returns a session of `length` bytes, which is the length of strongroom's session. */
const sessionOf = (length) => {
  const session = { sub: 'alice', expires_at: Date.now() + 3_600_000, access_token: '', refresh_token: '' }
  const letters = Math.max(0, length - JSON.stringify(session).length)
  session.refresh_token = 'r'.repeat(Math.min(43, letters))
  session.access_token = 'a'.repeat(Math.max(0, letters - 43))
  return session
}

const cookieOf = (header, name) => {
  for (const pair of (header ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim()
  }
  return undefined
}

/** Resolves with the handwritten handler of this name (`handle`), and with a request for this handler (`request`). */
export const byHand = async (name, { length, upstream, fields, prefix = '/api/' }) => {
  const { sealed, open } = await MAKERS[name](sessionOf(length))
  const request = new Request(`https://app.example.com${prefix}orders`, {
    headers: { ...fields, cookie: `session=${sealed}` },
  })
  const handle = async (request) => {
    const url = new URL(request.url)
    if (!url.pathname.startsWith(prefix)) return new Response(null, { status: 404 })
    if (request.headers.get('x-strongroom') !== '1') return new Response(null, { status: 403 })
    const value = cookieOf(request.headers.get('cookie'), 'session')
    const session = value && (await open(value))
    if (!session || session.expires_at <= Date.now()) return new Response(null, { status: 401 })
    const headers = new Headers(request.headers)
    headers.delete('cookie')
    headers.set('authorization', `Bearer ${session.access_token}`)
    const { method, body, signal } = request
    const target = upstream + url.pathname.slice(prefix.length) + url.search
    const response = await fetch(target, { method, headers, body, signal, redirect: 'manual' })
    const passed = new Headers(response.headers)
    passed.delete('set-cookie')
    return new Response(response.body, { status: response.status, headers: passed })
  }
  return { request, handle }
}

/** Resolves with a contender whose `handle()` only decrypts `length` bytes, without a request. */
export const decryption = async ({ length }) => {
  const key = await aesKey()
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, new Uint8Array(length))
  return { request: null, handle: () => crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, sealed) }
}

/** Resolves with a contender whose `handle()` only verifies a signature as that of a renewal, without a request. */
export const verification = async () => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const { privateKey, publicKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const input = new Uint8Array(160)
  const signature = await crypto.subtle.sign(algorithm, privateKey, input)
  const jwk = await crypto.subtle.exportKey('jwk', publicKey)
  const handle = async () => {
    const key = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['verify'])
    return crypto.subtle.verify(algorithm, key, signature, input)
  }
  return { request: null, handle }
}

/** Returns a proxy without sessions, which does only what every proxy must do. */
export const plainProxy = (env) => async (request) => {
  const url = new URL(request.url)
  const headers = new Headers(request.headers)
  headers.delete('cookie')
  headers.set('authorization', 'Bearer a-token-of-some-forty-letters-and-more-of-them')
  const { method, body, signal } = request
  const response = await fetch(env.UPSTREAM + url.pathname.slice('/plain/'.length), {
    method,
    headers,
    body,
    signal,
    redirect: 'manual',
  })
  const { status, statusText } = response
  const passed = new Headers(response.headers)
  passed.delete('set-cookie')
  return new Response(response.body, { status, statusText, headers: passed })
}
