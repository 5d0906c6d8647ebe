import { Hono } from 'hono'
import { strongroom } from 'strongroom/edge/hono'
import create from './handler.mjs'

/**
 * An app with server code. The title of the page `/rendered` is the user of a call, and `/data` is the response to a call,
 * as for a data request of a router.
 */
export default (coordinator) =>
  create(coordinator, (handler, page) => {
    const app = new Hono()
    app.use(strongroom(handler))
    app.get('/rendered', async (c) => {
      const { sub } = await (await c.get('auth').call('/api/me')).json()
      return c.html(`<title>${sub}</title>`)
    })
    app.get('/data', (c) => c.get('auth').call('/api/me'))
    app.all('*', (c) => page(c.req.raw))
    return app
  })
