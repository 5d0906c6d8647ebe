import { generateKeyPairSync, sign } from 'node:crypto'

/** The headers that a browser itself sends when it registers a key or renews the bound cookie. */
const BY_BROWSER = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty' }

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * A key for bound sessions (Device Bound Session Credentials) for clients that are not a browser. `send` takes a path and
 * `{ method, headers }`, and resolves with a `Response`.
 */
export class Device {
  #origin
  #send
  #privateKey
  #jwk
  #challenge
  #renewal

  constructor(origin, send) {
    this.#origin = origin
    this.#send = send
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#privateKey = privateKey
    this.#jwk = publicKey.export({ format: 'jwk' })
  }

  #post(path, headers) {
    return this.#send(path, { method: 'POST', headers: this.#byBrowser(headers) })
  }

  #byBrowser(headers) {
    return { origin: this.#origin, ...BY_BROWSER, ...headers }
  }

  /** Returns the signed challenge as a JWT. A registration has the public key in the JWT's header. */
  #signed(challenge, header) {
    const input = `${encode({ alg: 'ES256', typ: 'dbsc+jwt', ...header })}.${encode({ jti: challenge })}`
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' }
    return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
  }

  #keep(response) {
    this.#challenge = /"([^"]+)"/.exec(response.headers.get('secure-session-challenge') ?? '')?.[1]
    return response
  }

  /** Accepts the offer in a response: registers the key, and resolves with the response. */
  async register(offer) {
    const header = offer.headers.get('secure-session-registration')
    const [, path, challenge] = /path="([^"]+)";challenge="([^"]+)"/.exec(header)
    const signed = this.#signed(challenge, { jwk: this.#jwk })
    const response = await this.#post(path, { 'secure-session-response': signed })
    const { session_identifier, refresh_url } = await response.clone().json()
    this.#renewal = { path: refresh_url, headers: { 'sec-secure-session-id': session_identifier } }
    return this.#keep(response)
  }

  /**
   * Resolves with the request of a renewal, its path and its headers. The handler accepts it until its challenge expires.
   * Without a challenge, asks for one before.
   */
  async renewalRequest() {
    const { path, headers } = this.#renewal
    if (!this.#challenge) this.#keep(await this.#post(path, headers))
    if (!this.#challenge) throw new Error(`${path}: the response has no challenge`)
    const signed = this.#signed(this.#challenge)
    return { path, headers: this.#byBrowser({ ...headers, 'secure-session-response': signed }) }
  }

  /** Renews the bound cookie, and resolves with the response. */
  async renew() {
    const { path, headers } = await this.renewalRequest()
    return this.#keep(await this.#send(path, { method: 'POST', headers }))
  }
}
