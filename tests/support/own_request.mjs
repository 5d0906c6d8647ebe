import { createHash, randomBytes } from 'node:crypto'

/**
 * Returns an authorization request of an attacker, with the attacker's verifier.
 *
 * @param {{ provider: { issuer: string }, clientId: string }} app
 * @param {string} redirectUri
 * @param {{ prompt?: string, scope?: string }} [options] Default: a silent login.
 */
export function ownRequest(app, redirectUri, { prompt = 'none', scope = 'openid' } = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(24).toString('base64url')
  const url = new URL('/auth', app.provider.issuer)
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: app.clientId,
    redirect_uri: redirectUri,
    scope,
    prompt,
    state,
    nonce: randomBytes(24).toString('base64url'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  })
  return { url: url.href, state, verifier, redirectUri }
}
