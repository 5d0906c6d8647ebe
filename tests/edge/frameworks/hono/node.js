import { serve } from '@hono/node-server'
import app from './app.js'

const { HOST: hostname, PORT } = process.env
serve({ fetch: app.fetch, hostname, port: Number(PORT) }, () => console.log('ready'))
