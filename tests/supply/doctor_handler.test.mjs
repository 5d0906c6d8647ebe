// `strongroom doctor`: for each line about a token handler, a deployment that is broken in exactly this way. A proxy in
// front of a real handler breaks requests and responses, as proxies do.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request as send } from 'node:http'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { ACCOUNTS } from '../support/accounts.mjs'
import { startInProcess } from '../support/edge/in_process.mjs'
import { startTls } from '../support/edge/tls.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { assertFault, configFile, doctor, faultsIn } from '../support/doctor.mjs'
import { freePort, listen } from '../support/listen.mjs'
import { startProvider } from '../support/provider.mjs'

let provider, origin, front, state
const servers = []
before(async () => {
  const port = await freePort()
  origin = `http://localhost:${port}`
  provider = await startProvider({
    audience: 'urn:test',
    allowedOrigins: [],
    clients: [
      {
        client_id: 'web',
        token_endpoint_auth_method: 'none',
        id_token_signed_response_alg: 'ES256',
        redirect_uris: [`${origin}/auth/callback`],
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
  })
  front = await listen({ host: 'localhost', port, handler: serve })
  servers.push(front, provider)
})
after(() => Promise.all(servers.map((server) => server.close())))

const PAGE = {
  'Content-Type': 'text/html',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** Serves the page, and passes everything else on to the handler, as changed by the test. */
async function serve(request, response) {
  const { pathname } = new URL(request.url, origin)
  if (pathname === '/')
    return response
      .writeHead(200, { ...PAGE, ...state.page })
      .end(state.text ?? `<!doctype html>${state.html}`)
  const refused = state.refuse(request)
  if (refused) return response.writeHead(...refused).end()
  const headers = { ...request.headers }
  state.request(headers)
  const { method, url } = request
  const inner = send({ port: state.behind.port, path: state.path(url), method, headers }, (reply) => {
    state.response(reply.headers, reply)
    response.writeHead(reply.statusCode, reply.headers)
    reply.pipe(response)
  })
  inner.on('error', () => response.writeHead(502).end())
  inner.end()
}

const look = async (change = () => {}, { config = {}, file, args = [], at = origin, path = '' } = {}) => {
  const handler = createTokenHandler({
    issuer: provider.issuer,
    origin: at,
    client: { id: 'web', auth: { method: 'none' } },
    cookie: { keys: randomBytes(32).toString('base64') },
    routes: [{ prefix: '/api/', upstream: 'http://127.0.0.1:1/', url: 'https://api.example.com/v1/' }],
    coordinator: inIsolate(),
    log: (fault) => process.env.SHOW && console.error(fault),
    ...(typeof config === 'function' ? await config() : config),
  })
  const behind = await listen({ handler: toNodeListener(handler, { origin: at }) })
  state = {
    page: {},
    html: '',
    refuse: () => {},
    request: () => {},
    response: () => {},
    path: (path) => path,
    behind,
  }
  change(state)
  try {
    const own = typeof file === 'function' ? file() : file
    const more = own ? ['--config', await configFile(own)] : []
    const report = await doctor(at + path, ...more, ...args)
    return { ...report, ofHandler: report.lines.filter(({ id }) => id.startsWith('handler.')) }
  } finally {
    await behind.close()
  }
}

const HEALTHY = {
  'handler.found': 'ok',
  'handler.session': 'ok',
  'handler.no-store': 'ok',
  'handler.csrf': 'ok',
  'handler.login': 'ok',
  'handler.cookies': 'ok',
  'handler.redirect-uri': 'ok',
  'handler.client': 'ok',
  'handler.clock': 'ok',
  'handler.token': 'unused',
  'handler.secret': 'unseen',
  'handler.callback': 'ok',
  'handler.cookie-length': 'ok',
  'handler.response-length': 'unseen',
  'handler.bind': 'unused',
  'handler.route /api/': 'ok',
  'handler.frames': 'ok',
}

const resultsOf = (lines) => Object.fromEntries(lines.map(({ id, result }) => [id, result]))

test('a token handler in which everything is right', async () => {
  const { ofHandler, by, status, requests } = await look()
  assert.deepEqual(resultsOf(ofHandler), HEALTHY)
  assert.ok(requests <= 15, `${requests} requests`)
  for (const id of ['page.worker-src', 'worker.file']) assert.equal(by[id].result, 'unused')
  assert.equal(by['page.service-worker'].result, 'ok')
  assert.equal(status, 0)
})

test('with pushed requests, the redirect URI is not in the address', async () => {
  const { ofHandler } = await look(undefined, { config: { par: true } })
  assert.deepEqual(resultsOf(ofHandler), { ...HEALTHY, 'handler.redirect-uri': 'unused' })
})

test('with in-store, the cookie is short', async () => {
  const file = { client: { id: 'web' }, session: { storage: 'in-store' } }
  const { ofHandler, by } = await look(undefined, { file })
  const { 'handler.response-length': _, ...rest } = HEALTHY
  assert.deepEqual(resultsOf(ofHandler), rest)
  assert.match(by['handler.cookie-length'].text, /150 characters/)
  assert.equal(by['config.valid'].result, 'unused')
})

const BINDING = {
  config: { session: { bind: 'if-supported' } },
  file: { client: { id: 'web' }, session: { bind: 'if-supported' } },
}

test('handler.bind: the requests that bind sessions arrive', async () => {
  const { by } = await look(undefined, BINDING)
  assert.equal(by['handler.bind'].result, 'ok', by['handler.bind'].seen)
})

/** For each fault of a proxy: the change, and what was seen. */
const UNBOUND = {
  'a proxy that refuses POST': [
    (s) => (s.refuse = ({ method }) => method === 'POST' && [405]),
    /^405 .*\n405 /,
  ],
  'a proxy that drops a header': [
    (s) => (s.request = (headers) => delete headers['sec-secure-session-id']),
    /^403 for POST \/auth\/bind\/refresh$/,
  ],
  'a proxy that refuses renewals': [
    (s) => (s.refuse = ({ url }) => url.startsWith('/auth/bind/') && [429]),
    /^429 for POST \/auth\/bind\/refresh$/,
  ],
}

for (const [name, [change, seen]] of Object.entries(UNBOUND)) {
  test(`handler.bind: ${name}`, async () => {
    const { by } = await look(change, BINDING)
    assert.equal(by['handler.bind'].result, 'fault')
    assert.match(by['handler.bind'].seen, seen)
    assert.match(by['handler.bind'].fix, /POST \/auth\/bind\/refresh/)
  })
}

test('without a token handler, nothing is asked of it', async () => {
  const { ofHandler } = await look((s) => (s.refuse = () => [404]))
  assert.deepEqual(resultsOf(ofHandler), { 'handler.found': 'unused' })
})

/** Returns the part of an address that a layer leaves of it. */
const relative = (address) => address.replace(/^\w+:\/\/[^/]+/, '')

/** A configuration with which the token endpoint refuses the client, or does not respond. */
const withSecret = { client: { id: 'web', auth: { method: 'client_secret_basic', secret: 'another' } } }
const withoutTokens = async () => {
  const metadata = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json()
  return { metadata: { ...metadata, token_endpoint: 'http://127.0.0.1:1/token' } }
}

const isPath = (path) => (request) => new URL(request.url, origin).pathname === path
const setCookie = (change) => (s) => {
  s.response = (headers) => {
    if (headers['set-cookie']) headers['set-cookie'] = headers['set-cookie'].map(change)
  }
}

/** For each line: the change, what was seen, the line that fixes it, and options of `look()`. */
const BROKEN = [
  [
    'found',
    (s) => (s.refuse = () => [404]),
    /^404 for \/auth\/config$/,
    /pass \/auth\/ to the token handler, .* proxy_pass without a path, also without a final \/$/,
    { args: ['--handler', '/auth'] },
  ],
  ['found', () => {}, /^500 text\/plain/, /server's log/, { config: { coordinator: undefined } }],
  [
    'found',
    (s) => (s.path = (path) => path.replace('/sso/', '/auth/')),
    /base is \/auth, and it responds at \/sso/,
    /^base: '\/sso'$/,
    { args: ['--handler', '/sso'], also: /redirect-uri/ },
  ],
  [
    'session',
    (s) => (s.refuse = (r) => isPath('/auth/session')(r) && [503]),
    /^503/,
    /handler's log/,
    { also: /csrf|cookie-length/ },
  ],
  [
    'session',
    (s) => (s.request = (headers) => ((headers['x-strongroom'] = undefined), delete headers['x-strongroom'])),
    /^403 cross_site_request: /,
    /^origin: 'http:\/\/localhost:\d+', or let the proxy pass/,
    { also: /route/ },
  ],
  [
    'no-store',
    (s) => (s.response = (headers) => (headers['cache-control'] = 'max-age=60')),
    /max-age=60/,
    /^Cache-Control: no-store/,
  ],
  ['no-store', (s) => (s.response = (headers) => (headers.age = '7')), /^Age: 7/, /^Cache-Control: no-store/],
  [
    'csrf',
    (s) => (s.request = (headers) => delete headers['sec-fetch-site']),
    /^200 for \/session with Sec-Fetch-Site: cross-site$/,
    /let the proxy pass/,
  ],
  [
    'csrf',
    (s) => (s.request = (headers) => (headers['x-strongroom'] = '1')),
    /without X-Strongroom/,
    /let the proxy pass/,
    { also: /login/ },
  ],
  [
    'csrf',
    (s) => (s.request = (headers) => (headers.origin = origin)),
    /with the Origin of another site/,
    /let the proxy pass/,
  ],
  ['login', (s) => (s.refuse = (r) => isPath('/auth/login')(r) && [502]), /^502/, /handler's log/],
  [
    'login',
    () => {},
    /^400 text\/html.*: Signing in did not work the issuer in .*\( issuer_mismatch \)/,
    /^issuer: 'http:\/\/127\.0\.0\.1:\d+'$/,
    { config: () => ({ issuer: `${provider.issuer}/` }) },
  ],
  ['login', () => {}, /^503 /, /handler's log/, { config: { issuer: 'http://127.0.0.1:1' } }],
  ...[
    [(cookie) => cookie.replace(/; HttpOnly/i, ''), /^strongroom-login-\S+: no HttpOnly$/],
    [(cookie) => cookie.replace(/=Lax/i, '=None'), /: SameSite=None, not SameSite=Lax$/],
    // The provider's response comes from another site.
    [(cookie) => cookie.replace(/=Lax/i, '=Strict'), /: SameSite=Strict, not SameSite=Lax$/],
    // Browsers take the last one.
    [(cookie) => `${cookie}; SameSite=Strict`, /: SameSite=Strict, not SameSite=Lax$/],
    [(cookie) => cookie.replace(/; Path=\//i, '; Path=/auth'), /: Path=\/auth, not Path=\/$/],
    [(cookie) => `${cookie}; Domain=localhost`, /^strongroom-login-\S+: Domain=localhost$/],
  ].map(([change, seen]) => ['cookies', setCookie(change), seen, /proxy_cookie/, { name: `${change}` }]),
  [
    'cookies',
    (s) => (s.response = (headers) => delete headers['set-cookie']),
    /^no Set-Cookie$/,
    /pass Set-Cookie unchanged/,
  ],
  [
    'redirect-uri',
    () => {},
    /redirect_uri=http:\/\/localhost:1\/auth\/callback/,
    /^origin: 'http:\/\/localhost:\d+'$/,
    { config: { origin: 'http://localhost:1', par: false }, also: /session|csrf|route/ },
  ],
  [
    'client',
    () => {},
    /^error=invalid_target/,
    /authorizationParams/,
    { config: { authorizationParams: { resource: 'orders' } } },
  ],
  ...[
    [{}, /^Location: \/auth$/],
    [{ file: () => ({ client: { id: 'web' }, issuer: provider.issuer }) }, /, and the metadata has http:/],
  ].map(([options, seen]) => [
    'login',
    (s) => (s.response = ({ location }, reply) => location && (reply.headers.location = relative(location))),
    seen,
    /pass Location unchanged/,
    options,
  ]),
  [
    'login',
    (s) =>
      (s.response = ({ location }, reply) => {
        if (location) reply.headers.location = location.replace('127.0.0.1', '127.0.0.2')
      }),
    /^Location: http:\/\/127\.0\.0\.2:\d+\/auth, and the metadata has http:\/\/127\.0\.0\.1:\d+\/auth$/,
    /pass Location unchanged/,
    { file: () => ({ client: { id: 'web' }, issuer: provider.issuer }), also: /client/ },
  ],
  [
    'callback',
    (s) => (s.refuse = (r) => isPath('/auth/callback')(r) && [404]),
    /^404 for \/auth\/callback\?error=…$/,
    /^let the server pass \/auth\/callback to the token handler/,
  ],
  [
    'callback',
    (s) => (s.request = (headers) => headers['sec-fetch-site'] === 'cross-site' && delete headers.cookie),
    /^400 .*login_unknown/,
    /pass Cookie and Set-Cookie unchanged/,
  ],
  [
    'clock',
    (s) => (s.response = (headers) => (headers.date = new Date(Date.now() - 120_000).toUTCString())),
    /^1(19|20) s, and clockTolerance is 60 s$/,
    /\(NTP\), or clockTolerance: 12\d$/,
  ],
  [
    'token',
    () => {},
    /ECONNREFUSED .* for http:\/\/127\.0\.0\.1:1\/token$/,
    /respond at http:\/\/127\.0\.0\.1:1, or correct/,
    {
      file: () => ({
        client: { id: 'web' },
        issuer: provider.issuer,
        metadata: { token_endpoint: 'http://127.0.0.1:1/token' },
      }),
    },
  ],
  [
    'secret',
    () => {},
    /client_rejected/,
    /^correct `client`/,
    { config: withSecret, args: ['--probe-token'] },
  ],
  [
    'secret',
    () => {},
    /provider_unavailable/,
    /^look at the handler's log/,
    { config: withoutTokens, args: ['--probe-token'] },
  ],
]

for (const [name, change, seen, fix, options = {}] of BROKEN) {
  test(`handler.${name} ${options.name ?? change} ${JSON.stringify(options.config ?? '')}`, async () => {
    const isAlso = (id) => options.also?.test(id)
    assertFault(await look(change, options), `handler.${name}`, seen, fix, isAlso, 'handler.')
  })
}

test('handler.secret: with --probe-token, the handler tries a code that does not exist', async () => {
  const { by, status } = await look(undefined, { args: ['--probe-token'] })
  assert.equal(by['handler.secret'].result, 'ok', by['handler.secret'].text)
  assert.equal(by['handler.callback'].result, 'ok')
  assert.equal(status, 0)
})

/** Deployments that work, each with lines whose result must be another one than a fault. */
const RIGHT = [
  [
    'a server without OpenID Connect',
    () => {},
    { config: { identity: 'none' } },
    { 'handler.clock': 'unused' },
  ],
  [
    'a server without OpenID Connect, with its configuration',
    () => {},
    {
      config: { identity: 'none' },
      file: () => ({ client: { id: 'web' }, identity: 'none', issuer: provider.issuer }),
    },
    { 'handler.login': 'ok', 'handler.token': 'ok' },
  ],
  [
    'a page that is text',
    (s) => Object.assign(s, { page: { 'Content-Type': 'text/plain' }, text: 'Hello, stranger' }),
    {},
    { 'page.found': 'unseen', 'handler.login': 'ok' },
  ],
  [
    'a page for signed-in users',
    (s) => (s.refuse = (r) => isPath('/orders')(r) && [303, { Location: '/auth/login?returnTo=/orders' }]),
    { path: '/orders' },
    { 'page.found': 'unseen', 'handler.login': 'ok' },
  ],
  ['a cache that passes everything on', (s) => (s.response = (headers) => (headers.age = '0')), {}, {}],
  [
    'a clock that differs less than the option allows',
    (s) => (s.response = (headers) => (headers.date = new Date(Date.now() - 120_000).toUTCString())),
    { file: { client: { id: 'web' }, clockTolerance: 200 } },
    { 'handler.clock': 'ok' },
  ],
  [
    'a token endpoint that only the server reaches',
    () => {},
    {
      file: () => ({
        client: { id: 'web' },
        issuer: provider.issuer,
        metadata: { token_endpoint: 'https://provider.invalid/token' },
      }),
    },
    { 'handler.token': 'unseen' },
  ],
]

for (const [name, change, options, results] of RIGHT) {
  test(`without a fault: ${name}`, async () => {
    const { lines, by, status } = await look(change, options)
    assert.deepEqual(faultsIn({ lines }), [])
    for (const [id, result] of Object.entries(results)) assert.equal(by[id].result, result, by[id].text)
    assert.equal(status, 0)
  })
}

test('page.found: a page that has the type of text is a fault', async () => {
  const { by } = await look((s) => (s.page = { 'Content-Type': 'text/plain' }))
  assert.equal(by['page.found'].result, 'fault')
  assert.equal(by['handler.login'].result, 'ok', 'the handler is looked at all the same')
})

test('handler.csrf: a server that fails refuses nothing', async () => {
  const { by } = await look(
    (s) => (s.refuse = ({ headers }) => headers['sec-fetch-dest'] === 'image' && [502]),
  )
  assert.equal(by['handler.csrf'].result, 'unseen')
})

test('handler.found: the page of an app in place of a handler', async () => {
  const shell = (s) => (s.refuse = (r) => !isPath('/')(r) && [200, { 'Content-Type': 'text/html' }])
  const { by } = await look(shell)
  assert.equal(by['handler.found'].result, 'unseen')
  assert.match(by['handler.found'].text, /^the server sends a page for \/auth\/config, /)
})

test('handler.route: a framework may redirect the folder itself, as Next does', async () => {
  const { by } = await look((s) => (s.refuse = (r) => isPath('/api/')(r) && [308, { Location: '/api' }]))
  assert.equal(by['handler.route /api/'].result, 'ok')
})

test('handler.frames: a frame must not show the provider', async () => {
  const policy = `${PAGE['Content-Security-Policy']}; frame-src ${provider.issuer}`
  const { by } = await look((s) => (s.page = { 'Content-Security-Policy': policy }))
  assert.equal(by['handler.frames'].result, 'fault')
})

test('page.opener: with a token handler, references to windows are one fault', async () => {
  const page = { 'Cross-Origin-Opener-Policy': 'same-origin-allow-popups' }
  const { lines } = await look((s) => (s.page = page))
  const about = lines.filter(({ text }) => /in a window with any file|other sites' windows/.test(text))
  assert.deepEqual(
    about.map(({ id, result }) => [id, result]),
    [['page.opener', 'fault']],
  )
})

test('page.service-worker: beside a handler, it would see the response to a login', async () => {
  const policy = PAGE['Content-Security-Policy'].replace("worker-src 'none'; ", '')
  const { by } = await look((s) => (s.page = { 'Content-Security-Policy': policy }))
  assert.equal(by['page.service-worker'].result, 'fault')
  assert.match(by['page.service-worker'].text, /the response to a login that script has begun/)
})

test('page.clear-site-data: a visit that deletes the cookie of the session', async () => {
  const { by } = await look((s) => (s.page = { 'Clear-Site-Data': '"cookies"' }))
  assert.equal(by['page.clear-site-data'].result, 'fault')
  assert.equal(by['page.clear-site-data'].seen, 'Clear-Site-Data: "cookies"')
  const storage = await look((s) => (s.page = { 'Clear-Site-Data': '"storage"' }))
  assert.equal(storage.by['page.clear-site-data'].result, 'ok')
})

test('page.opener: an app with a token handler needs same-origin', async () => {
  const { by } = await look((s) => (s.page = { 'Cross-Origin-Opener-Policy': 'unsafe-none' }))
  assert.equal(by['page.opener'].fix, 'Cross-Origin-Opener-Policy: same-origin')
})

test('two headers stop logins of an attacker, and others are missing', async () => {
  const policy = "frame-src 'none'; object-src 'none'"
  const others = { 'Referrer-Policy': '', 'X-Content-Type-Options': '' }
  const { lines, by } = await look((s) => (s.page = { 'Content-Security-Policy': policy, ...others }))
  for (const id of ['handler.frames', 'page.opener']) assert.equal(by[id].result, 'ok')
  const faults = lines.filter(({ result }) => result === 'fault').map(({ id }) => id)
  assert.ok(faults.length > 3 && faults.every((id) => id.startsWith('page.')), faults.join())
})

test('with the headers of docs/edge.md, nothing is wrong', async () => {
  const text = await readFile(new URL('../../docs/edge.md', import.meta.url), 'utf8')
  const [, block] = /```\n( *Content-Security-Policy: [^`]*)```/.exec(text)
  const lines = block.trim().split('\n')
  assert.equal(lines.length, 4)
  const page = Object.fromEntries(lines.map((line) => line.trim().split(/: (.*)/)))
  const report = await look((s) => (s.page = page))
  assert.deepEqual(faultsIn(report), [])
})

test('handler.login: a proxy that changes the headers of navigations', async () => {
  const { by } = await look((s) => (s.request = (headers) => (headers['x-strongroom'] = '1')))
  assert.equal(by['handler.login'].result, 'fault')
  assert.equal(by['handler.login'].fix, `first repair the fault above: ${by['handler.csrf'].text}`)
  const alone = await look((s) => {
    s.request = (headers) => headers['sec-fetch-mode'] === 'navigate' && (headers['x-strongroom'] = '1')
  })
  assert.equal(alone.by['handler.csrf'].result, 'ok')
  assert.match(alone.by['handler.login'].fix, /^let the proxy pass the headers X-Strongroom, /)
})

test('handler.login: a long error page is cut between two words', async () => {
  const page = `<p>${'word '.repeat(100)}</p>`
  const server = await listen({
    handler: ({ url }, response) => {
      const isHandler = url === '/auth/config'
      const type = isHandler ? 'application/json' : 'text/html'
      response.writeHead(url.startsWith('/auth/login') ? 502 : 200, { 'Content-Type': type })
      response.end(isHandler ? '{"base":"/auth"}' : page)
    },
  })
  const { by } = await doctor(server.origin)
  await server.close()
  assert.match(by['handler.login'].seen, /^502 text\/html: (word )+…$/)
})

test('handler.routes: without a configuration, routes without url are not known', async () => {
  const routes = [{ prefix: '/api/', upstream: 'http://127.0.0.1:1/' }]
  const { by } = await look(undefined, { config: { routes } })
  assert.equal(by['handler.routes'].result, 'unused')
  const named = await look(undefined, { config: { routes }, file: { client: { id: 'web' }, routes } })
  assert.equal(named.by['handler.routes'], undefined)
  assert.equal(named.by['handler.route /api/'].result, 'ok')
})

test('handler.found: with the handler’s configuration, no worker is expected', async () => {
  const file = { client: { id: 'web' }, routes: [] }
  const { lines } = await look((s) => (s.refuse = () => [200, { 'Content-Type': 'text/html' }]), { file })
  const faults = lines.filter(({ result }) => result === 'fault')
  assert.deepEqual(
    faults.map(({ id }) => id),
    ['handler.found'],
  )
})

test('handler.cookie-length: an error of the handler has arrived, too', async () => {
  const { by } = await look((s) => (s.request = (headers) => delete headers['x-strongroom']))
  assert.equal(by['handler.session'].result, 'fault')
  assert.equal(by['handler.cookie-length'].result, 'ok')
})

test('page.found: a server that fails', async () => {
  const server = await listen({ handler: (request, response) => response.writeHead(500).end() })
  const { by } = await doctor(server.origin)
  await server.close()
  assert.equal(by['page.found'].fix, "look at the server's log")
})

const INLINE = '<script>start()</script>'
const DATA = '<script type="application/json">{}</script><script src="/app.js"></script>'

test('page.policy: the proposed headers leave nothing wrong', async () => {
  const none = Object.fromEntries(Object.keys(PAGE).map((name) => [name, '']))
  const change = (page) => (s) =>
    Object.assign(s, { page: { ...page, 'Content-Type': 'text/html' }, html: INLINE })
  const { by } = await look(change(none))
  assert.equal(by['handler.frames'], undefined, 'one line has the whole policy')
  const [, policy, note] = /^Content-Security-Policy: (.*) \(nonce-…: (.*)\)$/.exec(by['page.policy'].fix)
  assert.match(note, /a new one for each response/)
  assert.match(policy, /script-src 'self' 'nonce-…';/)
  assert.ok(policy.includes(`form-action 'self' ${provider.issuer};`), policy)
  const others = ['page.opener', 'page.referrer-policy', 'page.nosniff'].map((id) =>
    by[id].fix.split(/: (.*)/),
  )
  const proposal = { ...Object.fromEntries(others), 'Content-Security-Policy': policy.replace('…', 'a1b2') }
  assert.equal(proposal['Referrer-Policy'], 'same-origin')
  const { lines } = await look(change(proposal))
  assert.deepEqual(faultsIn({ lines }), [])
})

for (const [what, html, present, fixed] of [
  ['code within the page', INLINE, "'self'", "'self' 'nonce-…'"],
  ['a nonce', INLINE, "'nonce-a1b2'", "'self' 'nonce-…'"],
  ['hashes', INLINE, "'self' 'sha256-abc='", "'self' 'sha256-abc='"],
  ['data and files', DATA, "'self'", "'self'"],
]) {
  test(`page.script-src: a correction for ${what}`, async () => {
    const policy = PAGE['Content-Security-Policy'].replace("script-src 'self'", `script-src ${present} blob:`)
    const { by } = await look((s) => Object.assign(s, { page: { 'Content-Security-Policy': policy }, html }))
    assert.ok(by['page.script-src'].fix.includes(`script-src ${fixed}; `), by['page.script-src'].fix)
    assert.equal(/a new one for each response/.test(by['page.script-src'].fix), fixed.includes('nonce'))
  })
}

test('page.script-src: a correction of another directive repeats no nonce', async () => {
  const policy = "script-src 'nonce-a1b2'; frame-ancestors 'none'"
  const { by } = await look((s) => (s.page = { 'Content-Security-Policy': policy }))
  assert.match(by['page.base-uri'].fix, /script-src 'nonce-…'; /)
})

test('page.form-action: forms that lead to the provider', async () => {
  const change = (to) => (s) => {
    const policy = PAGE['Content-Security-Policy'].replace("form-action 'self'; ", to)
    s.page = { 'Content-Security-Policy': policy }
  }
  const missing = await look(change(''))
  const right = `form-action 'self' ${provider.issuer}`
  assert.ok(missing.by['page.form-action'].fix.includes(right), missing.by['page.form-action'].fix)
  const own = await look(change("form-action 'self'; "))
  assert.ok(own.by['page.form-action'].text.endsWith(`a form that signs out also needs ${provider.issuer}`))
  const { by } = await look(change(`${right}; `))
  assert.equal(by['page.form-action'].text, 'form-action is limited')
})

test('handler.cookies over https: Secure and the prefix', async () => {
  const tls = await startTls()
  tls.forwardTo(front.origin.replace('localhost', '127.0.0.1'))
  // The certificate is self-signed, and no certificate authority of the system knows it.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  try {
    const right = await look(undefined, { at: tls.origin })
    assert.equal(right.by['handler.cookies'].result, 'ok')
    assert.match(right.by['handler.cookies'].text, /Secure, the prefix __Host-$/)
    const insecure = setCookie((cookie) => cookie.replace(/; Secure/i, ''))
    const wrong = await look(insecure, { at: tls.origin })
    assert.match(wrong.by['handler.cookies'].seen, /: no Secure$/)
  } finally {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    await tls.close()
  }
})

test('page.found: a certificate that no authority has signed', async () => {
  const tls = await startTls()
  const { by } = await doctor(tls.origin)
  await tls.close()
  assert.match(by['page.found'].seen, /self-signed certificate/)
})

test('a server that sends anything in place of a handler’s configuration', async () => {
  for (const answer of [
    '[]',
    '{"base":1}',
    '{"base":"/auth","routes":5}',
    '{"base":"/auth","routes":[null,{"prefix":"@127.0.0.1:1/"},{"prefix":7}]}',
    '{"error":{"code":"x"}}',
  ]) {
    const asked = []
    const server = await listen({
      handler: ({ url, headers }, response) => {
        asked.push(headers.host)
        const isPage = url === '/'
        response.writeHead(200, { 'Content-Type': isPage ? 'text/html' : 'application/json' })
        response.end(isPage ? '' : answer)
      },
    })
    const { lines } = await doctor(server.origin)
    await server.close()
    assert.ok(
      lines.some(({ id }) => id === 'handler.found'),
      answer,
    )
    assert.deepEqual(
      lines.filter(({ id }) => id.startsWith('handler.route ')),
      [],
    )
  }
})

/** The bytes of all tokens that fit into one cookie and into two, as the doctor says. */
const roomsOf = async (file) => {
  const { by } = await look(undefined, { file: { client: { id: 'web' }, ...file } })
  const { text } = by['handler.response-length']
  return text.match(/[Uu]p to (\d+) bytes/g).map((found) => Number(found.match(/\d+/)[0]))
}

for (const options of [{ scope: 'openid profile offline_access' }, { scope: 'openid profile', dpop: true }]) {
  test(`the doctor's lengths are those of real sessions with ${JSON.stringify(options)}`, async () => {
    const rooms = await roomsOf(options)
    const account = ACCOUNTS[0]
    const { name } = account
    const app = await startInProcess(createTokenHandler, {
      accessTokenSeconds: 600,
      handler: {
        ...options,
        coordinator: inIsolate(),
        log: (fault) => process.env.SHOW && console.error(fault),
      },
    })
    /** Signs in with a name of this length. Resolves with the bytes of the tokens, and the number of cookies. */
    const signIn = async (length) => {
      account.name = 'n'.repeat(length)
      const visitor = new Visitor(app.place)
      await visitor.signIn()
      const tokens = ['access_token', 'refresh_token', 'id_token'].map((kind) => {
        const token = app.provider.ledger.tokens(kind).at(-1)
        return token?.value.length ?? 0
      })
      const cookies = [...visitor.cookies].filter(([one]) => /^__Host-strongroom(\.\d)?$/.test(one))
      return { bytes: tokens.reduce((a, b) => a + b), cookies: cookies.length }
    }
    try {
      const { bytes } = await signIn(0)
      for (const [i, room] of rooms.entries()) {
        const length = Math.floor(((room - bytes) * 3) / 4)
        const below = await signIn(length - 4)
        assert.ok(below.bytes <= room && below.bytes > room - 20, `${below.bytes} of ${room}`)
        assert.equal(below.cookies, i + 1, `${below.bytes} of ${room}`)
        const above = await signIn(length + 40)
        assert.ok(above.bytes > room && above.bytes < room + 70, `${above.bytes} of ${room}`)
        assert.equal(above.cookies, [2, 0][i], `${above.bytes} of ${room}`)
      }
    } finally {
      account.name = name
      await app.close()
    }
  })
}
