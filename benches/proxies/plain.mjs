/**
 * The plain proxy: a listener of `node:http` that sends each request with Node's own `fetch`, and writes each chunk of the
 * response. It knows no sessions, and passes the headers except those of a connection and the cookie.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { env } from 'node:process'

const OF_CONNECTION = ['connection', 'keep-alive', 'transfer-encoding', 'host', 'cookie']

const server = createServer(async (incoming, outgoing) => {
  const { method, url } = incoming
  const headers = Object.fromEntries(
    Object.entries(incoming.headers).filter(([name]) => !OF_CONNECTION.includes(name)),
  )
  headers.authorization = env.AUTHORIZATION
  const body = method === 'POST' ? { body: incoming, duplex: 'half' } : {}
  const leave = new AbortController()
  outgoing.on('close', () => outgoing.writableFinished || leave.abort())
  try {
    const options = { method, headers, redirect: 'manual', signal: leave.signal, ...body }
    const response = await fetch(env.UPSTREAM + url.slice('/api/'.length), options)
    const passed = [...response.headers].filter(([name]) => !OF_CONNECTION.includes(name))
    outgoing.writeHead(response.status, Object.fromEntries(passed))
    // Otherwise the headers would wait for the first chunk.
    if (!response.headers.has('content-length')) outgoing.flushHeaders()
    for await (const chunk of response.body) if (!outgoing.write(chunk)) await once(outgoing, 'drain')
    outgoing.end()
  } catch {
    outgoing.destroy()
  }
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
