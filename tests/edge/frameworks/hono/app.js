import { Hono } from 'hono'
import { strongroom } from 'strongroom/edge/hono'
import { handler } from './auth.js'

const app = new Hono()
app.use(strongroom(handler))
app.get('/', async (c) => {
  const session = await c.get('session')
  return c.text(`Hello, ${session?.claims.name ?? 'stranger'}`)
})
app.notFound((c) => c.text('The app does not know this', 404))
export default app
