import express from 'express'
import { strongroom } from 'strongroom/edge/express'
import { handler } from './auth.js'
import { page } from './page.js'

const { HOST, PORT, ORIGIN } = process.env
const auth = strongroom(handler, { origin: ORIGIN })
const app = express()
app.use(auth) // before express.json() and other body parsers

app.get('/', async (_request, response) => {
  const session = await response.locals.session
  response.type('text/plain').send(`Hello, ${session?.claims.name ?? 'stranger'}`)
})

app.get('/orders', async (_request, response) => {
  const orders = await response.locals.auth.call('/api/orders')
  if (orders.status === 401 && orders.headers.has('x-strongroom'))
    return response.redirect(303, '/auth/login?returnTo=/orders&automatic')
  if (!orders.ok) return response.status(503).send('The orders are not available')
  response.send(page(await orders.json()))
})

app.post('/orders', express.urlencoded(), async ({ body: { item } }, response) => {
  const order = await response.locals.auth.call('/api/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ item, quantity: 1 }),
  })
  if (!order.ok) return response.status(order.status).send('The order was refused')
  response.redirect(303, '/orders')
})

app.use((_request, response) => {
  response.status(404).send('The app does not know this')
})

const server = app.listen(Number(PORT), HOST, () => console.log('ready'))
server.requestTimeout = 3_600_000 // for uploads of up to an hour: Node's default is five minutes
process.once('SIGTERM', () => auth.stop(server))
