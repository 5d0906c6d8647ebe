/** Starts a server with an app in front of it, and opens the app in Chromium. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { exportJWK, generateKeyPair } from 'jose'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { htmlWith, PACKAGE, pageScript, tools } from '../support/app.mjs'
import { setClocks as setOwnClocks } from '../support/clocks.mjs'
import { CLOCK, setClocks as setWorkerClocks } from '../support/device.mjs'
import { listen } from '../support/listen.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startSite } from '../support/site.mjs'
import { USER } from './sign_in.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)
const PATIENCE = 20_000

/** The files of the worker: in Chromium, `worker-src` of the page also limits what a worker imports. */
const WORKERS = ['/auth.worker.js', '/clock.js', '/strongroom/worker.js']

/** Limits that no step reaches, although steps let hours pass. */
const SESSION = { idle: 80_000, absolute: 86_400 }

/**
 * A server with an app in front of it, and the app's page. The steps use it.
 *
 * @typedef {object} Life
 * @property {import('./driver.mjs').Server} server
 * @property {'vault' | 'handler'} kind
 * @property {import('./driver.mjs').Features} features
 * @property {string} issuer The server's public origin.
 * @property {string} app The app's origin.
 * @property {(import('./driver.mjs').Client & { key?: JsonWebKey })[]} clients `key` is the private key.
 * @property {import('./driver.mjs').Client & { key?: JsonWebKey }} client The client of this app.
 * @property {object} config The options that vault and handler have in common.
 * @property {import('playwright-core').Page} page
 * @property {Awaited<ReturnType<typeof startProxy>>} proxy Sees all requests to the server and its API.
 * @property {{ code: string, message: string }[]} faults The log of the handler.
 * @property {{ method: string, path: string, status: number }[]} arrived Requests to the handler, oldest first.
 * @property {number} passed Milliseconds that have passed on the clocks of vault and handler.
 * @property {number} since The number of requests at the proxy before the latest sign-in.
 */

/** Starts a server. Resolves with what all of its apps have in common. */
export async function startLife(server, kind, browser, atEnd) {
  const { host = '127.0.0.1', features = {} } = server
  const ofApp = host === 'localhost' ? '127.0.0.1' : 'localhost'
  // The proxy has the server's public origin, sees all requests, and lets the API refuse a token.
  const proxy = await startProxy(endpointOf(server), {}, { keepsBodies: true })
  atEnd(() => proxy.close())
  const issuer = proxy.origin.replace('127.0.0.1', host)
  const site = await startSite({ host: ofApp, workers: WORKERS, connectSrc: [issuer] })
  atEnd(() => site.close())
  const front = { handler: undefined }
  const listening = await listen({ host: ofApp, handler: (...exchange) => front.handler(...exchange) })
  atEnd(() => listening.close())
  const app = kind === 'vault' ? site.origin : listening.origin
  const clients = await createClients(server, kind, app)
  const setup = { origin: issuer, apps: [site.origin], clients: clients.map(publicPart), user: USER }
  const running = await server.start(setup)
  atEnd(() => running.stop())
  proxy.forwardTo(running.origin, running.api && { api: running.api })
  running.clients?.forEach((own, i) => Object.assign(clients[i], own))
  atEnd(() => setOwnClocks(0))
  const { version } = running
  return { server, kind, features, browser, proxy, issuer, site, front, app, clients, version, atEnd }
}

/** Returns the name of the endpoint for a path: `api`, or the path itself. */
const endpointOf =
  ({ api }) =>
  (path) =>
    path === api ? 'api' : path

/** Resolves with the clients: one vault, or one token handler for each authentication method. */
async function createClients(server, kind, app) {
  const path = kind === 'vault' ? '/callback' : '/auth/callback'
  const common = { redirectUri: app + path, postLogoutRedirectUri: `${app}/` }
  const idOf = (name) => server.clientId?.(common) ?? name
  if (kind === 'vault') return [{ id: idOf('spa'), auth: 'none', ...common }]
  const methods = server.features?.clientAuth ?? ['client_secret_basic']
  return Promise.all(
    methods.map(async (auth, i) => ({
      id: idOf(i ? `web-${i + 1}` : 'web'),
      auth,
      ...(auth.startsWith('client_secret_') && { secret: randomBytes(24).toString('base64url') }),
      ...(auth === 'private_key_jwt' && (await createKeys())),
      ...common,
      backChannelLogoutUri: `${app}/auth/backchannel-logout`,
    })),
  )
}

async function createKeys() {
  const pair = await generateKeyPair('ES256', { extractable: true })
  const names = { kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }
  return {
    key: { ...(await exportJWK(pair.privateKey)), ...names },
    publicKey: { ...(await exportJWK(pair.publicKey)), ...names },
  }
}

const publicPart = ({ key, ...client }) => client

/**
 * Opens an app at a server, in a new browser context.
 *
 * @param {Awaited<ReturnType<typeof startLife>>} place
 * @param {{ config?: object, client?: object }} [changed] More options of vault and handler, and the client.
 * @returns {Promise<Life>}
 */
export async function openApp(place, { config: more, client = place.clients[0] } = {}) {
  const { server, kind, browser, proxy, issuer, site, app } = place
  const common = server.config({ issuer, app, kind })
  const session = { ...SESSION, ...common.session, ...more?.session }
  const config = { issuer, par: false, ...common, ...more, session }
  const life = { ...place, config, client, faults: [], arrived: [], passed: 0, since: proxy.requests.length }
  // A rule must not cover the server's own endpoints.
  const api = new URL('.', issuer + server.api).href
  if (kind === 'vault')
    await serveVault(site, { clientId: client.id, redirectUri: '/callback', ...config }, api)
  else place.front.handler = await serveHandler(life, api)
  const context = await browser.newContext()
  place.atEnd(() => context.close())
  life.page = await openTab(life, context)
  return life
}

/** Opens the app's page in a new tab, by default next to its first page. */
export async function openTab(life, context = life.page.context()) {
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  await page.goto(life.app)
  return page
}

/**
 * Calls a function with another app at the same server, in a browser context of its own. The first app is served again
 * afterwards.
 *
 * @param {Life} life
 * @param {Parameters<typeof openApp>[1]} changed
 * @param {(other: Life) => Promise<string | void>} use
 */
export async function withApp(life, changed, use) {
  const { site, front } = life
  const worker = site.files['/auth.worker.js']
  const { handler } = front
  const other = await openApp(life, changed)
  try {
    return await use(other)
  } finally {
    await other.page.context().close()
    site.files['/auth.worker.js'] = worker
    front.handler = handler
    setOwnClocks(life.passed)
  }
}

/** Lets this many milliseconds pass on the clocks of vault or handler. A server in this process has the same clocks. */
export async function advance(life, millis) {
  life.passed += millis
  const ahead = { wall: life.passed, monotonic: life.passed }
  await (life.kind === 'vault' ? setWorkerClocks(life.page, ahead) : setOwnClocks(life.passed))
}

/** The age at which a token handler renews an access token that an API refuses. */
export const MIN_TOKEN_AGE = 30_000

/**
 * Sets the clocks to the real time, because a server does not accept what was issued in its future. With signed
 * assertions, a token handler starts in the past, so that it is not in the server's future when it refreshes.
 */
export async function resetClocks(life) {
  const { client, features } = life
  const start = client.auth === 'private_key_jwt' && !features.exactTime ? -MIN_TOKEN_AGE : 0
  if (life.passed !== start) await advance(life, start - life.passed)
}

async function serveVault(site, config, api) {
  const worker = { ...config, apis: [{ url: api, methods: ['GET'], stepUp: true }] }
  site.files['/clock.js'] = CLOCK
  site.files['/auth.worker.js'] = [
    "import '/clock.js'",
    "import { vault } from '/strongroom/worker.js'",
    `vault(${JSON.stringify(worker)})`,
  ].join('\n')
  await servePage(site, { kind: 'shared' })
}

async function servePage(site, options) {
  Object.assign(site.files, {
    '/index.html': htmlWith('/page.js'),
    '/page.js': pageScript({ timeout: 10, ...options }),
    '/tools.js': tools(false),
  })
  for (const name of PACKAGE) site.files[`/strongroom/${name}`] = await readFile(new URL(name, dist))
}

/** Serves the app's page and the token handler on one origin. Resolves with the listener of Node's server. */
async function serveHandler({ site, client, config, features, app, faults, arrived }, api) {
  const { auth: method, secret, key } = client
  const handler = createTokenHandler({
    ...config,
    origin: app,
    client: {
      id: client.id,
      auth: { method, ...(secret && { secret }), ...(key && { key, audience: features.audience }) },
    },
    cookie: { keys: randomBytes(32).toString('base64') },
    routes: [{ prefix: '/api/', url: api, upstream: api, stepUp: true }],
    ...(features.providerLogout && { postLogoutRedirectUri: '/' }),
    coordinator: inIsolate(),
    // The driver moves the handler's clock, which then differs from the server's.
    log: (fault) => fault.code === 'clock_differs' || faults.push(fault),
  })
  await servePage(site, { handler: '/auth' })
  // The page has no worker, and calls only its own origin.
  if (!site.pageCsp.includes('connect-src')) site.pageCsp += "; connect-src 'self'"
  return toNodeListener({
    async fetch(request, env, context) {
      const own = await handler.handle(request, env, context)
      const { pathname, search } = new URL(request.url)
      if (own) arrived.push({ method: request.method, path: pathname, status: own.status })
      return own ?? fetch(site.origin + pathname + search)
    },
  })
}

/** Waits until a page of the app has started, and has handled the callback if it is one. */
export async function started(page, faults) {
  // Right after a navigation, Playwright's `waitForLoadState()` can be about the page before it.
  await page.waitForFunction(() => document.readyState === 'complete')
  const outcome = await page.evaluate(() => globalThis.boot ?? { error: document.body.innerText })
  assert.equal(outcome.error?.message ?? outcome.error, undefined, JSON.stringify(faults))
}
