/** The plain proxy of Bun: `Bun.serve` with `fetch`, whose response is returned. */
const { UPSTREAM, AUTHORIZATION } = process.env

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 0,
  development: false,
  fetch(request) {
    const headers = new Headers(request.headers)
    for (const name of ['connection', 'host', 'cookie']) headers.delete(name)
    headers.set('authorization', AUTHORIZATION)
    const { method, body, signal } = request
    const target = UPSTREAM + new URL(request.url).pathname.slice('/api/'.length)
    return fetch(target, { method, headers, body, signal, redirect: 'manual', timeout: false })
  },
})
console.log(JSON.stringify({ port: server.port }))
