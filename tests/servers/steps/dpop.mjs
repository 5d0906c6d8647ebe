import assert from 'node:assert/strict'
import { withApp } from '../life.mjs'
import { currentRefreshToken, present, signInResponse } from '../wire.mjs'
import { refresh } from './refresh.mjs'
import { callApi, signIn } from './sign_in.mjs'

/** Signs in with tokens that are bound to a key. A thief without the key cannot use them. */
export const dpop = (life) =>
  withApp(life, { config: { dpop: true } }, async (other) => {
    const { proxy, issuer, server } = other
    await signIn(other)
    const { token_type: type, access_token: token } = signInResponse(other)
    assert.equal(type, 'DPoP')
    await callApi(other)
    const { headers } = proxy.requests.findLast(({ endpoint }) => endpoint === 'api')
    assert.ok(headers.authorization === `DPoP ${token}` && headers.dpop, 'the call has token and proof')
    await refresh(other)
    for (const scheme of ['Bearer', 'DPoP']) {
      const response = await fetch(issuer + server.api, { headers: { authorization: `${scheme} ${token}` } })
      assert.ok([400, 401].includes(response.status), `${scheme} without a proof: ${response.status}`)
    }
    const refreshToken = currentRefreshToken(other)
    // The tokens of a client with a secret are bound to that secret (RFC 9449 section 5).
    if (other.kind === 'handler' || !refreshToken) return
    assert.notEqual(await present(other, refreshToken), 'accepted', 'the refresh token without a proof')
  })
