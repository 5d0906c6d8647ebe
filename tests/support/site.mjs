import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listen } from './listen.mjs'

/** Content types by file extension. */
export const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
}

/** Headers of every response. */
const COMMON_HEADERS = {
  'Cache-Control': 'no-cache',
  'Cross-Origin-Opener-Policy': 'same-origin-allow-popups',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/**
 * Returns the page's policy. The policy has no `connect-src`: `default-src 'none'` then applies, so script in the page
 * cannot send data elsewhere with `fetch`. A page whose requests go through its vault does not need `connect-src`. Only
 * the vault's script can become a worker. No script can become a service worker, because a service worker would see the
 * vault's requests.
 *
 * @param {string} origin
 * @param {string[]} workers The paths of the worker files.
 */
export function pageCsp(origin, workers) {
  return policy({
    'default-src': "'none'",
    'script-src': "'self'",
    'worker-src': workers.map((path) => origin + path).join(' ') || "'none'",
    'style-src': "'self'",
    'img-src': "'self' data:",
    'base-uri': "'none'",
    'form-action': "'self'",
    'frame-ancestors': "'none'",
  })
}

/**
 * Returns the worker's own policy. A worker does not inherit the page's policy. Without this header the worker could
 * connect to any server. With this header it can connect only to its own origin and to `connectSrc`.
 */
export function workerCsp(connectSrc) {
  return policy({
    'default-src': "'none'",
    'script-src': "'self' 'wasm-unsafe-eval'",
    'connect-src': ["'self'", ...connectSrc].join(' '),
  })
}

/**
 * Starts a static server, by default at `http://localhost:PORT`. The provider and the API are at `127.0.0.1`.
 * `127.0.0.1` is another host than `localhost`, so these servers' cookies are separate from the site's, as in
 * production.
 *
 * Everything in the returned object may be changed while the server runs.
 *
 * @param {object} [options]
 * @param {string} [options.host] The host name for loopback.
 * @param {number} [options.port]
 * @param {boolean} [options.orNext]
 * @param {Record<string, string | Uint8Array>} [options.files] The content of each file by its path, such as
 *   `/index.html`.
 * @param {(string | URL)[]} [options.roots] Folders to search for paths that `files` lacks.
 * @param {Record<string, string>} [options.routes] For each of these paths, the path whose file is returned.
 * @param {string[]} [options.workers] Paths with the worker's policy instead of the page's.
 * @param {string[]} [options.connectSrc] Origins to which the workers may connect.
 */
export async function startSite({
  host = 'localhost',
  port = 0,
  orNext = false,
  files = {},
  roots = [],
  routes = { '/': '/index.html', '/callback': '/index.html' },
  workers = ['/auth.worker.js'],
  connectSrc = [],
} = {}) {
  const site = {
    origin: '',
    port: 0,
    files,
    roots,
    routes,
    workers,
    connectSrc,
    /** The paths that may become service workers. */
    serviceWorkers: [],
    /** True if no request gets a response, as on a device without a network. */
    isDown: false,
    /** The Content-Security-Policy of all responses except worker files. */
    pageCsp: '',
    /** Additional or changed headers, by path. A header of `null` is left out. */
    headers: {},
    /** @type {{ at: number, method: string, path: string, query: string, status: number }[]} */
    requests: [],
    /** Functions that respond to all requests below a path: `(request, response) => …`. */
    below: {},
    override,
    close: async () => {},
  }
  const overrides = new Map()

  /**
   * Changes the response for a path.
   *
   * @param {string} path
   * @param {{ status?: number, headers?: Record<string, string | null>, body?: string | Uint8Array, times?: number,
   *   hold?: () => Promise<unknown> }} change A header of `null` is left out. With `times`, only the next requests get this
   *   response. `hold` is called for each request, whose response waits for it.
   * @returns {() => void} Undoes the change.
   */
  function override(path, change) {
    overrides.set(path, change)
    return () => overrides.delete(path)
  }

  async function handler(request, response) {
    if (site.isDown) return void request.socket.destroy()
    const { pathname, search: query } = new URL(request.url, 'http://site')
    const folder = Object.keys(site.below).find((path) => pathname.startsWith(path))
    if (folder) return site.below[folder](request, response)
    const answer = await prepare(request, pathname)
    site.requests.push({
      at: Date.now(),
      method: request.method,
      path: pathname,
      query,
      status: answer.status,
    })
    response.writeHead(answer.status, answer.headers)
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  }

  async function prepare(request, pathname) {
    const refusal = refuse(request, pathname, site)
    if (refusal) return refusal
    const path = routes[pathname] ?? pathname
    const body = await find(site, path)
    const plain = body === undefined ? NOT_FOUND : { status: 200, headers: headersFor(site, path), body }
    const key = overrides.has(pathname) ? pathname : path
    const override = overrides.get(key)
    if (override?.times && !--override.times) overrides.delete(key)
    await override?.hold?.()
    return change(change(plain, { headers: site.headers[path] }), override)
  }

  const server = await listen({ port, orNext, host, handler })
  const { origin } = server
  return Object.assign(site, {
    origin,
    port: server.port,
    pageCsp: pageCsp(origin, workers),
    close: server.close,
  })
}

const NOT_FOUND = {
  status: 404,
  headers: { ...COMMON_HEADERS, 'Content-Type': 'text/plain; charset=utf-8' },
  body: 'Not found.\n',
}

function refuse(request, pathname, { serviceWorkers }) {
  // A service worker in front of the vault would see the vault's requests, including the tokens.
  if (request.headers['service-worker'] === 'script' && !serviceWorkers.includes(pathname)) {
    return { ...NOT_FOUND, status: 403, body: 'This site has no service worker.\n' }
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...NOT_FOUND, status: 405, body: 'Only GET and HEAD are allowed.\n' }
  }
  return undefined
}

function headersFor(site, path) {
  const csp = site.workers.includes(path) ? workerCsp(site.connectSrc) : site.pageCsp
  return {
    ...COMMON_HEADERS,
    'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
    'Content-Security-Policy': csp,
  }
}

function change(answer, { status, headers = {}, body } = {}) {
  const merged = Object.entries({ ...answer.headers, ...headers }).filter(([, value]) => value !== null)
  return {
    status: status ?? (body === undefined ? answer.status : 200),
    headers: Object.fromEntries(merged),
    body: body ?? answer.body,
  }
}

async function find({ files, roots }, path) {
  if (Object.hasOwn(files, path)) return files[path]
  for (const root of roots) {
    const folder = root instanceof URL ? fileURLToPath(root) : root
    const file = join(folder, normalize(decodeURIComponent(path)))
    const bytes = await readFile(file).catch(() => undefined)
    if (bytes) return bytes
  }
  return undefined
}

function policy(directives) {
  return Object.entries(directives)
    .map(([name, sources]) => `${name} ${sources}`)
    .join('; ')
}
