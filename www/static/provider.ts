/**
 * The static demo's OpenID provider, except for its pages: metadata, keys, token endpoint with PKCE and rotation,
 * UserInfo and revocation. It runs in the vault's worker, and keeps its data in the worker's memory.
 */
import { base64url } from '../format.js'
import { clientId, comparison, home, issuer } from './addresses.js'
import { ACCOUNT, now, random, read, type Grant } from './authorization.js'
import { keySet, sign, verify } from './jwt.js'

/** The refresh tokens of one login. */
interface Family {
  grant: Grant
  /** The only refresh token that is valid. */
  current: string
  isRevoked: boolean
}

/** The lifetimes of access tokens in seconds, by client. Those of the demo expire soon, to show a refresh. */
const LIFETIMES: Record<string, number> = { [clientId]: 10, [comparison.clientId]: 3600 }

const CODE_SECONDS = 60

const redeemed = new Set<string>()
/** The families of all refresh tokens, also of those that have been replaced. */
const families = new Map<string, Family>()

const ENDPOINTS: Record<string, (request: Request) => Promise<Response> | Response> = {
  '/.well-known/openid-configuration': () => Response.json(metadata()),
  '/jwks': async () => Response.json(await keySet()),
  '/token': token,
  '/revocation': revoke,
  '/userinfo': userInfo,
}

/** Responds to a request to the provider. */
export async function respond(request: Request): Promise<Response> {
  const path = new URL(request.url).href.slice(issuer.length).split('?')[0] ?? ''
  return (await ENDPOINTS[path]?.(request)) ?? Response.json({ error: 'not_found' }, { status: 404 })
}

function metadata(): object {
  return {
    issuer,
    authorization_endpoint: `${home}provider/authorize/`,
    end_session_endpoint: `${home}provider/logout/`,
    token_endpoint: `${issuer}/token`,
    revocation_endpoint: `${issuer}/revocation`,
    userinfo_endpoint: `${issuer}/userinfo`,
    jwks_uri: `${issuer}/jwks`,
    authorization_response_iss_parameter_supported: true,
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    id_token_signing_alg_values_supported: ['ES256'],
    response_types_supported: ['code'],
    scopes_supported: ['openid', 'profile', 'email', 'offline_access', 'orders'],
    subject_types_supported: ['public'],
    token_endpoint_auth_methods_supported: ['none'],
  }
}

async function token(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text())
  switch (form.get('grant_type')) {
    case 'authorization_code':
      return redeem(form)
    case 'refresh_token':
      return refresh(form)
    default:
      return refusal('unsupported_grant_type')
  }
}

async function redeem(form: URLSearchParams): Promise<Response> {
  const grant = read(form.get('code') ?? '')
  if (!grant || redeemed.has(grant.id) || now() - grant.at > CODE_SECONDS) return refusal('invalid_grant')
  redeemed.add(grant.id)
  const isSame = grant.clientId === form.get('client_id') && grant.redirectUri === form.get('redirect_uri')
  if (!isSame || (await challengeOf(form.get('code_verifier') ?? '')) !== grant.challenge) {
    return refusal('invalid_grant')
  }
  return tokens({ grant, current: '', isRevoked: false })
}

/** Replaces a refresh token. If it had been replaced before, revokes the family (RFC 9700 4.14.2). */
async function refresh(form: URLSearchParams): Promise<Response> {
  const presented = form.get('refresh_token') ?? ''
  const family = families.get(presented)
  if (!family || family.grant.clientId !== form.get('client_id')) return refusal('invalid_grant')
  if (family.current !== presented) family.isRevoked = true
  return family.isRevoked ? refusal('invalid_grant') : tokens(family)
}

/** Issues the tokens of a login or of a refresh. */
async function tokens(family: Family): Promise<Response> {
  const { clientId, nonce, scope, sub, at } = family.grant
  const lifetime = LIFETIMES[clientId] ?? 60
  const [iat, exp] = [now(), now() + lifetime]
  const isOffline = scope.split(' ').includes('offline_access')
  if (isOffline) {
    family.current = random()
    families.set(family.current, family)
  }
  const common = { iss: issuer, sub, iat }
  const access = { ...common, aud: 'orders', client_id: clientId, scope, exp, jti: random() }
  const id = { ...ACCOUNT, ...common, aud: clientId, exp: iat + 3600, auth_time: at, ...(nonce && { nonce }) }
  return Response.json(
    {
      access_token: await sign('at+jwt', access),
      token_type: 'Bearer',
      expires_in: lifetime,
      scope,
      id_token: await sign('JWT', id),
      ...(isOffline && { refresh_token: family.current }),
    },
    { headers: { 'Cache-Control': 'no-store' } },
  )
}

/** Revokes the family of a refresh token (RFC 7009). */
async function revoke(request: Request): Promise<Response> {
  const form = new URLSearchParams(await request.text())
  const family = families.get(form.get('token') ?? '')
  if (family) family.isRevoked = true
  return new Response(null, { status: 200 })
}

async function userInfo(request: Request): Promise<Response> {
  const claims = await accessToken(request)
  return claims ? Response.json({ ...ACCOUNT, sub: claims.sub }) : refusal('invalid_token', 401)
}

/** Resolves with the claims of a request's access token, or with `null` if it has none that is valid. */
export async function accessToken(request: Request): Promise<Record<string, unknown> | null> {
  const [, text = ''] = /^Bearer (.+)$/.exec(request.headers.get('authorization') ?? '') ?? []
  const claims = await verify(text)
  return claims && claims.aud === 'orders' && Number(claims.exp) > now() ? claims : null
}

async function challengeOf(verifier: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  return base64url(new Uint8Array(hash))
}

function refusal(error: string, status = 400): Response {
  return Response.json({ error }, { status, headers: { 'Cache-Control': 'no-store' } })
}
