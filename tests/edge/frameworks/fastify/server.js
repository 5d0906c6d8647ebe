import Fastify from 'fastify'
import { strongroom } from 'strongroom/edge/fastify'
import { handler } from './auth.js'
import { page } from './page.js'

const { HOST, PORT, ORIGIN } = process.env
const auth = strongroom(handler, { origin: ORIGIN })
const app = Fastify()
await app.register(auth)

// Or the package @fastify/formbody.
app.addContentTypeParser(
  'application/x-www-form-urlencoded',
  { parseAs: 'string' },
  (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body)))
  },
)

app.get('/', async (request) => {
  const session = await request.strongroom.session
  return `Hello, ${session?.claims.name ?? 'stranger'}`
})

app.get('/orders', async (request, reply) => {
  const response = await request.strongroom.auth.call('/api/orders')
  if (response.status === 401 && response.headers.has('x-strongroom'))
    return reply.redirect('/auth/login?returnTo=/orders&automatic', 303)
  if (!response.ok) return reply.code(503).send('The orders are not available')
  return reply.type('text/html').send(page(await response.json()))
})

app.post('/orders', async (request, reply) => {
  const response = await request.strongroom.auth.call('/api/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ item: request.body.item, quantity: 1 }),
  })
  if (!response.ok) return reply.code(response.status).send('The order was refused')
  return reply.redirect('/orders', 303)
})

app.setNotFoundHandler((_request, reply) => reply.code(404).send('The app does not know this'))

await app.listen({ host: HOST, port: Number(PORT) })
process.once('SIGTERM', () => auth.stop(app.server))
console.log('ready')
