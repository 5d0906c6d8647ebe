import { extname } from 'node:path'
import { authorizationQuery, headersOf } from '../../tests/support/exits/headers.mjs'
import { startOther } from '../../tests/support/exits/other_server.mjs'
import { startOwn } from '../../tests/support/exits/own_servers.mjs'
import { WAYS as ALL } from '../../tests/support/exits/ways.mjs'
import { sendJson } from '../../tests/support/responses.mjs'
import { pageCsp, TYPES } from '../../tests/support/site.mjs'

/** The ways that the page tries: four that the policy stops, five that only the list stops, and one that stays open. */
export const WAYS = [
  'Requests, `fetch()`',
  'Requests, `sendBeacon()`',
  'Images, `<img>`',
  'Forms, a form with POST',
  'WebRTC, a STUN server',
  'Name resolution and connections, the connection of `<link rel=preconnect>`',
  'Navigations and links, `location`',
  'Navigations and links, `<a>`',
  'The provider, an authorization request of the attacker’s client',
  'Redirects, `location` to an open redirect of the app',
].map((name) => ALL.find((way) => way.name === name))

/** The columns of `headersOf()` in which a way is tried. */
const COLUMNS = ['none', 'policy', 'list']

/** The name that script sends. */
const NAME = 'alice'

/** Milliseconds after which an attempt ends. */
const LIFE = 60_000

/** The addition to the policy of the page, whose frames navigate to the other server. */
const FRAMES =
  "; connect-src 'self'; frame-src 'self' http://127.0.0.1:*; require-trusted-types-for 'script'; trusted-types 'none'"

/**
 * Starts an app with its provider, and another server to which script of the app's pages sends a name. The app has no files
 * yet: add them to `files`.
 *
 * @param {{ port?: number, orNext?: boolean }} place
 */
export async function startExits(place) {
  /** @type {import('../build.mjs').Files} */
  const files = {}
  /** The script of each attempt, by its secret. */
  const scripts = new Map()
  const other = await startOther({ resolves: false })
  const own = await startOwn({ ...place, serve }).catch(async (error) => {
    await other.close()
    throw error
  })

  /** Prepares an attempt in a page of its own, and resolves with its secret. */
  async function begin({ run, by }, origins) {
    const sent = await other.expect(by, `${NAME}-`)
    const target = { ...sent, provider: origins.provider, query: authorizationQuery(origins.app) }
    scripts.set(sent.secret, scriptOf(run, target))
    setTimeout(() => end(sent.secret), LIFE).unref()
    return sent.secret
  }

  function end(secret) {
    scripts.delete(secret)
    other.forget(secret)
  }

  async function serve(request, response, origins) {
    const { pathname } = new URL(request.url, origins.app)
    const send = (type, body, headers) => {
      response.writeHead(200, { ...headers, 'Content-Type': TYPES[type], 'Cache-Control': 'no-cache' })
      response.end(body)
      return true
    }
    const path = pathname === '/' ? '/index.html' : pathname
    if (Object.hasOwn(files, path)) {
      const policy = pageCsp(origins.app, []) + FRAMES
      return send(extname(path), files[path], { 'Content-Security-Policy': policy })
    }
    const [, action, first, second] = pathname.split('/')
    if (action === 'begin' && isOwn(request)) {
      sendJson(response, 200, await begin(WAYS[Number(first)], origins))
      return true
    }
    if (action === 'arrived') {
      sendJson(response, 200, other.hasArrived(first))
      return true
    }
    if (action === 'script' && scripts.has(first)) return send('.js', scripts.get(first))
    if (action === 'try' && COLUMNS.includes(first) && scripts.has(second)) {
      return send('.html', pageOf(second), inFrames(headersOf(first, origins)))
    }
    return false
  }

  return {
    origin: own.app,
    files,
    close: () => Promise.all([own.close(), other.close()]),
  }
}

const isOwn = ({ method, headers }) => method === 'POST' && headers['sec-fetch-site'] === 'same-origin'

/** Returns headers with which the page can be in a frame of its own origin. */
function inFrames({ 'Content-Security-Policy': policy, ...headers }) {
  if (!policy) return headers
  return { ...headers, 'Content-Security-Policy': policy.replace(/(?<=frame-ancestors )'none'/, "'self'") }
}

/** Returns a script that runs a way, and then says so to the page around it. */
const scriptOf = (run, target) => `(async () => (${run})(${JSON.stringify(target)}))()
parent.postMessage(${JSON.stringify(target.secret)}, origin)
`

const pageOf = (secret) => `<!doctype html>
<title>A page of the app</title>
<link rel="icon" href="data:,">
<body>
<script src="/tools.js"></script>
<script src="/script/${secret}"></script>
</body>
`
