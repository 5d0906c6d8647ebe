import { createTokenHandler, inIsolate, type TokenHandlerConfig } from 'strongroom/edge'

export const issuer = process.env.ISSUER!

export const config: TokenHandlerConfig = {
  issuer,
  origin: (env) => env.ORIGIN,
  client: { id: 'web', auth: { method: 'client_secret_basic', secret: (env) => env.CLIENT_SECRET } },
  cookie: { keys: (env) => env.COOKIE_KEYS },
  scope: 'openid profile offline_access orders',
  consent: 'always',
  routes: [{ prefix: '/api/', upstream: (env) => env.UPSTREAM, methods: ['GET', 'POST'] }],
  coordinator: inIsolate(), // for one process
  session: { admin: true }, // for the page of the user's devices
  postLogoutRedirectUri: '/',
}

export const handler = createTokenHandler(config)
