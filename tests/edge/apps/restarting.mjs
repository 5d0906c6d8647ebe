// One instance of a token handler, which a rolling deployment stops and starts: port and drain time are its arguments.
import { createServer } from 'node:http'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'

const [, , port, drain] = process.argv
const handler = createTokenHandler({
  // No request of the test needs the provider.
  issuer: 'http://127.0.0.1:9',
  client: { id: 'web', auth: { method: 'none' } },
  cookie: { keys: Buffer.alloc(32, 1).toString('base64') },
  coordinator: inIsolate(),
  log() {},
})
await handler.ready()
const listener = toNodeListener(handler)
const server = createServer(listener)
server.listen(Number(port), '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
process.once('SIGTERM', async () => {
  await listener.stop(server, { drain: Number(drain) })
  process.exit()
})
