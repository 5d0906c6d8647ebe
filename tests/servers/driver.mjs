/**
 * Runs the life of a session with a real authorization server: the vault in Chromium, or the token handler on Node with
 * the same page.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { call, htmlWith, PACKAGE, pageScript, tools } from '../support/app.mjs'
import { setClocks } from '../support/clocks.mjs'
import { listen } from '../support/listen.mjs'
import { startProxy } from '../support/proxy.mjs'
import { startSite } from '../support/site.mjs'
import { USER } from './sign_in.mjs'

/**
 * A real server.
 *
 * @typedef {object} Server
 * @property {string} name The name of its package.
 * @property {(setup: Setup) => Promise<Running>} start
 * @property {(page: import('playwright-core').Page) => Promise<void>} signIn Fills in the server's pages.
 * @property {(place: { issuer: string, app: string }) => object} config Options that vault and handler have in common.
 * @property {string} api The path of an API of the server that needs the access token.
 * @property {(client: { redirectUri: string }) => string} [clientId] The identifier of a client. Default: a short name.
 * @property {boolean} [hasSecrets] False if the handler has no client secret.
 * @property {string} [host] The public host. Default `127.0.0.1`; the app then is at `localhost`.
 * @property {Record<string, string | RegExp>} expected What each step finds, if this is not an empty string.
 */

/**
 * A server that has started.
 *
 * @typedef {object} Running
 * @property {string} origin Its own origin, which is behind the public one.
 * @property {string} [api] The origin of the API, if another server has the API.
 * @property {{ id: string, secret?: string }} [client] The client, if the server has chosen its identifier and secret.
 * @property {() => Promise<void>} stop
 */

/**
 * What a server must know.
 *
 * @typedef {object} Setup
 * @property {string} origin The server's public origin.
 * @property {string[]} apps The origins of the apps, for CORS.
 * @property {{ id: string, secret?: string, redirectUri: string }[]} clients
 * @property {{ username: string, password: string }} user
 */

/** The two ways to use strongroom. */
export const KINDS = /** @type {const} */ (['vault', 'handler'])

const dist = new URL('../../pkg/dist/', import.meta.url)
const PATIENCE = 20_000

/** The files of the worker: in Chromium, `worker-src` of the page also limits what a worker imports. */
const WORKERS = ['/auth.worker.js', '/strongroom/worker.js']

/** The steps, in order. Each resolves with what it found, for the table, or with nothing. */
export const STEPS = [
  { name: 'sign-in', run: signIn },
  { name: 'claims', run: claims },
  { name: 'API call', run: callApi },
  { name: 'refresh', run: refresh },
  { name: 'second refresh', run: refreshAgain },
  { name: 'old refresh token', run: presentOldToken },
  { name: 'refresh after it', run: refreshAfterReuse },
  { name: 'logout', run: logout },
]

/**
 * Starts a server, and takes all steps. Resolves with the table's cells, and with the error of the step that failed.
 *
 * @param {Server} server
 * @param {'vault' | 'handler'} kind
 * @param {import('playwright-core').Browser} browser
 * @returns {Promise<{ cells: string[], error?: Error }>}
 */
export async function runServer(server, kind, browser) {
  const ends = []
  const cells = []
  try {
    const life = await begin(server, kind, browser, (end) => ends.push(end))
    const errors = []
    for (const { name, run } of STEPS) {
      let found
      try {
        found = (await run(life)) ?? ''
      } catch (error) {
        error.message = `step "${name}": ${error.message}`
        return { cells, error }
      }
      const expected = server.expected[name] ?? ''
      const isExpected = expected instanceof RegExp ? expected.test(found) : found === expected
      if (!isExpected) errors.push(`step "${name}" found '${found}' instead of '${expected}'`)
      cells.push(found || '✓')
    }
    if (errors.length) return { cells, error: new Error(errors.join('\n')) }
    return { cells }
  } finally {
    while (ends.length) await ends.pop()()
  }
}

/** Starts the server with an app, and opens the app's page. */
async function begin(server, kind, browser, atEnd) {
  const { host = '127.0.0.1' } = server
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
  const redirectUri = kind === 'vault' ? `${app}/callback` : `${app}/auth/callback`
  const client = {
    id: server.clientId?.({ redirectUri }) ?? (kind === 'vault' ? 'spa' : 'web'),
    redirectUri,
    ...(kind === 'handler' &&
      server.hasSecrets !== false && { secret: randomBytes(24).toString('base64url') }),
  }
  const setup = { origin: issuer, apps: [site.origin], clients: [client], user: USER }
  const running = await server.start(setup)
  atEnd(() => running.stop())
  proxy.forwardTo(running.origin, running.api && { api: running.api })
  const place = { issuer, app, redirectUri }
  Object.assign(client, running.client)
  const config = { issuer, ...server.config(place) }
  const faults = []
  // A rule must not cover the server's own endpoints.
  const api = new URL('.', issuer + server.api).href
  if (kind === 'vault')
    await serveVault(site, { clientId: client.id, redirectUri: '/callback', ...config }, api)
  else front.handler = await serveHandler(site, { client, config, app, api, faults })
  const context = await browser.newContext()
  atEnd(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  await page.goto(app)
  atEnd(() => setClocks(0))
  return { server, kind, page, proxy, issuer, app, client, faults, config, passed: 0 }
}

/** Returns the name of the endpoint for a path: `api`, or the path itself. */
const endpointOf =
  ({ api }) =>
  (path) =>
    path === api ? 'api' : path

async function serveVault(site, config, api) {
  const worker = { ...config, apis: [{ url: api, methods: ['GET'] }] }
  site.files['/auth.worker.js'] =
    `import { vault } from '/strongroom/worker.js'\nvault(${JSON.stringify(worker)})`
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
async function serveHandler(site, { client, config, app, api, faults }) {
  const handler = createTokenHandler({
    ...config,
    origin: app,
    client: {
      id: client.id,
      auth: client.secret ? { method: 'client_secret_basic', secret: client.secret } : { method: 'none' },
    },
    cookie: { keys: randomBytes(32).toString('base64') },
    routes: [{ prefix: '/api/', url: api, upstream: api }],
    coordinator: inIsolate(),
    log: (fault) => faults.push(fault),
  })
  await servePage(site, { handler: '/auth' })
  // The page has no worker, and calls only its own origin.
  site.pageCsp += "; connect-src 'self'"
  return toNodeListener({
    async fetch(request, env, context) {
      const own = await handler.handle(request, env, context)
      const { pathname, search } = new URL(request.url)
      return own ?? fetch(site.origin + pathname + search)
    },
  })
}

/** Signs in by redirect. */
async function signIn({ server, page, app, faults }) {
  await started(page, faults)
  await page.evaluate(() => {
    auth.login().catch((error) => (globalThis.refusal = describe(error)))
  })
  const left = page.waitForURL((url) => url.origin !== app)
  const refused = page.waitForFunction(() => globalThis.refusal).then((found) => found.jsonValue())
  const refusal = await Promise.race([left, refused.catch(() => undefined)])
  assert.equal(refusal?.message, undefined)
  await server.signIn(page)
  await page.waitForURL((url) => url.origin === app)
  await started(page, faults)
  assert.deepEqual(faults, [])
  assert.ok(await page.evaluate(() => auth.session))
}

/** Waits until the app's page has started, and has handled the callback if it is one. */
async function started(page, faults) {
  await page.waitForLoadState()
  const outcome = await page.evaluate(() => globalThis.boot ?? { error: document.body.innerText })
  assert.equal(outcome.error?.message ?? outcome.error, undefined, JSON.stringify(faults))
}

/** Checks the session's claims. */
async function claims({ page }) {
  const found = await page.evaluate(() => auth.session.claims)
  return Object.entries(found)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')
}

/** Calls the API with the access token. */
async function callApi({ server, page, issuer }) {
  const { value, error } = await call(page, issuer + server.api)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value.status, 200, value.text)
}

/**
 * Returns the requests that the token endpoint got, oldest first.
 *
 * @returns {{ url: string, form: URLSearchParams, status: number, body: any }[]}
 */
const tokenRequests = ({ proxy, issuer }, grant) =>
  proxy.requests
    .map(({ method, path, sent, status, received }) => ({
      method,
      url: issuer + path,
      form: new URLSearchParams(sent),
      status,
      received,
    }))
    .filter(({ method, form }) => method === 'POST' && form.get('grant_type') === grant)
    .map(({ received, ...request }) => ({
      ...request,
      body: received.startsWith('{') ? JSON.parse(received) : {},
    }))

const refreshes = (life) => tokenRequests(life, 'refresh_token')

/** A token handler does not renew an access token that is younger than this. */
const MIN_TOKEN_AGE = 30_000

/** Lets the API refuse the access token once. Resolves with the outcome of the call. */
const callRefused = (life) => {
  const { server, kind, page, issuer, proxy } = life
  if (kind === 'handler') setClocks((life.passed += MIN_TOKEN_AGE))
  const headers = { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  proxy.faults.add('api', { answer: { status: 401, headers, body: {} } })
  return call(page, issuer + server.api)
}

/** Refreshes once. */
async function refresh(life) {
  const before = refreshes(life).length
  const { value, error } = await callRefused(life)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value.status, 200, value.text)
  const sent = refreshes(life).slice(before)
  // With DPoP, a server may refuse the first proof of an endpoint, to give it a nonce.
  const answered = sent.filter(({ body }) => body.error !== 'use_dpop_nonce')
  assert.equal(answered.length, 1, 'refresh requests')
  const [{ form, body }] = answered
  const next = body.refresh_token
  if (next === undefined) return 'token stays, unnamed'
  return next === form.get('refresh_token') ? 'token stays' : 'rotates'
}

/** Refreshes again, with the successor. */
async function refreshAgain(life) {
  const { form, body } = refreshes(life).at(-1)
  const successor = body.refresh_token ?? form.get('refresh_token')
  const found = await refresh(life)
  assert.ok(refreshes(life).at(-1).form.get('refresh_token') === successor, 'the successor is sent')
  return found
}

/** Sends a refresh token to the server, as a thief would who knows the client's secret. */
async function present({ client, issuer }, { url, form }, refreshToken) {
  const body = new URLSearchParams({ ...Object.fromEntries(form), refresh_token: refreshToken })
  const basic = Buffer.from(`${client.id}:${client.secret}`).toString('base64')
  const headers = client.secret ? { authorization: `Basic ${basic}` } : {}
  const response = await fetch(url, { method: 'POST', body, headers })
  const text = await response.text()
  const { error } = text.startsWith('{') ? JSON.parse(text) : {}
  return response.ok && !error ? 'accepted' : `${response.status} ${error ?? 'without a code'}`
}

/** Presents the refresh token that was replaced two refreshes ago. */
async function presentOldToken(life) {
  if (life.config.dpop) return 'not tried: bound to a key'
  const [first] = refreshes(life)
  return present(life, first, first.form.get('refresh_token'))
}

/** Refreshes after a replaced token was presented. If the session ends, signs in again. */
async function refreshAfterReuse(life) {
  const { value } = await callRefused(life)
  if (value?.status === 200) return 'works'
  // A token handler passes the API's own response on, and reports the end to the next call.
  await call(life.page, life.issuer + life.server.api)
  await life.page.waitForFunction(() => auth.endReason)
  const reason = await life.page.evaluate(() => auth.endReason)
  await signIn(life)
  return reason
}

/** Signs out. A revoked refresh token must be refused. */
async function logout(life) {
  const { page, proxy } = life
  const { revoked } = await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.session), null)
  if (!revoked) return 'revokes nothing'
  const [last] = refreshes(life).slice(-1)
  const sent = proxy.requests.map(({ sent }) => new URLSearchParams(sent))
  const token = sent.findLast((form) => form.has('token')).get('token')
  if (life.config.dpop) return 'revokes'
  const found = await present(life, last, token)
  assert.notEqual(found, 'accepted')
  return `revokes: ${found}`
}
