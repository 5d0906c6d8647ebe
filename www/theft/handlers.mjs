import { createTokenHandler } from 'strongroom/edge'

const { now } = Date

/**
 * Creates two token handlers for one origin, below `/ordinary/` and `/bound/`. They differ in their names and in
 * `session.bind`. `/clock` moves the clock of both.
 */
export default (coordinator) => {
  const handlers = {}
  const make = (name, { BIND, ...env }) =>
    createTokenHandler({
      issuer: env.ISSUER,
      origin: env.ORIGIN,
      client: { id: env.CLIENT_ID, auth: { method: 'client_secret_basic', secret: env.CLIENT_SECRET } },
      base: `/${name}/auth`,
      cookie: { name, keys: env.COOKIE_KEYS },
      session: { bind: JSON.parse(BIND)[name] },
      scope: 'openid profile orders',
      routes: [{ prefix: `/${name}/api/`, url: env.API, upstream: env.API }],
      coordinator,
    })
  return {
    async fetch(request, env, context) {
      const { pathname, searchParams } = new URL(request.url)
      if (pathname === '/clock') {
        Date.now = () => now() + Number(searchParams.get('ahead'))
        return new Response('set')
      }
      const [, name] = pathname.split('/')
      handlers[name] ??= make(name, env)
      return handlers[name].fetch(request, env, context)
    },
  }
}
