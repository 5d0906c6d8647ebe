import { Hono } from 'hono'
import { strongroom } from 'strongroom/edge/hono'
import { handler } from './auth.js'
import { page } from './page.js'

const app = new Hono()
app.use(strongroom(handler)) // before anything that reads a body

app.get('/', async (c) => {
  const session = await c.get('session')
  return c.text(`Hello, ${session?.claims.name ?? 'stranger'}`)
})

app.get('/orders', async (c) => {
  const response = await c.get('auth').call('/api/orders')
  if (response.status === 401 && response.headers.has('x-strongroom'))
    return c.redirect('/auth/login?returnTo=/orders&automatic', 303)
  if (!response.ok) return c.text('The orders are not available', 503)
  return c.html(page(await response.json()))
})

app.post('/orders', async (c) => {
  const { item } = await c.req.parseBody()
  const response = await c.get('auth').call('/api/orders', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ item, quantity: 1 }),
  })
  if (!response.ok) return c.text('The order was refused', response.status)
  return c.redirect('/orders', 303)
})

app.notFound((c) => c.text('The app does not know this', 404))
export default app
