import { serve } from '@hono/node-server'
import app from './app.js'

const { HOST: hostname, PORT } = process.env
// For uploads of up to an hour: Node's default is five minutes.
const serverOptions = { requestTimeout: 3_600_000 }
serve({ fetch: app.fetch, hostname, port: Number(PORT), serverOptions }, () => console.log('ready'))
