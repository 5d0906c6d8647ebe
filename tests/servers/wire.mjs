/** What the proxy in front of a server has seen of the token endpoint, and requests of the driver's own. */

/**
 * Returns the requests that the token endpoint got since the latest sign-in, oldest first. A response that was lost has
 * no body.
 *
 * @param {import('./life.mjs').Life} life
 * @returns {{ url: string, headers: object, form: URLSearchParams, status: number, body: any }[]}
 */
export const tokenRequests = ({ proxy, issuer, since }, grant) =>
  proxy.requests
    .slice(since)
    .filter(({ method, sent }) => method === 'POST' && sent.includes('grant_type='))
    .map(({ path, headers, sent, status, received }) => ({
      url: issuer + path,
      headers,
      form: new URLSearchParams(sent),
      status,
      body: received.startsWith('{') ? JSON.parse(received) : {},
    }))
    .filter(({ form }) => form.get('grant_type') === grant)

export const refreshes = (life) => tokenRequests(life, 'refresh_token')

/** Returns the token response of the latest sign-in by a code. */
export const signInResponse = (life) => tokenRequests(life, 'authorization_code').at(-1).body

/** Returns the session's refresh token. */
export const currentRefreshToken = (life) => {
  const latest = refreshes(life).findLast(({ body }) => body.access_token)
  return latest?.body.refresh_token ?? latest?.form.get('refresh_token') ?? signInResponse(life).refresh_token
}

/** Returns the path of the token endpoint, by which the proxy names its faults. */
export const tokenPath = (life) => new URL(tokenRequests(life, 'authorization_code').at(-1).url).pathname

/**
 * Resolves with the server's metadata, from where a client finds it.
 *
 * @param {import('./life.mjs').Life} life
 */
export async function metadataOf({ issuer, config }) {
  for (const name of ['openid-configuration', 'oauth-authorization-server']) {
    const response = await fetch(`${config.issuer ?? issuer}/.well-known/${name}`)
    if (response.ok) return { ...(await response.json()), ...config.metadata }
  }
  return config.metadata ?? {}
}

/** Sends a form to the server with the client's authentication, as a thief would who knows the client's secret. */
async function post({ client }, url, form) {
  const { id, secret, auth } = client
  const body = new URLSearchParams(form)
  if (auth !== 'client_secret_basic') body.set('client_id', id)
  if (auth === 'client_secret_post') body.set('client_secret', secret)
  const basic = Buffer.from(`${id}:${secret}`).toString('base64')
  const headers = auth === 'client_secret_basic' ? { authorization: `Basic ${basic}` } : {}
  const response = await fetch(url, { method: 'POST', body, headers })
  const text = await response.text()
  const { error } = text.startsWith('{') ? JSON.parse(text) : {}
  return response.ok && !error ? 'accepted' : `${response.status} ${error ?? 'without a code'}`
}

/** Presents a refresh token to the server. Resolves with `accepted`, or with status and code. */
export function present(life, refreshToken) {
  const [{ url }] = tokenRequests(life, 'authorization_code').slice(-1)
  return post(life, url, { grant_type: 'refresh_token', refresh_token: refreshToken })
}

/** Revokes a refresh token at the server. Resolves with `accepted`, or with status and code. */
export async function revoke(life, refreshToken) {
  const { revocation_endpoint: url } = await metadataOf(life)
  return post(life, url, { token: refreshToken, token_type_hint: 'refresh_token' })
}

/** Returns the claims of a JWT without verifying it. */
export const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'))
