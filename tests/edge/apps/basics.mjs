/**
 * Returns a small app without a token handler. The app uses the features of a platform that a token handler needs, such
 * as `env`, several cookies, streams and `waitUntil()`.
 */
export default () => {
  const seen = { later: 0 }
  const routes = {
    '/env': (_request, env) => new Response(env.GREETING),

    '/cookies'() {
      const response = new Response(null, { status: 204 })
      response.headers.append('Set-Cookie', 'a=1; Path=/; HttpOnly')
      response.headers.append('Set-Cookie', 'b=2; Path=/; Expires=Wed, 21 Oct 2065 07:28:00 GMT')
      return response
    },

    '/request': (request) =>
      Response.json({ method: request.method, url: request.url, headers: [...request.headers] }),

    '/echo': (request) =>
      new Response(request.body, { headers: { 'content-type': 'application/octet-stream' } }),

    '/redirect': () => new Response(null, { status: 302, headers: { location: '/elsewhere?a=b' } }),

    /** Forwards another server's response. */
    async '/through'(_request, env) {
      const { status, body, headers } = await fetch(env.UPSTREAM)
      return new Response(body, { status, headers: { 'content-type': headers.get('content-type') } })
    },

    '/later'(_request, _env, context) {
      context.waitUntil(Promise.resolve().then(() => void seen.later++))
      return new Response(null, { status: 204 })
    },

    '/seen': () => Response.json(seen),
  }
  return {
    fetch(request, env, context) {
      const route = routes[new URL(request.url).pathname]
      return route ? route(request, env, context) : new Response('no such route', { status: 404 })
    },
  }
}
