import { randomBytes } from 'node:crypto'
import { request as open } from 'node:http'
import { bindingArgs } from '../../tests/support/edge/bound.mjs'
import { PLATFORMS } from '../../tests/support/edge/platforms.mjs'
import { startTls } from '../../tests/support/edge/tls.mjs'
import { freePort, listen } from '../../tests/support/listen.mjs'
import { sendJson } from '../../tests/support/responses.mjs'
import { startSite } from '../../tests/support/site.mjs'
import { callWithCopy, LATER_MS } from './thief.mjs'

/** The handlers and their `session.bind`. */
const BIND = { ordinary: false, bound: 'if-supported' }

/** The bound cookie of the handler `bound`. */
export const BOUND = '__Host-bound-bound'

/**
 * The headers that end the bound cookie in the owner's browser. When the clock is moved forward, the cookie's life is over;
 * when it is moved back, the cookie would live too long.
 */
const CLEARED = { 'Set-Cookie': `${BOUND}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax` }

const CLIENT_ID = 'theft'

/** An addition to the page's Content-Security-Policy: the page talks to its own origin, and creates no script. */
const OWN_ORIGIN = "; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"

/**
 * Starts an app with two token handlers, and a thief in this process who gets a copy of the app's cookies. One of the
 * handlers binds its sessions. The site has no files yet: add them to `site.files`.
 *
 * @param {object} options
 * @param {number} [options.port] Default: any free port.
 * @param {boolean} [options.orNext] If the port is taken, try the next ports.
 * @param {boolean} options.secure True for https, without which browsers bind no session.
 * @param {typeof BIND} [options.bind]
 */
export async function startTheft({ port = 0, orNext = false, secure, bind = BIND }) {
  const ends = []
  const close = async () => {
    while (ends.length) await ends.pop()()
  }
  const secret = randomBytes(32).toString('base64url')
  const site = await startSite({ workers: [], routes: { '/': '/index.html' } })
  ends.push(() => site.close())
  site.pageCsp += OWN_ORIGIN

  let handlers
  const setClock = (ahead) => fetch(`${handlers}/clock?ahead=${ahead}`)
  const thief = startThief({ setClock, origin: () => origin })
  const front = await listen({
    host: 'localhost',
    ...(!secure && { port, orNext }),
    handler(request, response) {
      const [, first] = request.url.split('/')
      if (first === 'thief') return thief(request, response)
      return forward(request, response, first in BIND ? handlers : site.origin)
    },
  })
  ends.push(() => front.close())
  const tls = secure ? await startTls({ port: await freePort({ port, orNext }) }) : undefined
  if (tls) ends.push(() => tls.close())
  tls?.forwardTo(front.origin.replace('localhost', '127.0.0.1'))
  const { origin } = tls ?? front

  return {
    origin,
    site,
    /** The app's client at the provider, which needs no consent. Its access tokens last as long as at most providers. */
    client: {
      client_id: CLIENT_ID,
      client_name: 'the theft',
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_basic',
      redirect_uris: Object.keys(BIND).map((name) => `${origin}/${name}/auth/callback`),
    },
    trusted: { [CLIENT_ID]: { accessTokenSeconds: 3600 } },
    /** Arguments for a Chromium that binds the sessions of this app. */
    chromium: tls && bindingArgs(tls.spki),
    setClock,
    /** Starts the handlers, with the demo's provider and API. */
    async start({ issuer, api }) {
      const running = await PLATFORMS.workerd.start({
        app: new URL('handlers.mjs', import.meta.url),
        isolates: 1,
        env: {
          ISSUER: issuer,
          API: api,
          ORIGIN: origin,
          CLIENT_ID,
          CLIENT_SECRET: secret,
          COOKIE_KEYS: randomBytes(32).toString('base64'),
          BIND: JSON.stringify(bind),
        },
      })
      ends.push(running.stop)
      handlers = running.urls[0]
    },
    close,
  }
}

/** Forwards a request to another server of this process. */
function forward(request, response, target) {
  const { method, headers, url } = request
  const passed = open(target + url, { method, headers }, (incoming) => {
    response.writeHead(incoming.statusCode, incoming.rawHeaders)
    incoming.pipe(response)
  })
  passed.on('error', () => response.destroy())
  request.pipe(passed)
}

/**
 * Returns the thief, who takes the cookies of a request as malware takes them from the browser's files, and uses them
 * immediately (`/thief/now`) and eleven minutes later (`/thief/later`). Nobody waits: the handlers' clock is moved, until
 * `/thief/end`.
 */
function startThief({ setClock, origin }) {
  let stolen = ''
  /** True if the browser may have a bound cookie from the time in which the clock was moved. */
  let wasLater = false
  const use = async () => {
    const names = Object.keys(BIND)
    const counts = await Promise.all(names.map((name) => callWithCopy(origin(), name, stolen)))
    return Object.fromEntries(names.map((name, index) => [name, counts[index]]))
  }
  const steps = {
    async now({ cookie = '' }) {
      stolen = cookie
      wasLater = false
      const names = [...stolen.matchAll(/(?:^|; )((?:__Host-)?(?:ordinary|bound)[^=]*)=/g)].map(
        ([, name]) => name,
      )
      return [{ names, isBound: names.includes(BOUND), succeeded: await use() }]
    },
    async later() {
      wasLater = true
      await setClock(LATER_MS)
      return [{ succeeded: await use() }, CLEARED]
    },
    async end() {
      stolen = ''
      await setClock(0)
      return [{}, wasLater ? CLEARED : {}]
    },
  }
  return async ({ url, method, headers }, response) => {
    const step = steps[url.split('/').at(-1)]
    const isOwn = method === 'POST' && headers['sec-fetch-site'] === 'same-origin'
    if (!step || !isOwn) return sendJson(response, 404, {})
    const [body, more] = await step(headers)
    sendJson(response, 200, body, more)
  }
}
