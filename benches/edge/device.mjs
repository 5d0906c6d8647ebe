/** A browser's key for bound sessions (Device Bound Session Credentials), which signs as Chromium does. */
import { generateKeyPairSync, sign } from 'node:crypto'

/** Headers of a request that the browser itself sends, which has no cookie. */
const BY_BROWSER = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty' }

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Returns a challenge that is signed with the key, as ES256 in a JWT. */
const signed = (key, challenge, head) => {
  const input = `${base64url({ typ: 'dbsc+jwt', alg: 'ES256', ...head })}.${base64url({ jti: challenge })}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const parameter = (text, name) => new RegExp(`${name}="([^"]*)"`).exec(text)[1]

/**
 * Registers a key for a visitor's new session. Resolves with the request of a renewal, which the handler accepts for some
 * minutes: its path and its headers.
 *
 * @param {import('../../tests/support/edge/visitor.mjs').Visitor} visitor
 * @param {string} origin The app's origin.
 * @param {Response} login The response to the login, which offers the registration.
 */
export async function register(visitor, origin, login) {
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const offer = login.headers.get('secure-session-registration')
  const send = async (path, headers) => {
    const all = { origin, ...BY_BROWSER, ...headers }
    const response = await visitor.send(path, { method: 'POST', headers: all })
    if (response.status >= 400 && response.status !== 403) throw new Error(`${path}: ${response.status}`)
    return response
  }
  const registration = await send(parameter(offer, 'path'), {
    'secure-session-response': signed(key, parameter(offer, 'challenge'), {
      jwk: publicKey.export({ format: 'jwk' }),
    }),
  })
  const { session_identifier: id, refresh_url: path } = await registration.json()
  const asked = await send(path, { 'sec-secure-session-id': id })
  const [, challenge] = /^"([^"]+)"/.exec(asked.headers.get('secure-session-challenge'))
  const headers = {
    origin,
    ...BY_BROWSER,
    'sec-secure-session-id': id,
    'secure-session-response': signed(key, challenge),
  }
  return { path, headers }
}
