/** A provider in memory, which signs a user in without asking. No request leaves the process. */
import type { TokenHandlerConfig } from '../config.js'
import type { sendRequest } from '../upstream/provider.js'

/** A session that a test wants. */
export interface TestSession {
  /**
   * The user's claims. Pages see `sub` and the claims that the configuration names. Default: `sub` is `alice`, and `name`
   * is `Alice`. Times such as `auth_time` are in seconds since the Unix epoch.
   */
  claims?: { sub?: string; [name: string]: unknown }
  /**
   * The access token that the app's APIs get, or a function that creates it. With `dpop`, this function gets the
   * thumbprint of the session's key (RFC 9449 6.1), which the token must contain. Default: a random string.
   */
  accessToken?: string | ((key: { jkt?: string }) => string | Promise<string>)
  /** The lifetime of the access token in seconds. Without a refresh token, the session ends then. Default 3600. */
  expiresIn?: number
  /** The refresh token, with which the app under test asks the real provider for the next tokens. Default: none. */
  refreshToken?: string
  /** The granted scopes, separated by spaces. Default: those of the configuration. */
  scope?: string
}

/** The parts of the configuration that the provider needs. */
interface Client {
  issuer: string
  dpop?: boolean
  identity?: TokenHandlerConfig['identity']
}

type Send = typeof sendRequest

/** Creates a provider for clients of this issuer. */
export const createProvider = async ({ issuer, dpop, identity }: Client) => {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const { privateKey, publicKey } = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), alg: 'ES256', use: 'sig' }
  const metadata = {
    issuer,
    authorization_endpoint: `${issuer}/test/authorize`,
    token_endpoint: `${issuer}/test/token`,
    jwks_uri: `${issuer}/test/jwks`,
    userinfo_endpoint: `${issuer}/test/userinfo`,
    id_token_signing_alg_values_supported: ['ES256'],
    dpop_signing_alg_values_supported: ['ES256'],
  }

  const idToken = async (claims: object): Promise<string> => {
    const input = [{ alg: 'ES256' }, claims].map((part) => base64url(encoder.encode(JSON.stringify(part))))
    const bytes = encoder.encode(input.join('.'))
    const signature = await crypto.subtle.sign(algorithm, privateKey, bytes)
    return [...input, base64url(new Uint8Array(signature))].join('.')
  }

  /** Returns the function that sends the handler's requests, for the login of one session. */
  const sendFor = (session: TestSession): Send => {
    const claims = { sub: 'alice', ...(session.claims ?? { name: 'Alice' }) }
    // Without OpenID Connect, the member that the configuration names identifies the user.
    const members = typeof identity === 'object' ? { ...claims, [identity.sub]: claims.sub } : {}
    const tokens = async (form: URLSearchParams, proof?: string | null) => {
      const now = Math.floor(Date.now() / 1000)
      const about = {
        iss: issuer,
        aud: form.get('client_id'),
        nonce: form.get('code'),
        iat: now,
        exp: now + 600,
      }
      const { accessToken = crypto.randomUUID(), expiresIn = 3600, refreshToken, scope } = session
      const key = proof ? { jkt: await thumbprintOf(proof) } : {}
      return {
        ...members,
        access_token: typeof accessToken === 'function' ? await accessToken(key) : accessToken,
        token_type: dpop ? 'DPoP' : 'Bearer',
        expires_in: expiresIn,
        refresh_token: refreshToken,
        scope,
        id_token: identity ? undefined : await idToken({ auth_time: now, ...claims, ...about }),
      }
    }
    return async ({ url, form, proof }) => {
      const body = form
        ? await tokens(new URLSearchParams(form), proof)
        : url === metadata.jwks_uri
          ? { keys: [jwk] }
          : { ...claims, ...members }
      return `${JSON.stringify({ status: 200, type: 'application/json' })}\n${JSON.stringify(body)}`
    }
  }
  return { metadata, sendFor }
}

/** Returns the response to an authorization request: the redirect URI, with a code that is the request's nonce. */
export const authorize = (request: URL): URL => {
  const { searchParams: given } = request
  const response = new URL(given.get('redirect_uri')!)
  response.searchParams.set('code', given.get('nonce') ?? 'code')
  response.searchParams.set('state', given.get('state')!)
  return response
}

const encoder = new TextEncoder()

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/** Returns the thumbprint (RFC 7638) of the key in a DPoP proof. The handler's keys are for ES256. */
const thumbprintOf = async (proof: string): Promise<string> => {
  const header = proof.split('.', 1)[0]!.replaceAll('-', '+').replaceAll('_', '/')
  const { crv, kty, x, y } = JSON.parse(atob(header)).jwk
  const hash = await crypto.subtle.digest('SHA-256', encoder.encode(JSON.stringify({ crv, kty, x, y })))
  return base64url(new Uint8Array(hash))
}
