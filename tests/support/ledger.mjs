import { EventEmitter } from 'node:events'

/**
 * Records the codes and tokens that the identity provider issued, and its authorization, token and revocation requests,
 * in order and with all values. Also records revoked families, sign-ins and sign-outs. Tests compare the values with
 * the data that a page could read.
 *
 * A *family* is one login: the tokens of one code exchange and of every refresh that descends from it. Families are
 * counted from 1, and so are the *generations* of refresh tokens within a family.
 *
 * @typedef {object} IssuedToken
 * @property {'token'} type
 * @property {'authorization_code' | 'access_token' | 'refresh_token' | 'id_token'} kind
 * @property {string} value
 * @property {number} at Milliseconds since the Unix epoch, like all times here.
 * @property {number | null} expiresAt
 * @property {number} [clientExpiresAt] An access token's expiry as the client computes it from `expires_in`. It is up
 *   to a second after `expiresAt`, which the provider rounds down.
 * @property {string | null} grant The grant type of the token request, or `null` for a code.
 * @property {number | null} family The family, or `null` for a code that was not exchanged yet.
 * @property {number | null} generation The generation of a refresh token. An access or ID token has the generation of
 *   the refresh token in the same response.
 *
 * @typedef {object} TokenRequest
 * @property {'token_request'} type
 * @property {number} at Time of arrival.
 * @property {number} endedAt Time of the response, or of the cut connection.
 * @property {string} grant `authorization_code`, `refresh_token`, …
 * @property {number | null} family
 * @property {number | null} presented The generation of the refresh token in the request.
 * @property {number | null} issued The generation of the refresh token in the response.
 * @property {string} outcome `issued`, or the response's error code.
 * @property {number} status
 * @property {string | null} fault The fault that the test ordered, if any: `answered`, `dropped` or `lost` (the
 *   provider acted, and the response was lost).
 * @property {string | null} codeVerifier
 * @property {string | null} origin
 *
 * @typedef {{ type: 'authorization_request', at: number, parameters: Record<string, string>, query: Record<string,
 *   string> }} AuthorizationRequest
 * @typedef {{ type: 'revocation', at: number, kind: string | null, family: number | null, status: number }} Revocation
 * @typedef {{ type: 'family_revoked', at: number, family: number, by: string }} FamilyRevoked
 * @typedef {{ type: 'sign_in', at: number, account: string }} SignIn
 * @typedef {{ type: 'sign_out', at: number, account: string | null }} SignOut
 * @typedef {IssuedToken | TokenRequest | AuthorizationRequest | Revocation | FamilyRevoked | SignIn | SignOut} Entry
 */
export class Ledger {
  /** @type {Entry[]} */
  entries = []
  #events = new EventEmitter()

  constructor() {
    // Each pending `until()` has one listener, and a test may wait for many entries at once.
    this.#events.setMaxListeners(0)
  }

  /** @param {Entry} entry */
  record(entry) {
    this.entries.push(entry)
    this.#events.emit('entry', entry)
  }

  /** @returns {IssuedToken[]} All issued tokens, oldest first, or those of one kind. */
  tokens(kind) {
    return this.#of('token').filter((token) => !kind || token.kind === kind)
  }

  /** @returns {TokenRequest[]} */
  tokenRequests() {
    return this.#of('token_request')
  }

  /** @returns {TokenRequest[]} The token requests with `grant_type=refresh_token`, successful or not. */
  refreshes() {
    return this.tokenRequests().filter((request) => request.grant === 'refresh_token')
  }

  /** @returns {AuthorizationRequest[]} */
  authorizationRequests() {
    return this.#of('authorization_request')
  }

  /** @returns {Revocation[]} The requests at the revocation endpoint (RFC 7009). */
  revocations() {
    return this.#of('revocation')
  }

  /** @returns {number} The number of logins. */
  families() {
    return Math.max(0, ...this.tokens('refresh_token').map(({ family }) => family ?? 0), ...this.#exchanged())
  }

  /** Returns true if a refresh token family, by default the newest, is revoked. */
  familyRevoked(family = this.families()) {
    return this.#of('family_revoked').some((entry) => entry.family === family)
  }

  /** @returns {number} The generation of the newest refresh token in a family, by default in the newest family. */
  generation(family = this.families()) {
    const own = this.tokens('refresh_token').filter((token) => token.family === family)
    return Math.max(0, ...own.map(({ generation }) => generation ?? 0))
  }

  /** @returns {IssuedToken | undefined} The newest token of a kind. */
  newest(kind) {
    return this.tokens(kind).at(-1)
  }

  /** @returns {IssuedToken | undefined} */
  find(value) {
    return this.tokens().find((token) => token.value === value)
  }

  /**
   * Returns all values that must not appear in a page, each with its kind: all issued tokens and codes, and the code
   * verifiers of token requests. A redirect always puts the code into the page's URL for a moment. The code is useless
   * without its verifier.
   *
   * @returns {{ kind: string, value: string }[]}
   */
  secrets() {
    const verifiers = this.tokenRequests().filter((request) => request.codeVerifier)
    return [
      ...this.tokens().map(({ kind, value }) => ({ kind, value })),
      ...verifiers.map(({ codeVerifier }) => ({ kind: 'code_verifier', value: codeVerifier })),
    ]
  }

  /**
   * Waits for an entry. Resolves with the first entry from position `since` on for which `matches` returns true.
   *
   * @param {(entry: Entry) => boolean} matches
   * @param {{ since?: number, timeout?: number, what?: string }} [options] `since`: an earlier `ledger.entries.length`;
   *   default: from now on. `timeout` is in milliseconds. `what` describes the entry in the error message.
   * @returns {Promise<Entry>}
   */
  until(matches, { since = this.entries.length, timeout = 10_000, what = 'the expected entry' } = {}) {
    const past = this.entries.slice(since).find(matches)
    if (past) return Promise.resolve(past)
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer)
        this.#events.off('entry', listener)
        settle(value)
      }
      const listener = (entry) => matches(entry) && finish(resolve, entry)
      const late = new Error(`the ledger did not get ${what} within ${timeout} ms`)
      const timer = setTimeout(() => finish(reject, late), timeout)
      this.#events.on('entry', listener)
    })
  }

  /** Resolves when the newest access token has expired, for the API and for its client. */
  async accessTokenExpired() {
    for (;;) {
      const { expiresAt = 0, clientExpiresAt = 0 } = this.newest('access_token') ?? {}
      const left = Math.max(expiresAt, clientExpiresAt) - Date.now()
      if (left < 0) return
      await new Promise((resolve) => setTimeout(resolve, left + 1))
    }
  }

  #of(type) {
    return this.entries.filter((entry) => entry.type === type)
  }

  #exchanged() {
    return this.tokenRequests().map(({ family }) => family ?? 0)
  }
}
