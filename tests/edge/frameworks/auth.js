import { createTokenHandler, inIsolate } from 'strongroom/edge'

export const config = {
  issuer: (env) => env.ISSUER,
  origin: (env) => env.ORIGIN,
  client: { id: 'web', auth: { method: 'client_secret_basic', secret: (env) => env.CLIENT_SECRET } },
  cookie: { keys: (env) => env.COOKIE_KEYS },
  scope: 'openid profile offline_access orders',
  consent: 'always',
  routes: [{ prefix: '/api/', upstream: (env) => env.UPSTREAM, methods: ['GET', 'POST'] }],
  coordinator: inIsolate(),
}

export const handler = createTokenHandler(config)
