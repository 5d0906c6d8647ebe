// One instance of the token handler, as docs/edge-deploy.md deploys it on Node.
import { createClient } from '@redis/client'
import { createServer } from 'node:http'
import { createTokenHandler, redis } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { appendLine } from './kept.mjs'

const { PORT, REDIS_URL, ISSUER, ORIGIN, UPSTREAM, LOG } = process.env

const client = createClient({ url: REDIS_URL, disableOfflineQueue: true })
client.on('error', () => {})
await client.connect()
const handler = createTokenHandler({
  issuer: ISSUER,
  origin: ORIGIN,
  client: { id: 'web', auth: { method: 'client_secret_basic', secret: (env) => env.CLIENT_SECRET } },
  cookie: { keys: (env) => env.COOKIE_KEYS },
  scope: 'openid profile offline_access orders',
  consent: 'always',
  routes: [{ prefix: '/api/', upstream: UPSTREAM, methods: ['GET', 'POST'] }],
  coordinator: redis(client),
  log: (fault) => appendLine(LOG, { at: new Date().toISOString(), ...fault }),
})
await handler.ready(process.env)
const listener = toNodeListener(handler)
const server = createServer(listener)
server.listen(Number(PORT), '127.0.0.1', () => console.log(JSON.stringify({ port: Number(PORT) })))
process.once('SIGTERM', async () => {
  await listener.stop(server, { drain: 5 })
  client.destroy()
  process.exit()
})
