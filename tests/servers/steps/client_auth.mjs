import assert from 'node:assert/strict'
import { decodeProtectedHeader } from 'jose'
import { withApp } from '../life.mjs'
import { claimsOf, currentRefreshToken, present, tokenRequests } from '../wire.mjs'
import { refresh } from './refresh.mjs'
import { callApi, signIn } from './sign_in.mjs'

/** What shows that a request has been authenticated by a method. */
const EVIDENCE = {
  client_secret_basic: ({ headers }) => headers.authorization?.startsWith('Basic '),
  client_secret_post: ({ form }, { secret }) => form.get('client_secret') === secret,
  private_key_jwt({ form }, { key, id }) {
    const assertion = form.get('client_assertion')
    return decodeProtectedHeader(assertion).kid === key.kid && claimsOf(assertion).sub === id
  },
}

/**
 * Returns a step: a token handler signs in and refreshes with a client authentication method. The server must refuse
 * the same client with another secret.
 */
export const authenticatesBy = (method) => (life) => {
  const client = life.clients.find(({ auth }) => auth === method)
  return withApp(life, { client }, async (other) => {
    await signIn(other)
    await callApi(other)
    await refresh(other)
    for (const grant of ['authorization_code', 'refresh_token']) {
      const [request] = tokenRequests(other, grant)
      assert.ok(EVIDENCE[method](request, client), `${grant} is authenticated by ${method}`)
    }
    const stranger = { ...client, ...(client.secret && { secret: 'a-wrong-secret' }) }
    const refused = await present({ ...other, client: stranger }, currentRefreshToken(other))
    assert.match(refused, /^401 |client/)
  })
}
