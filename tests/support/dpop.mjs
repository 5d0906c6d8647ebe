import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'

/** The largest accepted difference in seconds between a proof's `iat` and the server's time. */
const TOLERANCE_SECONDS = 60

/**
 * Checks proofs as a resource server must (RFC 9449 4.3, 7.1), with jose. Each proof is valid once.
 *
 * `nonce` is the nonce that proofs must contain, or null (RFC 9449 section 9). `proofs` are the received proofs, oldest
 * first.
 */
export class DpopVerifier {
  /** @type {string | null} */
  nonce = null
  /** @type {{ proof: string, nonce?: string, jti: string, htu: string, problem: string | null }[]} */
  proofs = []
  #seen = new Set()

  /**
   * Resolves with the error code (RFC 9449) for the proof of a request, or with null if the proof is valid.
   *
   * @param {object} request
   * @param {string | undefined} request.proof The header `DPoP`.
   * @param {string} request.method
   * @param {string} request.url
   * @param {string} request.accessToken
   * @param {string | undefined} request.jkt The token's `cnf.jkt`.
   */
  async check({ proof, method, url, accessToken, jkt }) {
    if (!proof) return 'invalid_dpop_proof'
    const entry = { proof, problem: 'invalid_dpop_proof' }
    this.proofs.push(entry)
    try {
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: ['ES256'],
      })
      const { jti, htm, htu, iat, ath, nonce } = payload
      Object.assign(entry, { jti, htu, nonce })
      const { origin, pathname } = new URL(url)
      const isFresh = !this.#seen.has(jti) && Math.abs(Date.now() / 1000 - iat) <= TOLERANCE_SECONDS
      this.#seen.add(jti)
      const hash = createHash('sha256').update(accessToken).digest('base64url')
      const isPublic = !('d' in protectedHeader.jwk)
      if (this.nonce && nonce !== this.nonce) entry.problem = 'use_dpop_nonce'
      else if ((await calculateJwkThumbprint(protectedHeader.jwk)) !== jkt) entry.problem = 'invalid_token'
      else if (isPublic && isFresh && htm === method && htu === origin + pathname && ath === hash)
        entry.problem = null
    } catch {
      // An unreadable proof counts as invalid.
    }
    return entry.problem
  }
}
