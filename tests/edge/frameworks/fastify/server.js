import Fastify from 'fastify'
import { toNodeListener } from 'strongroom/edge/node'
import { handler } from './auth.js'

const { HOST, PORT, ORIGIN } = process.env
const app = Fastify()
const listener = toNodeListener(handler, { origin: ORIGIN })
app.addHook('onRequest', (request, reply, done) => listener(request.raw, reply.raw, done))
app.get('/', async ({ originalUrl, headers }) => {
  const session = await handler.session(new Request(ORIGIN + originalUrl, { headers }))
  return `Hello, ${session?.claims.name ?? 'stranger'}`
})
app.setNotFoundHandler((_request, reply) => reply.code(404).send('The app does not know this'))
await app.listen({ host: HOST, port: Number(PORT) })
console.log('ready')
