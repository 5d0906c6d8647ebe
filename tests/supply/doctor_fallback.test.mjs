// `strongroom doctor` for a vault with a fallback: a token handler for users without WebAssembly. Each line has a deployment
// that is broken in exactly this way.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { cloudflareHeaders, securityHeaders } from '../../pkg/dist/headers.js'
import { assertFault, configFile, doctor, faultsIn, startDeployment, strongroom } from '../support/doctor.mjs'
import { freePort } from '../support/listen.mjs'
import { OWN_HANDLER } from '../support/servers.mjs'

let deployment, origin, vault
before(async () => {
  const site = await freePort()
  origin = `http://localhost:${site}`
  deployment = await startDeployment({ ports: { site }, handlers: [origin] })
  vault = deployment.config
})
after(() => deployment.close())

const METHODS = ['GET', 'HEAD', 'POST', 'PUT']
/** The route with the address of the vault's only rule. */
const route = (more) => ({
  prefix: '/api/',
  upstream: deployment.api.url,
  url: deployment.api.url,
  methods: METHODS,
  ...more,
})

/**
 * Runs the doctor. `routes` are those of the handler, `apis` the vault's rules, and `page` are the page's headers in place of
 * the generated ones. `args` returns the arguments from the files of the vault's configuration and the handler's. `api`
 * responds to requests below `/own/` that have no header `X-Strongroom`.
 */
const look = async ({
  routes = [route()],
  apis = vault.apis,
  page = {},
  args = (vault, handler) => ['--config', vault, '--config', handler],
  handler = {},
  api = (_, response) => response.writeHead(404).end(),
} = {}) => {
  const { site, config: healthy, provider } = deployment
  const client = { id: OWN_HANDLER.id, auth: { method: 'client_secret_basic', secret: OWN_HANDLER.secret } }
  const ofHandler = { issuer: provider.issuer, client, routes, ...handler }
  const config = { ...healthy, apis }
  const headers = securityHeaders(config, { origin, worker: '/auth.worker.js', fallback: ofHandler })
  const keys = randomBytes(32).toString('base64')
  const log = (entry) => process.env.SHOW && console.error(entry)
  const listener = toNodeListener(
    createTokenHandler({ ...ofHandler, cookie: { keys }, coordinator: inIsolate(), log }),
  )
  const prefixes = ['/auth/', ...routes.map(({ prefix }) => prefix)]
  site.below = Object.fromEntries(prefixes.map((path) => [path, listener]))
  if (site.below['/own/'])
    site.below['/own/'] = (request, response) =>
      (request.headers['x-strongroom'] ? listener : (api ?? listener))(request, response)
  site.headers = {
    '/index.html': { ...headers.page, ...page },
    '/auth.worker.js': headers.worker,
  }
  const files = await Promise.all([configFile(config), configFile(ofHandler)])
  try {
    return await doctor(origin, ...(await args(...files)))
  } finally {
    Object.assign(site, { below: {}, headers: {} })
  }
}

test('a vault with a fallback in which everything is right', async () => {
  const report = await look()
  assert.deepEqual(faultsIn(report), [])
  for (const id of ['api.0.fallback', 'page.fallback', 'page.worker-src', 'worker.file', 'handler.login'])
    assert.equal(report.by[id].result, 'ok', id)
  assert.equal(report.by['config.handler'].result, 'unused')
})

test('the routes of the live handler are compared without its configuration', async () => {
  const args = (file) => ['--config', file, '--handler', '/auth']
  const { by } = await look({ args, routes: [route({ methods: ['GET'] })] })
  assert.equal(by['api.0.fallback'].result, 'ok')
  assert.match(by['api.0.fallback'].text, /if the route has the methods/)
  const report = await look({ args, routes: [route({ url: undefined })] })
  assertFault(
    report,
    'api.0.fallback',
    'the routes have no url',
    "url: 'SITE/v1/' in the handler's route to this API",
  )
})

test('a standalone vault has its configuration at the site', async () => {
  const { files } = deployment.site
  files['/strongroom/strongroom.json'] = JSON.stringify(vault)
  const { by } = await look({
    args: (_, file) => ['--config', file, '--worker', '/strongroom/standalone.js'],
  })
  delete files['/strongroom/strongroom.json']
  assert.equal(by['config.valid'].result, 'ok')
  assert.equal(by['api.0.fallback'].result, 'ok')
})

/** The path of the app's own API. */
const OWN = [{ url: '/own/' }]

for (const [name, change, seen, fix] of [
  [
    'a route for another folder',
    () => ({ routes: [route({ url: `${deployment.api.url}orders/` })] }),
    "the routes have url: 'SITE/v1/orders/'",
    '"url": "SITE/v1/" in the handler\'s route to this API',
  ],
  [
    'no route for an exact rule',
    () => ({ apis: [{ url: `${deployment.api.origin}/v2/me`, exact: true }] }),
    "the routes have url: 'SITE/v1/'",
    '"url": "SITE/v2/" in the handler\'s route to this API',
  ],
  [
    'a route that lacks methods',
    () => ({ routes: [route({ methods: undefined })] }),
    'the route /api/ has the methods GET',
    '"methods": ["GET","HEAD","POST","PUT"] in the route /api/',
  ],
  [
    'a socket and a route without GET',
    () => ({
      apis: [{ url: deployment.api.url, methods: ['POST'], webSocket: { token: 'protocol' } }],
      routes: [route({ methods: ['POST'] })],
    }),
    'the route /api/ has the methods POST',
    '"methods": ["POST","GET"] in the route /api/',
  ],
  [
    'an API of the app that is not behind the handler',
    () => ({ apis: OWN }),
    '404 text/plain; charset=utf-8 for /own/ with X-Strongroom, and not from the handler',
    'let the server pass calls of /own/ with the header X-Strongroom to a route of the handler, and all others to the API',
  ],
  [
    'an API of the app whose calls all reach the handler',
    () => ({ apis: OWN, routes: [route({ prefix: '/own/', url: undefined })], api: null }),
    /^403 cross_site_request: /,
    'let the server pass calls of /own/ with the header X-Strongroom to a route of the handler, and all others to the API',
  ],
]) {
  test(`api.fallback: ${name}`, async () => {
    assertFault(await look(change()), 'api.0.fallback', seen, fix)
  })
}

test('api.fallback: the longest route that covers a rule decides about its methods', async () => {
  const wider = route({ prefix: '/all/', url: `${deployment.api.origin}/`, methods: ['GET'] })
  const { by } = await look({ routes: [wider, route()] })
  assert.equal(by['api.0.fallback'].result, 'ok')
  const narrow = await look({ routes: [wider], apis: [{ ...vault.apis[0], methods: ['GET'] }] })
  assert.equal(narrow.by['api.0.fallback'].result, 'ok', 'a wider route covers the rule')
})

test('api.fallback: a rule and a route without methods fit', async () => {
  const { by } = await look({
    apis: [{ url: deployment.api.url }],
    routes: [route({ methods: undefined })],
  })
  assert.equal(by['api.0.fallback'].result, 'ok')
})

test('api.fallback: a route for the app’s own API needs no url', async () => {
  const { by } = await look({ apis: OWN, routes: [route({ prefix: '/own/', url: undefined })] })
  assert.equal(by['api.0.fallback'].result, 'ok')
})

test('api.fallback: a socket of the app’s own API reaches one of the two', async () => {
  const apis = [{ url: '/own/', webSocket: { token: 'protocol' } }]
  const { by } = await look({ apis, routes: [route({ prefix: '/own/', url: undefined })] })
  assert.equal(by['api.0.fallback'].result, 'unseen')
})

test('handler.route: an API at the path of a route is judged once', async () => {
  const report = await look({ apis: OWN, routes: [route(), route({ prefix: '/own/', url: undefined })] })
  assert.ok(report.by['handler.route /api/'])
  assert.equal(report.by['handler.route /own/'], undefined)
})

test('page.fallback: the policy must admit the handler, and keeps its other sources', async () => {
  const policy = (connect) => ({ page: { 'Content-Security-Policy': `default-src 'none'; ${connect}` } })
  const named = `connect-src https://logs.example.com ${origin}/auth/config ${origin}/auth/session`
  const { by } = await look(policy(named))
  assert.equal(by['page.fallback'].result, 'fault')
  assert.equal(by['page.fallback'].seen, named)
  const [, fixed] = /(connect-src [^;]*)/.exec(by['page.fallback'].fix)
  assert.equal(fixed, `${named} ${origin}/auth/logout ${origin}/api/`)
  const own = await look(policy("connect-src 'self'"))
  assert.equal(own.by['page.fallback'].result, 'ok')
})

for (const [name, prefix, change] of [
  ['the running handler', '/api/', () => ({ args: (file) => ['--config', file, '--handler', '/auth'] })],
  ['its configuration', '/own/', () => ({ apis: OWN, routes: [route({ prefix: '/own/', url: undefined })] })],
]) {
  test(`page.fallback: the policy must admit the routes of ${name}`, async () => {
    const endpoints = ['config', 'session', 'logout'].map((path) => `${origin}/auth/${path}`)
    const page = { 'Content-Security-Policy': `connect-src ${endpoints.join(' ')}` }
    const { by } = await look({ ...change(), page })
    assert.ok(by['page.fallback'].text.endsWith(` to ${origin}${prefix}`), by['page.fallback'].text)
  })
}

test('page.fallback: without a handler, the policy is not judged', async () => {
  const { by } = await look({ args: (file) => ['--config', file, '--handler', '/login'] })
  assert.equal(by['handler.found'].result, 'fault')
  assert.equal(by['page.fallback'], undefined)
})

test('page.policy: the proposed policy is that of strongroom/headers', async () => {
  const { by } = await look({
    page: { 'Content-Security-Policy': null },
    args: (...files) => ['--worker', '/auth.worker.js', ...files.flatMap((file) => ['--config', file])],
  })
  const { page } = securityHeaders(vault, {
    origin,
    worker: '/auth.worker.js',
    fallback: { routes: [route()] },
  })
  assert.equal(by['page.policy'].fix, `Content-Security-Policy: ${page['Content-Security-Policy']}`)
})

test('page.opener: script must not read the response to a login at the handler', async () => {
  const report = await look({ page: { 'Cross-Origin-Opener-Policy': 'same-origin-allow-popups' } })
  assertFault(report, 'page.opener', /popups$/, /^Cross-Origin-Opener-Policy: same-origin /)
})

test('handler.client: an unknown client is that of the handler, and not of the vault', async () => {
  const { by } = await look({ handler: { client: { id: 'unknown', auth: { method: 'none' } } } })
  assert.equal(by['handler.client'].result, 'fault')
  assert.match(by['handler.client'].fix, /or correct `client\.id`$/)
})

test('handler.fallback: a handler that the command does not name may be a fallback', async () => {
  const { by } = await look({ args: (file) => ['--config', file], routes: [route({ url: undefined })] })
  assert.equal(by['handler.fallback'].result, 'unused')
  assert.match(by['handler.fallback'].text, /add --handler \/auth to compare both$/)
  assert.equal(by['api.0.fallback'], undefined)
  assert.equal(by['page.fallback'], undefined)
  assert.equal(by['worker.file'].result, 'ok')
})

test('without the worker’s path, a vault’s configuration announces a worker', async () => {
  const policy = { 'Content-Security-Policy': "script-src 'self'" }
  const { by } = await look({ page: policy })
  assert.equal(by['worker.file'].result, 'unseen')
})

test('a configuration with anything in place of routes is compared all the same', async () => {
  for (const routes of [5, {}, [null, { prefix: 7 }]]) {
    const args = async (file) => ['--config', file, '--config', await configFile({ client: {}, routes })]
    const { by } = await look({ args })
    assert.equal(by['api.0.fallback'].result, 'ok')
  }
})

test('two configurations of the same kind cannot be compared', async () => {
  const files = await Promise.all([configFile(vault), configFile(vault)])
  const { status, stderr } = await strongroom([
    'doctor',
    origin,
    ...files.flatMap((file) => ['--config', file]),
  ])
  assert.equal(status, 2)
  assert.match(stderr, /are of the same kind/)
})

test('--fix-headers admits the fallback, and needs its configuration', async () => {
  const ofHandler = { client: { id: 'web' }, routes: [route()] }
  const [file, second] = await Promise.all([configFile(vault), configFile(ofHandler)])
  const fix = (...args) =>
    strongroom(['doctor', origin, '--fix-headers', 'cloudflare', '--config', file, ...args])
  const metadata = await (await fetch(`${vault.issuer}/.well-known/openid-configuration`)).json()
  const options = { origin, worker: '/auth.worker.js', metadata, fallback: ofHandler }
  const { stdout } = await fix('--config', second)
  assert.equal(stdout, cloudflareHeaders(vault, options))
  const without = await fix('--handler', '/auth')
  assert.equal(without.status, 2)
  assert.match(without.stderr, /needs the token handler's configuration/)
})
