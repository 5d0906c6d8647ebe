/** Starts an app with a vault, and with a token handler as its fallback (docs/fallback.md). */
import { randomBytes } from 'node:crypto'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { serveApp } from './app.mjs'
import { OWN_HANDLER } from './servers.mjs'

/** The script of the app's pages. `more` has other members of the source, and `options` those of `createAuth()`. */
const pageScript = (more, options) => `
import '/tools.js'
globalThis.starts = 0
const counted = (make) => () => (starts++, make())
globalThis.auth = createAuth({
  shared: counted(create.shared), dedicated: counted(create.dedicated), fallback: '/auth', ${more}
}, ${JSON.stringify(options)})
globalThis.boot = settle(auth.connect())
`

/**
 * Starts the servers, and the app. A page removes the globals that its query names before anything else runs:
 * `?WebAssembly,navigator.locks`.
 *
 * @param {Parameters<typeof serveApp>[0]} [options]
 */
export async function serveFallback(options = {}) {
  const app = await serveApp({
    hasHandler: true,
    provider: { accessTokenSeconds: 600, refreshTokenAlways: true },
    ...options,
  })
  const { site, api, provider } = app
  /** The requests for the token handler: method and path. */
  const handled = []
  const handler = createTokenHandler({
    issuer: provider.issuer,
    origin: site.origin,
    client: { id: OWN_HANDLER.id, auth: { method: 'client_secret_basic', secret: OWN_HANDLER.secret } },
    cookie: { keys: randomBytes(32).toString('base64') },
    scope: app.config.scope,
    consent: 'always',
    routes: [{ prefix: '/api/', url: api.url, upstream: api.url, methods: ['GET', 'POST'] }],
    coordinator: inIsolate(),
    postLogoutRedirectUri: '/',
  })
  const listener = toNodeListener(handler)
  site.below['/auth/'] = site.below['/api/'] = (request, response) => {
    if (app.isHandlerDown) return response.writeHead(503).end()
    handled.push(`${request.method} ${request.url.split('?')[0]}`)
    return listener(request, response)
  }
  const paths = ['/auth/config', '/auth/session', '/auth/logout', '/api/']
  site.pageCsp = site.pageCsp.replace(
    /connect-src [^;]*/,
    `connect-src ${paths.map((path) => site.origin + path).join(' ')}`,
  )
  site.files['/index.html'] = site.files['/index.html'].replace(
    '<script',
    '<script src="/without.js"></script><script',
  )
  site.files['/without.js'] = `
    for (const name of decodeURIComponent(location.search.slice(1)).split(',').filter(Boolean)) {
      const [own, of = 'globalThis'] = name.split('.').reverse()
      const owner = of === 'navigator' ? Navigator.prototype : globalThis
      delete owner[own]
      if (own in (of === 'navigator' ? navigator : globalThis)) throw new Error(name + ' is still there')
    }`
  site.routes['/orders'] = '/index.html'
  const setPage = (more = '', options = {}) => {
    site.files['/page.js'] = pageScript(more, options)
  }
  setPage()
  return Object.assign(app, { handled, setPage, isHandlerDown: false })
}
