/**
 * An authorization server with the library @jmondi/oauth2-server, without OpenID Connect, and with its own API. It
 * stores everything in memory.
 */
import { AuthorizationServer, DateInterval, JwtService } from '@jmondi/oauth2-server'
import { handleVanillaError, requestFromVanilla, responseToVanilla } from '@jmondi/oauth2-server/vanilla'
import { randomBytes } from 'node:crypto'
import { serve, signInForm, signedIn } from './setup.mjs'

const { apps, clients, user } = JSON.parse(process.env.SETUP)

const scopes = [{ name: 'orders' }]
const known = clients.map(({ id, secret, redirectUri }) => ({
  id,
  name: id,
  secret,
  redirectUris: [redirectUri],
  allowedGrants: ['authorization_code', 'refresh_token'],
  scopes,
}))
const codes = new Map()
const tokens = new Map()
const random = () => randomBytes(24).toString('base64url')
const owner = { id: user.username }

const clientRepository = {
  getByIdentifier: (id) => known.find((client) => client.id === id),
  isClientValid: (_grant, client, secret) => !client.secret || client.secret === secret,
}
const tokenRepository = {
  issueToken: (client, scopes, user) => ({ accessToken: random(), client, scopes, user }),
  issueRefreshToken(token) {
    token.refreshToken = random()
    token.refreshTokenExpiresAt = new DateInterval('1d').getEndDate()
    tokens.set(token.refreshToken, token)
    return token
  },
  persist: (token) => void tokens.set(token.accessToken, token),
  revoke: (token) => void (token.isRevoked = true),
  isRefreshTokenRevoked: (token) => token.isRevoked ?? false,
  // Without a promise, the revocation endpoint would respond with 200 and revoke nothing.
  getByRefreshToken: async (id) => tokens.get(id),
  getByAccessToken: async (id) => tokens.get(id),
}
const scopeRepository = {
  getAllByIdentifiers: (names) => scopes.filter(({ name }) => names.includes(name)),
  finalize: (requested) => requested,
}
const authCodeRepository = {
  getByIdentifier: (id) => codes.get(id),
  issueAuthCode: (client, user, scopes) => ({ code: random(), client, user, scopes }),
  persist: (code) => void codes.set(code.code, code),
  isRevoked: (id) => codes.get(id)?.isRevoked ?? false,
  revoke: (id) => void (codes.get(id).isRevoked = true),
}
const jwt = new JwtService(random())
// The library has a hook for more members of access tokens, and none for more members of the token response.
const server = new AuthorizationServer(clientRepository, tokenRepository, scopeRepository, jwt)
server.enableGrantTypes(
  [
    {
      grant: 'authorization_code',
      authCodeRepository,
      userRepository: { getUserByCredentials: () => owner },
    },
    new DateInterval('1h'),
  ],
  ['refresh_token', new DateInterval('1h')],
)

/** Calls a function of the library, which throws the errors that the client receives. */
const respond = (action) => action().catch(handleVanillaError).then(responseToVanilla)

const endpoints = {
  async '/authorize'(request) {
    if (request.method === 'GET') return signInForm()
    if (!(await signedIn(request, user))) return signInForm()
    return respond(async () => {
      const authorization = await server.validateAuthorizationRequest(await requestFromVanilla(request))
      authorization.user = owner
      authorization.isAuthorizationApproved = true
      return server.completeAuthorizationRequest(authorization)
    })
  },
  '/token': (request) =>
    respond(async () => server.respondToAccessTokenRequest(await requestFromVanilla(request))),
  '/revoke': (request) => respond(async () => server.revoke(await requestFromVanilla(request))),
  async '/api/me'(request) {
    const token = request.headers.get('authorization')?.replace('Bearer ', '')
    const claims = await jwt.verify(token ?? '').catch(() => undefined)
    if (!claims || tokens.get(claims.jti)?.isRevoked) return new Response(null, { status: 401 })
    return Response.json({ user: claims.sub })
  },
}

await serve(endpoints, apps)
