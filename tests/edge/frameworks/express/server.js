import express from 'express'
import { toNodeListener } from 'strongroom/edge/node'
import { handler } from './auth.js'

const { HOST, PORT, ORIGIN } = process.env
const app = express()
// The listener belongs before these. Here it shows that it also works after them.
app.use(express.json(), express.urlencoded())
app.use(['/auth', '/api'], toNodeListener(handler, { origin: ORIGIN }))
app.get('/', async ({ originalUrl, headers }, response) => {
  const session = await handler.session(new Request(ORIGIN + originalUrl, { headers }))
  response.send(`Hello, ${session?.claims.name ?? 'stranger'}`)
})
app.use((_request, response) => {
  response.status(404).send('The app does not know this')
})
app.listen(Number(PORT), HOST, () => console.log('ready'))
