/** The token handler that is compared. The route `/headers/` does not search bodies. */
import { createTokenHandler } from 'strongroom/edge'

const { ISSUER, ORIGIN, UPSTREAM, CLIENT_SECRET, COOKIE_KEYS } = globalThis.process.env

const route = { upstream: UPSTREAM, methods: ['GET', 'POST'] }

export default (coordinator) =>
  createTokenHandler({
    issuer: ISSUER,
    origin: ORIGIN,
    client: { id: 'web', auth: { method: 'client_secret_basic', secret: CLIENT_SECRET } },
    cookie: { keys: COOKIE_KEYS },
    scope: 'openid profile offline_access orders',
    consent: 'always',
    routes: [
      { prefix: '/api/', ...route },
      { prefix: '/headers/', reflection: 'headers', ...route },
    ],
    coordinator,
  })
