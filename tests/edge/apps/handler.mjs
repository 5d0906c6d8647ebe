import { createTokenHandler } from 'strongroom/edge'

const { now } = Date

// Otherwise, a clock that `/clock` moves would look like a process that stood still. A test whose processes do stand still
// sets STANDS_STILL.
if (globalThis.process?.env && !process.env.STANDS_STILL) process.env.K_SERVICE = 'app'

/** The time by which `/clock` has moved the clock of this process, in milliseconds. */
let ahead = 0

/** Returns a coordinator whose clock is moved, too, unless it is that of this process. */
const withMovedClock = (source) => (env) => {
  const coordinator = source(env)
  return {
    ...coordinator,
    async read(keys) {
      const { entries, time } = await coordinator.read(keys)
      const isMoved = time === undefined || Math.abs(time - Date.now()) < ahead / 2
      return { entries, time: isMoved ? time : time + ahead }
    },
  }
}

/**
 * Creates a token handler that is configured by the environment. `OPTIONS` contains a test's own options as JSON.
 * Requests that are not for the handler are forwarded to `SITE`, which serves the app's pages. The title of the page
 * `/rendered` is the user of the session.
 *
 * @param {Function} coordinator
 * @param {(handler: object, page: (request: Request) => Promise<Response>) => { fetch: Function }} [frame] Returns an app
 *   that responds to all requests in place of this one. `page` forwards a request to `SITE`.
 */
export default (coordinator, frame) => {
  const told = []
  let handler, framed
  const make = (env) =>
    createTokenHandler({
      issuer: env.ISSUER,
      origin: env.ORIGIN,
      client: {
        id: 'web',
        auth: { method: 'client_secret_basic', secret: ({ CLIENT_SECRET }) => CLIENT_SECRET },
      },
      cookie: { keys: ({ COOKIE_KEYS }) => COOKIE_KEYS },
      scope: 'openid profile offline_access orders',
      consent: 'always',
      routes: [{ prefix: '/api/', upstream: env.UPSTREAM, methods: ['GET', 'POST', 'PUT'] }],
      postLogoutRedirectUri: '/',
      coordinator: withMovedClock(coordinator),
      log: (fault) => told.push(fault),
      onSessionEnd: (end) => told.push(end),
      ...JSON.parse(env.OPTIONS ?? '{}'),
    })
  return {
    async fetch(request, env, context) {
      const { pathname, searchParams } = new URL(request.url)
      if (pathname === '/told') return Response.json(told)
      if (pathname === '/clock') {
        ahead = Number(searchParams.get('ahead'))
        Date.now = () => now() + ahead
        return new Response('set')
      }
      handler ??= make(env)
      if (frame) {
        framed ??= frame(handler, (request) => page(request, env))
        return framed.fetch(request, env, context)
      }
      if (!env.SITE) return handler.fetch(request, env, context)
      const answered = await handler.handle(request, env, context)
      if (answered || pathname !== '/rendered') return answered ?? page(request, env)
      const session = await handler.session(request, env, context)
      return new Response(`<title>${session?.claims.sub}</title>`, {
        headers: { 'content-type': 'text/html' },
      })
    },
  }
}

/** Forwards a request to the site. The request's cookies are removed. */
const page = ({ url, method, headers }, { SITE }) => {
  const { pathname, search } = new URL(url)
  const worker = headers.get('service-worker')
  const headersOfSite = worker ? { 'service-worker': worker } : {}
  return fetch(SITE + pathname + search, { method, headers: headersOfSite, redirect: 'manual' })
}
