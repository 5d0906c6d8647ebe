/** The app's server and its provider, for the test of exits. */
import { listen } from '../listen.mjs'
import { CLIENT, headersOf } from './headers.mjs'

/** Functions that the ways use in the page. */
const TOOLS = `
/** Adds an element to the page. */
globalThis.add = (tag, attributes = {}, parent = document.body) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return parent.appendChild(element)
}

/** Adds an SVG element, in an \`svg\` element of its own. */
globalThis.addSvg = (tag, attributes) => {
  const create = (name) => document.createElementNS('http://www.w3.org/2000/svg', name)
  const element = document.body.appendChild(create('svg')).appendChild(create(tag))
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

/** Adds an element with this style. A policy for inline styles does not forbid it. */
globalThis.addStyled = (name, value) => {
  const element = add('p')
  element.textContent = 'Styled'
  element.style.setProperty(name, value)
}

globalThis.addRules = (rules) => {
  const script = document.createElement('script')
  script.type = 'speculationrules'
  script.textContent = JSON.stringify(rules)
  document.body.append(script)
}

globalThis.blobUrl = (content, type) => URL.createObjectURL(new Blob([content], { type }))

/** Lets WebRTC look for candidates by these servers. */
globalThis.gather = (iceServers, Connection = RTCPeerConnection) => {
  const connection = new Connection({ iceServers })
  connection.createDataChannel('exit')
  return connection.setLocalDescription()
}

/** Opens a file of the app without headers, and uses its window when the file has loaded. */
globalThis.useWindow = (use) => {
  const opened = open('/robots.txt')
  const timer = setInterval(() => {
    // A window that \`Cross-Origin-Opener-Policy\` separates from this page looks closed.
    if (!opened.closed && opened.document.URL === 'about:blank') return
    clearInterval(timer)
    use(opened)
  }, 20)
}
`

const PAGE = `<!doctype html>
<title>A page of the app</title>
<link rel="icon" href="data:,">
<script src="/tools.js"></script>
<body></body>
`

/** Files without headers of the app. */
const FILES = {
  '/tools.js': ['text/javascript', TOOLS],
  '/callback': ['text/html', '<!doctype html><title>Signed in</title>'],
  '/robots.txt': ['text/plain', 'User-agent: *'],
  '/forwarder': ['text/html', '<script>new Image().src = location.hash.slice(1)</script>'],
  '/service-worker.js': [
    'text/javascript',
    "fetch(new URL(location).searchParams.get('to'), { mode: 'no-cors' })",
  ],
}

function respond(response, status, headers, body) {
  response.writeHead(status, headers)
  response.end(body)
}

const redirect = (response, to) => respond(response, 302, { Location: to })

/** Serves a page for each column, an open redirect, and the files. */
function serveApp(origins, requests, { url }, response) {
  requests.push(url)
  const { pathname, searchParams } = new URL(url, origins.app)
  const [, column] = /^\/page\/(\w+)$/.exec(pathname) ?? []
  if (column) {
    return respond(response, 200, { 'Content-Type': 'text/html', ...headersOf(column, origins) }, PAGE)
  }
  if (pathname === '/redirect') return redirect(response, searchParams.get('to'))
  const [type, body] = FILES[pathname] ?? []
  respond(response, type ? 200 : 404, { 'Content-Type': type ?? 'text/plain' }, body)
}

/**
 * Serves an authorization endpoint with two clients, the app's and an attacker's, and a logout that redirects to any
 * address. Of a parameter that a request repeats, the last value counts, as with many servers.
 */
function serveProvider(origins, { url }, response) {
  const { pathname, searchParams } = new URL(url, origins.provider)
  if (pathname === '/logout') return redirect(response, searchParams.get('to'))
  const last = (name) => searchParams.getAll(name).at(-1)
  const to = new URL(last('redirect_uri'))
  if ((last('client_id') === CLIENT) !== (to.href === `${origins.app}/callback`))
    return respond(response, 400)
  to.searchParams.set('state', last('state'))
  redirect(response, to.href)
}

/**
 * Starts both servers. The result's `requests` has the paths and queries of the requests to the app, except those that
 * `serve` has taken.
 *
 * @param {object} [options]
 * @param {number} [options.port] The app's port. Default: any free port.
 * @param {boolean} [options.orNext] If the port is taken, try the next ports.
 * @param {(request: object, response: object, origins: { app: string, provider: string }) => Promise<boolean>}
 *   [options.serve] Serves more of the app. Resolves with true if it has taken the request.
 */
export async function startOwn({ serve, ...place } = {}) {
  const origins = {}
  const requests = []
  const app = await listen({
    host: 'localhost',
    ...place,
    async handler(request, response) {
      if (!(await serve?.(request, response, origins))) serveApp(origins, requests, request, response)
    },
  })
  const provider = await listen({ handler: (request, response) => serveProvider(origins, request, response) })
  Object.assign(origins, { app: app.origin, provider: provider.origin })
  return { ...origins, requests, close: () => Promise.all([app.close(), provider.close()]) }
}
