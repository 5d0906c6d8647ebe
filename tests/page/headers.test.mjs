// `strongroom/headers` without a browser: the generated policies, the formats of hosts, and the document of a client.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import {
  clientMetadata,
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
  viteHeaders,
} from '../../pkg/dist/headers.js'
import { CALLBACK_HEADERS, PAGE_HEADERS } from '../support/callback_page.mjs'
import { CONFIG, CSP, generate, MEDIA, OPTIONS } from '../support/headers.mjs'

/** Returns the sources of a policy's directive. */
const sources = (headers, directive) => {
  const found = headers[CSP].split('; ').map((text) => text.split(' '))
  return found.find(([name]) => name === directive)?.slice(1)
}

const connect = (config, options) => sources(generate(config, options).worker, 'connect-src')

test('the headers are those of the guide', async () => {
  const guide = await readFile(new URL('../../docs/headers.md', import.meta.url), 'utf8')
  const block = (name) => {
    const [, text] = new RegExp(`\`\`\`http ${name}\\n([\\s\\S]*?)\n\`\`\``).exec(guide)
    return Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/).slice(0, 2)))
  }
  const { page, worker } = generate({}, { trustedTypes: ['auth-worker'] })
  assert.deepEqual(page, block('page'))
  const { 'Cache-Control': cache, ...rest } = worker
  assert.deepEqual(rest, block('worker'))
  assert.equal(cache, 'no-cache')
  const isolated = generate({}, { isolated: true })
  assert.deepEqual({ ...page, ...block('isolated'), [CSP]: isolated.page[CSP] }, isolated.page)
  assert.equal(isolated.worker['Cross-Origin-Embedder-Policy'], 'require-corp')
})

// claim: script-26
test('the worker may reach exactly the origins of its configuration', () => {
  assert.deepEqual(connect(), ["'self'", 'https://id.example.com', 'https://api.example.com'])
  assert.deepEqual(connect({ issuer: 'https://id.example.com:8443/realms/a', apis: [] }), [
    "'self'",
    'https://id.example.com:8443',
  ])
  const api = (url, webSocket) => ({ apis: [{ url, webSocket }] })
  assert.deepEqual(connect(api('https://id.example.com/api/')), ["'self'", 'https://id.example.com'])
  assert.deepEqual(connect(api('/api/')), ["'self'", 'https://id.example.com'])
  assert.deepEqual(connect(api('https://app.example.com/api/')), ["'self'", 'https://id.example.com'])
  assert.deepEqual(connect(api('//other.example.com/')), [
    "'self'",
    'https://id.example.com',
    'https://other.example.com',
  ])
  assert.deepEqual(connect(api('http://localhost:3000/')), [
    "'self'",
    'https://id.example.com',
    'http://localhost:3000',
  ])
})

test('a rule for sockets allows the API’s sockets', () => {
  const apis = (url) => ({ apis: [{ url, webSocket: { token: 'protocol' } }] })
  assert.deepEqual(connect(apis('https://api.example.com/')).slice(2), [
    'https://api.example.com',
    'wss://api.example.com',
  ])
  assert.deepEqual(connect(apis('http://127.0.0.1:3000/')).slice(2), [
    'http://127.0.0.1:3000',
    'ws://127.0.0.1:3000',
  ])
  assert.deepEqual(connect(apis('/live/')).slice(2), ['wss://app.example.com'])
})

test('metadata adds the endpoints that the worker requests', () => {
  const discovered = {
    issuer: 'https://id.example.com',
    authorization_endpoint: 'https://a.example.com/',
    end_session_endpoint: 'https://e.example.com/',
    token_endpoint: 'https://t.example.com/',
    jwks_uri: 'https://k.example.com/',
    revocation_endpoint: 'https://r.example.com/',
    pushed_authorization_request_endpoint: 'https://p.example.com/',
    device_authorization_endpoint: 'https://d.example.com/',
  }
  const expected = ['id', 't', 'k', 'r', 'p', 'd'].map((name) => `https://${name}.example.com`)
  const found = ["'self'", ...expected, 'https://api.example.com']
  assert.deepEqual(connect({}, { metadata: discovered }), found)
  assert.deepEqual(connect({ metadata: discovered }), found)
  const token_endpoint = 'https://other.example.com/'
  assert.ok(
    !connect({ metadata: { token_endpoint } }, { metadata: discovered }).includes('https://t.example.com'),
  )
})

const PINNED = {
  at: '2026-01-31',
  issuer: 'https://id.example.com',
  authorization_endpoint: 'https://id.example.com/a',
  token_endpoint: 'https://t.example.com/t',
  jwks_uri: 'https://k.example.com/k',
}

test('pinned metadata names the endpoints, below `metadata` in rank', () => {
  const [t, k, api] = ['t', 'k', 'api'].map((name) => `https://${name}.example.com`)
  const pinned = PINNED
  assert.deepEqual(connect({ pinned }).slice(2), [t, k, api])
  const option = { metadata: { token_endpoint: 'https://o.example.com/' } }
  assert.deepEqual(connect({ pinned }, option).slice(2), ['https://o.example.com', k, api])
  const metadata = { token_endpoint: 'https://c.example.com/' }
  assert.deepEqual(connect({ pinned, metadata }, option).slice(2), ['https://c.example.com', k, api])
  // A provider may move an endpoint to another path, which the vault then learns from its document.
  const { worker } = generate({ pinned })
  assert.equal(
    worker['Connection-Allowlist'],
    '(response-origin "https://id.example.com" "https://t.example.com" "https://k.example.com" "https://api.example.com/v1/*");redirects=allow',
  )
})

test('pinned metadata that a vault ignores changes no header', () => {
  for (const pinned of [
    undefined,
    null,
    1,
    'a',
    [],
    {},
    { ...PINNED, issuer: 'https://id.example.com/' },
    { ...PINNED, token_endpoint: undefined },
    { ...PINNED, authorization_endpoint: 'a' },
    { ...PINNED, jwks_uri: 'http://id.example.com/k' },
    { ...PINNED, jwks_uri: undefined },
  ]) {
    assert.deepEqual(generate({ pinned }), generate(), JSON.stringify(pinned))
  }
  const { jwks_uri: _, ...withoutKeys } = PINNED
  const withoutTokens = connect({ identity: 'none', pinned: withoutKeys })
  assert.ok(withoutTokens.includes('https://t.example.com'), 'a server without ID tokens has no keys')
  const unusable = { revocation_endpoint: 'a', end_session_endpoint: 'http://a', other_endpoint: '' }
  assert.deepEqual(generate({ pinned: { ...PINNED, ...unusable } }), generate({ pinned: PINNED }))
})

test("an unusable optional endpoint of the provider's document is left out", () => {
  const unusable = ['', 'revoke', 'http://id.example.com/revoke', ['https://r.example.com/'], {}]
  for (const revocation_endpoint of unusable) {
    const metadata = { token_endpoint: 'https://t.example.com/', revocation_endpoint }
    const found = ["'self'", 'https://id.example.com', 'https://t.example.com', 'https://api.example.com']
    assert.deepEqual(connect({}, { metadata }), found)
    assert.throws(() => connect({ metadata }), { code: 'config_invalid' }, 'in the configuration')
  }
  assert.throws(() => connect({}, { metadata: { token_endpoint: '' } }), { code: 'config_invalid' })
})

test('the worker may reach the UserInfo endpoint if it asks it', () => {
  const metadata = { userinfo_endpoint: 'https://people.example.com/me' }
  const [people, api] = ['https://people.example.com', 'https://api.example.com']
  assert.deepEqual(connect({ userInfo: true }, { metadata }).slice(2), [people, api])
  assert.deepEqual(connect({ userInfo: true, metadata }).slice(2), [people, api])
  assert.deepEqual(connect({}, { metadata }).slice(2), [api])
})

test('the worker may reach the profile address', () => {
  const identity = { url: 'https://people.example.com/me', sub: 'id' }
  assert.deepEqual(connect({ identity }).slice(2), ['https://people.example.com', 'https://api.example.com'])
  assert.deepEqual(connect({ identity: 'none' }), connect({}))
})

test('the page gets the sources that the options add', () => {
  const { page } = generate(
    {},
    {
      serviceWorker: '/sw.js',
      page: {
        'img-src': ['https://cdn.example.com'],
        'connect-src': ['https://logs.example.com'],
        'frame-ancestors': ["'self'"],
        'script-src': ["'nonce-abc='"],
        'upgrade-insecure-requests': [],
      },
    },
  )
  assert.deepEqual(sources(page, 'img-src'), ["'self'", 'data:', 'https://cdn.example.com'])
  assert.deepEqual(sources(page, 'connect-src'), ['https://logs.example.com'])
  assert.deepEqual(sources(page, 'frame-ancestors'), ["'self'"])
  assert.deepEqual(sources(page, 'script-src'), ["'self'", "'nonce-abc='"])
  assert.deepEqual(sources(page, 'upgrade-insecure-requests'), [])
  assert.deepEqual(sources(page, 'worker-src'), [
    'https://app.example.com/auth.worker.js',
    'https://app.example.com/sw.js',
  ])
  assert.equal(sources(page, 'require-trusted-types-for'), undefined)
})

const FALLBACK = { routes: [{ prefix: '/api/' }, { prefix: '/files/', url: 'https://api.example.com/' }] }

test('the page may call exactly the addresses of its fallback', () => {
  const connect = (fallback) => sources(generate({}, { fallback }).page, 'connect-src')
  const at = (path) => `https://app.example.com${path}`
  const routes = [at('/api/'), at('/files/')]
  const endpoints = ['config', 'session', 'logout']
  assert.deepEqual(connect(FALLBACK), [...endpoints.map((name) => at(`/auth/${name}`)), ...routes])
  const moved = { ...FALLBACK, base: '/sso/auth' }
  assert.deepEqual(connect(moved), [...endpoints.map((name) => at(`/sso/auth/${name}`)), ...routes])
  assert.equal(connect(undefined), undefined)
})

test('the page may open sockets of its fallback if a rule has sockets', () => {
  const connect = (apis) => sources(generate({ apis }, { fallback: FALLBACK }).page, 'connect-src')
  const [rule] = CONFIG.apis
  const ofSockets = (list) => list.filter((source) => source.startsWith('ws'))
  const live = { url: 'https://live.example.com/', webSocket: { token: 'protocol' } }
  const expected = ['wss://app.example.com/api/', 'wss://app.example.com/files/']
  assert.deepEqual(ofSockets(connect([rule, live])), expected)
  assert.deepEqual(ofSockets(connect([rule])), [])
})

test('testing: true lets the test double run in the page, and call the APIs', () => {
  const apis = [
    { url: 'https://api.example.com/v1/', webSocket: { token: 'protocol' } },
    { url: '/api/' },
    { url: 'https://api.example.com/v2/' },
  ]
  const options = { origin: 'http://localhost:4173', page: { 'img-src': ['blob:'] } }
  const { page, worker } = generate({ apis }, { ...options, testing: true })
  assert.deepEqual(sources(page, 'script-src'), ["'self'", "'wasm-unsafe-eval'"])
  assert.deepEqual(sources(page, 'connect-src'), ['https://api.example.com', "'self'"])
  const usual = generate({ apis }, options)
  assert.deepEqual(worker, usual.worker)
  assert.deepEqual(sources(page, 'img-src'), sources(usual.page, 'img-src'))
  assert.deepEqual(sources(usual.page, 'script-src'), ["'self'"])
  assert.equal(sources(usual.page, 'connect-src'), undefined)
  assert.equal(sources(generate({ apis: [] }, { ...options, testing: true }).page, 'connect-src'), undefined)
})

test('testing: true is refused where an app could be in production', async () => {
  const refused = { code: 'config_invalid', message: /`testing`/ }
  for (const origin of ['https://app.example.com', 'https://localhost:4173']) {
    assert.throws(() => generate({}, { origin, testing: true }), refused)
  }
  for (const write of [cloudflareHeaders, nextHeaders, nginxHeaders]) {
    assert.throws(() => write(CONFIG, { ...OPTIONS, testing: true }), refused)
  }
  const { configResolved } = viteHeaders(CONFIG, { worker: OPTIONS.worker, testing: true })
  await assert.rejects(configResolved({ mode: 'production' }), {
    code: 'config_invalid',
    message: /--mode e2e/,
  })
  await configResolved({ mode: 'e2e' })
  await viteHeaders(CONFIG, { worker: OPTIONS.worker }).configResolved({ mode: 'production' })
})

/** The whole configuration of a vault. */
const WHOLE = { ...CONFIG, clientId: 'web', redirectUri: '/callback', scope: 'openid' }

/** Faults of a configuration. The core sees all of them, and names alone show the first ones. */
const FAULTS = [
  [{ sesion: {} }, /^`sesion`: there is no such option \(did you mean `session`\?\)/, true],
  [{ clientSecret: 'x' }, /^`clientSecret`: /, true],
  [{ session: { idel: 60 } }, /^`session\.idel`: there is no such option \(did you mean `idle`\?\)/, true],
  [{ apis: [{ ...CONFIG.apis[0], method: [] }] }, /^`apis\[0\]\.method`: .* `methods`/, true],
  [{ apis: [{ url: 'https://api.example.com/v1/files' }] }, /^`apis\[0\]\.url` is .* must end in `\/`/],
  [{ redirectUri: 'https://app.example.com/#a' }, /^`redirectUri` is /],
  [{ clientId: undefined }, /^`clientId` is missing/],
  [{ session: { persist: 'encrypted' } }, /^`session\.persist` is "encrypted"/],
  [{ claims: () => [] }, /^`claims` is a function/],
  [{ session: Object.create({ persist: 'sealed' }) }, /^`session` must be .* object literal/],
]

for (const [change, message, isName = false] of FAULTS) {
  test(`a build refuses ${JSON.stringify(change)}`, async () => {
    const refused = (error) => error.code === 'config_invalid' && message.test(error.message)
    const { configResolved } = viteHeaders({ ...WHOLE, ...change }, { worker: OPTIONS.worker })
    await assert.rejects(configResolved({ mode: 'production' }), refused)
    if (isName) {
      assert.throws(() => generate({ ...WHOLE, ...change }), refused)
      const part = viteHeaders({ ...CONFIG, ...change }, { worker: OPTIONS.worker })
      await assert.rejects(part.configResolved({ mode: 'production' }), refused)
    }
  })
}

test('viteHeaders() accepts what the core accepts, wherever the app will be', async () => {
  for (const change of [
    {},
    { redirectUri: 'https://app.example.com/callback', callbackPage: true },
    {
      issuer: 'http://localhost:4401',
      redirectUri: 'http://localhost:5173/callback',
      apis: [{ url: '/api/' }],
    },
    { session: { idle: 60, persist: 'sealed' }, dpop: true },
  ])
    for (const worker of [OPTIONS.worker, '/assets/'])
      await viteHeaders({ ...WHOLE, ...change }, { worker }).configResolved({ mode: 'production' })
})

test('inspect: true warns in a build for production', async () => {
  const warnings = async (inspect, mode) => {
    const said = []
    const logger = { warn: (message) => said.push(message) }
    await viteHeaders({ ...CONFIG, inspect }, { worker: OPTIONS.worker }).configResolved({ mode, logger })
    return said
  }
  assert.match(
    (await warnings(true, 'production')).join(),
    /^strongroom: inspect: true .*docs\/inspector\.md$/,
  )
  assert.deepEqual(await warnings(false, 'production'), [])
  assert.deepEqual(await warnings(true, 'development'), [])
})

/** Values that would change the meaning of a policy or of a host's file. */
const REFUSED = {
  'a wildcard': [{ apis: [{ url: 'https://*.example.com/' }] }],
  'a semicolon': [{ apis: [{ url: 'https://a;script-src/' }] }],
  'a comma': [{ issuer: 'https://a,b.example.com' }],
  'an apostrophe': [{ issuer: "https://'self'" }],
  'an IPv6 address': [{ issuer: 'https://[2001:db8::1]' }],
  'an API over http': [{ apis: [{ url: 'http://api.example.com/' }] }],
  'an API over another scheme': [{ apis: [{ url: 'data:text/plain,' }] }],
  'an API without a URL': [{ apis: [{}] }],
  'an issuer without a host': [{ issuer: '/id' }],
  'an endpoint that is no URL': [{ metadata: { token_endpoint: 'token' } }],
  'an origin with a path': [{}, { origin: 'https://app.example.com/' }],
  'a worker without a slash': [{}, { worker: 'auth.worker.js' }],
  'a worker of another origin': [{}, { worker: '//evil.example.com/w.js' }],
  'any file as a worker': [{}, { worker: '/' }],
  'a worker outside of its folder': [{}, { worker: '/a/../b.js' }],
  'a worker with a pattern': [{}, { worker: '/*.js' }],
  'a worker with a query': [{}, { worker: '/auth.worker.js?a' }],
  'a second directive': [{}, { page: { 'img-src': ['data:; script-src *'] } }],
  'a second policy': [{}, { page: { 'img-src': ['data:,default-src'] } }],
  'a second line': [{}, { page: { 'img-src': ['data:\nX: y'] } }],
  'a quotation mark': [{}, { page: { 'img-src': ['"'] } }],
  'two sources in one': [{}, { page: { 'img-src': ['data: blob:'] } }],
  'a directive with a space': [{}, { page: { 'img-src data:; script-src': ['*'] } }],
  'a Trusted Types policy with a space': [{}, { trustedTypes: ['a b'] }],
  'sources as one string': [{}, { page: { 'script-src': 'https://*.example.com' } }],
  'Trusted Types policies as one string': [{}, { trustedTypes: '*' }],
  'a path as the fallback': [{}, { fallback: '/auth' }],
  'a fallback without routes': [{}, { fallback: { base: '/auth' } }],
  'a fallback at a folder': [{}, { fallback: { base: '/auth/', routes: [] } }],
  'a fallback at another origin': [{}, { fallback: { base: '//evil.example.com', routes: [] } }],
  'a route of the fallback that is no folder': [{}, { fallback: { routes: [{ prefix: '/api' }] } }],
  'a route of the fallback without a prefix': [{}, { fallback: { routes: [{}] } }],
  'a fallback for every path': [{}, { fallback: { routes: [{ prefix: '/' }] } }],
  'a directive with the name of a method': [{}, { page: { constructor: [' '] } }],
}

for (const [name, [config, options]] of Object.entries(REFUSED)) {
  // claim: script-26
  test(`config_invalid: ${name}`, () => {
    assert.throws(() => generate(config, options), { name: 'StrongroomError', code: 'config_invalid' })
  })
}

test('Next’s rules match each path once', () => {
  for (const [worker, ofWorker, ofPage] of [
    ['/auth.worker.js', ['/auth.worker.js'], ['/', '/callback', '/authXworker.js', '/auth.worker.js/x']],
    ['/_next/static/', ['/_next/static/a/b.js'], ['/', '/orders', '/_next/data/x.json']],
  ]) {
    const [page, script] = nextHeaders(CONFIG, { ...OPTIONS, worker })
    const matches = ({ source }, path) => new RegExp(`^${source.replace(':file*', '.*')}$`).test(path)
    for (const path of ofWorker) assert.deepEqual([matches(page, path), matches(script, path)], [false, true])
    for (const path of ofPage) assert.deepEqual([matches(page, path), matches(script, path)], [true, false])
    const expected = generate({}, { worker })
    const list = (headers) => Object.entries(headers).map(([key, value]) => ({ key, value }))
    assert.deepEqual([page.headers, script.headers], [list(expected.page), list(expected.worker)])
  }
})

test('the callback page has the page’s policy, and headers of its own, on each host', () => {
  const config = { ...CONFIG, redirectUri: '/callback', callbackPage: true }
  const options = { ...OPTIONS, page: { 'frame-ancestors': ["'self'"] } }
  const { page, callback } = securityHeaders(config, options)
  assert.deepEqual(generate().callback, {})
  assert.deepEqual(callback, {
    ...page,
    [CSP]: `${page[CSP].replace("frame-ancestors 'none' 'self'", "frame-ancestors 'none'").replace("frame-ancestors 'self'", "frame-ancestors 'none'")}; connect-src 'self'`,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  })
  const listed = Object.entries(callback)
  const rules = nextHeaders(config, options)
  const matching = rules.filter(({ source }) => new RegExp(`^${source}$`).test('/callback'))
  assert.deepEqual(
    matching.map(({ headers }) => headers),
    [listed.map(([key, value]) => ({ key, value }))],
  )
  const lines = listed.map(([name, value]) => `  ${name}: ${value}\n`).join('')
  const removed = Object.keys(page).map((name) => `  ! ${name}\n`)
  assert.ok(cloudflareHeaders(config, options).includes(`\n/callback\n${removed.join('')}${lines}`))
  assert.ok(netlifyHeaders(config, { ...options, documents: ['/'] }).includes(`\n/callback\n${lines}`))
  for (const documents of [['/callback'], ['/*']]) {
    assert.throws(() => netlifyHeaders(config, { ...options, documents }), { code: 'config_invalid' })
  }
  const { http } = nginxHeaders(config, options)
  for (const file of ['/callback', '/callback.html', '/callback/index.html']) {
    assert.ok(http.includes(`  ${file} "same-origin";`), file)
    assert.ok(http.includes(`  ${file} "no-store";`), file)
  }
  for (const redirectUri of [undefined, '/', '/a b']) {
    assert.throws(() => securityHeaders({ ...config, redirectUri }, options), { code: 'config_invalid' })
  }
})

test('the headers of the callback page are those of its guide', async () => {
  const guide = await readFile(new URL('../../docs/callback-page.md', import.meta.url), 'utf8')
  const [block, pages] = ['callback', 'pages'].map((name) => {
    const [, text] = new RegExp(`\`\`\`http ${name}\\n([^]*?)\\n\`\`\``).exec(guide)
    return Object.fromEntries(text.split('\n').map((line) => line.split(/: (.*)/).slice(0, 2)))
  })
  assert.deepEqual([block, pages], [CALLBACK_HEADERS, PAGE_HEADERS])
  const { callback } = generate({ redirectUri: '/callback', callbackPage: true })
  assert.ok(callback[CSP].includes(block[CSP]))
  assert.deepEqual({ ...callback, ...block, [CSP]: callback[CSP] }, callback)
})

const CALLBACK = { redirectUri: '/callback', callbackPage: true }

// claim: callback-5
test('pages of an app with a callback page keep no references to windows', () => {
  const opener = (config, options) => generate(config, options).page[OPENER]
  assert.equal(opener({}), 'same-origin-allow-popups')
  assert.equal(opener(CALLBACK), 'same-origin')
})

// claim: handler-4
test('pages of an app with a fallback keep no references to windows', () => {
  assert.equal(generate({}, { fallback: FALLBACK }).page[OPENER], 'same-origin')
})

// claim: handler-4
test('pages of an app with a fallback frame neither the app nor the provider', () => {
  const frames = (config, page = {}) =>
    sources(generate(config, { fallback: FALLBACK, page }).page, 'frame-src')
  assert.equal(frames(MEDIA), undefined)
  for (const source of ["'self'", 'https://id.example.com']) {
    assert.throws(() => frames({}, { 'frame-src': [source] }), {
      code: 'config_invalid',
      message: /fallback/,
    })
  }
})

const OPENER = 'Cross-Origin-Opener-Policy'
const POPUPS = { allowPopups: ['/checkout'] }

// claim: callback-5
test('only pages in allowPopups keep references to windows', () => {
  for (const config of [{}, CALLBACK]) {
    const { page, popups } = generate(config, POPUPS)
    assert.equal(page[OPENER], 'same-origin')
    assert.deepEqual(popups, { ...page, [OPENER]: 'same-origin-allow-popups' })
  }
  assert.deepEqual(generate(CALLBACK).popups, {})
  for (const options of [
    { allowPopups: true },
    { allowPopups: ['checkout'] },
    { allowPopups: ['/'] },
    { ...POPUPS, isolated: true },
    { allowPopups: ['/callback'] },
  ]) {
    assert.throws(() => generate(CALLBACK, options), { code: 'config_invalid' }, JSON.stringify(options))
  }
})

test('each host sends the headers of allowPopups at these paths only', () => {
  const config = { ...CONFIG, ...CALLBACK }
  const options = { ...OPTIONS, ...POPUPS }
  const { page, popups } = securityHeaders(config, options)
  const rules = nextHeaders(config, options)
  const matching = (path) => rules.filter(({ source }) => new RegExp(`^${source}$`).test(path))
  const openerAt = (path) =>
    matching(path).map(({ headers }) => headers.find(({ key }) => key === OPENER)?.value)
  assert.deepEqual(openerAt('/checkout'), ['same-origin-allow-popups'])
  assert.deepEqual(openerAt('/checkouts'), ['same-origin'])
  const removed = Object.keys(page).map((name) => `  ! ${name}\n`)
  const lines = Object.entries(popups).map(([name, value]) => `  ${name}: ${value}\n`)
  const block = `\n/checkout\n${removed.join('')}${lines.join('')}`
  assert.ok(cloudflareHeaders(config, options).includes(block))
  const { http } = nginxHeaders(config, options)
  assert.ok(http.includes('"~^/checkout(\\?|$)" /checkout;'), http)
  for (const file of ['/checkout', '/checkout.html', '/checkout/index.html']) {
    assert.ok(http.includes(`  ${file} "same-origin-allow-popups";`), file)
  }
  // Files have no headers there.
  assert.throws(() => netlifyHeaders(config, { ...options, documents: ['/', '/checkout'] }), {
    code: 'config_invalid',
    message: /Netlify/,
  })
})

test('Next gets no backslashes, because it removes them', () => {
  const apis = [{ url: 'https://api.example.com/v1/a:b' }]
  const list = nextHeaders({ ...CONFIG, apis }, OPTIONS).flatMap(({ headers }) =>
    headers.filter(({ key }) => key === 'Connection-Allowlist'),
  )
  assert.deepEqual(
    list.map(({ value }) => value),
    ['(response-origin "https://id.example.com" "https://api.example.com/v1/a*b*");redirects=allow'],
  )
})

// claim: callback-5
test('pages of an app with a callback page frame neither the app nor the provider', () => {
  const metadata = { authorization_endpoint: 'https://login.example.net/authorize' }
  const module = '/assets/strongroom_bg-BqTr3x9P.wasm'
  const refused = [
    ["'self'"],
    ["'Self'"],
    ['https://app.example.com/files/'],
    ['https://id.example.com'],
    // For WebKit, a source for sockets also admits pages.
    ['ws://id.example.com'],
    ['wss:'],
    ['HTTPS://ID.EXAMPLE.COM:443'],
    ['id.example.com:*'],
    ['*.example.com'],
    ['https://*.example.net'],
    ['*'],
    ['https:'],
    ['https://*'],
    ['https://video.example.org', 'https://login.example.net'],
  ]
  const accepted = [
    ["'none'"],
    ['https://video.example.org'],
    ['*.example.org', 'https://notexample.com'],
    ['blob:', 'data:'],
  ]
  const pages = (sources) => [
    { 'frame-src': sources },
    { 'child-src': sources },
    { 'object-src': sources },
    { 'default-src': sources },
    { 'default-src': sources, 'frame-src': ["'none'"] },
  ]
  for (const page of refused.flatMap(pages)) {
    for (const options of [{ metadata }, { metadata, module }]) {
      assert.throws(
        () => generate(CALLBACK, { page, ...options }),
        { code: 'config_invalid', message: /`frame-src`|`child-src`|`object-src`|`default-src`/ },
        JSON.stringify(page),
      )
    }
    generate({}, { page, metadata })
  }
  for (const page of accepted.flatMap(pages)) generate(CALLBACK, { page, metadata })
  // A directive that decides replaces those that would decide without it.
  const page = { 'default-src': ["'self'"], 'frame-src': ["'none'"], 'object-src': ["'none'"] }
  generate(CALLBACK, { page, metadata })
  generate(CALLBACK, { metadata, module })
})

test('nginx’s own error pages for the callback’s address have the headers of the callback page', () => {
  const { http } = nginxHeaders({ ...CONFIG, redirectUri: '/sign.in/callback', callbackPage: true }, OPTIONS)
  // `error_page` changes `$uri`. The address is too long for nginx if `$request_uri` is empty.
  const [, map] = /map \$request_uri \$strongroom_path \{\n([^}]*)\}/.exec(http)
  assert.equal(
    map,
    '  default $uri;\n  "" /sign.in/callback;\n  "~^/sign\\.in/callback(\\?|$)" /sign.in/callback;\n',
  )
  assert.match(http, /map \$strongroom_path \$strongroom_cross_origin_opener_policy \{/)
  assert.doesNotMatch(nginxHeaders(CONFIG, OPTIONS).http, /strongroom_path/)
})

test('Netlify’s file has each header once per path', () => {
  const { page, worker } = generate()
  const lines = (headers) =>
    Object.entries(headers)
      .map(([name, value]) => `  ${name}: ${value}\n`)
      .join('')
  assert.equal(
    netlifyHeaders(CONFIG, { ...OPTIONS, documents: ['/', '/orders/*'] }),
    `/\n${lines(page)}/orders/*\n${lines(page)}/auth.worker.js\n${lines(worker)}`,
  )
  netlifyHeaders(CONFIG, { ...OPTIONS, documents: ['/orders/:id', '/:folder/page', '/:folder/'] })
  assert.throws(() => netlifyHeaders(CONFIG, OPTIONS), {
    code: 'config_invalid',
    message: /`documents` is missing/,
  })
  const refused = [
    [OPTIONS.worker, '/*'],
    [OPTIONS.worker, '/auth.worker.js'],
    [OPTIONS.worker, '/:page'],
    ['/a/b.js', '/:folder/*'],
    ['/assets/', '/:folder/page'],
    ['/assets/', '/assets/page'],
    ['/assets/', '/assets/*'],
    ['/assets/', '/*'],
    [OPTIONS.worker, '/a b'],
    [OPTIONS.worker, '/a\n/b'],
  ]
  for (const [file, path] of refused) {
    const write = () => netlifyHeaders(CONFIG, { ...OPTIONS, worker: file, documents: [path] })
    assert.throws(write, { code: 'config_invalid' })
  }
})

test('nginx refuses encoded slashes in the worker’s folder only', () => {
  const { http, server } = nginxHeaders(CONFIG, { ...OPTIONS, worker: '/as.sets/' })
  assert.match(server, /if \(\$strongroom_outside\) \{ return 403; \}/)
  const [, pattern] = /"~\*(.+)" "1";/.exec(http)
  const refused = new RegExp(pattern, 'i')
  for (const path of [
    '/as.sets/..%2fup/evil.js',
    '/as.sets/..%5Cevil.js',
    '/%61s%2esets/x/..%2Fevil.js',
    '/as.sets%2f..%2Fup/evil.js',
    '/as%2Esets%2Fapp.js',
    '/as.sets/..%252fup/evil.js',
    '/as.sets/..%25255Cup/evil.js',
  ]) {
    assert.match(path, refused)
  }
  for (const path of ['/as.sets/app.js', '/asXsets/..%2fa', '/v1/as.sets/a%2fb', '/as.sets/app.js?at=%2f']) {
    assert.doesNotMatch(path, refused)
  }
  assert.doesNotMatch(nginxHeaders(CONFIG, OPTIONS).server, /outside/)
})

test('nginx’s configuration chooses by path', () => {
  const { page, worker } = generate()
  const { http, server } = nginxHeaders(CONFIG, { ...OPTIONS, serviceWorker: '/sw.js' })
  const map = (name) => new RegExp(`map \\$uri \\${name} \\{\n([^}]*)\\}`).exec(http)[1]
  assert.equal(
    map('$strongroom_content_security_policy').replace(/ https:\S+sw\.js/, ''),
    `  default "${page[CSP]}";\n  /auth.worker.js "${worker[CSP]}";\n`,
  )
  assert.equal(map('$strongroom_cache_control'), '  default "";\n  /auth.worker.js "no-cache";\n')
  assert.match(http, /"~\^script:\/sw\\\.js\$" "";/)
  assert.match(server, /^if \(\$strongroom_service_worker\) \{ return 403; \}\n/)
  for (const name of Object.keys({ ...page, ...worker })) {
    const variable = `$strongroom_${name.toLowerCase().replaceAll('-', '_')}`
    assert.ok(server.includes(`add_header ${name} ${variable} always;\n`), name)
    assert.ok(http.includes(`map $uri ${variable} {`), name)
  }
  const folder = nginxHeaders(CONFIG, { ...OPTIONS, worker: '/as.sets/' })
  assert.ok(folder.http.includes('  "~^/as\\.sets/" "'))
  const dollar = { ...OPTIONS, page: { 'script-src': ["'nonce-$x'"] } }
  assert.throws(() => nginxHeaders(CONFIG, dollar), { code: 'config_invalid' })
})

test('Cloudflare’s file has no line that Cloudflare ignores', () => {
  const apis = (count) => Array.from({ length: count }, (_, i) => ({ url: `https://api${i}.example.com/` }))
  const longest = (count) => {
    const file = cloudflareHeaders({ ...CONFIG, apis: apis(count) }, OPTIONS)
    return Math.max(...file.split('\n').map((line) => line.length))
  }
  assert.ok(longest(60) <= 2000)
  assert.throws(() => longest(80), { name: 'StrongroomError', code: 'config_invalid' })
})

test('a worker may import the files of the app that pages may start', () => {
  const own = ['https://app.example.com/auth.worker.js', 'https://app.example.com/strongroom/']
  const foreign = ['blob:', 'https://cdn.example.com']
  const { page, worker } = generate({}, { page: { 'worker-src': [own[1], ...foreign] } })
  assert.deepEqual(sources(worker, 'worker-src'), own)
  assert.deepEqual(sources(page, 'worker-src'), [...own, ...foreign])
})

test('a page under the worker’s headers cannot be framed', () => {
  const { worker } = generate({}, { worker: '/assets/' })
  for (const directive of ['frame-ancestors', 'base-uri', 'form-action']) {
    assert.deepEqual(sources(worker, directive), ["'none'"])
  }
})

test('the page’s policy admits the elements and downloads of media()', () => {
  const { page } = securityHeaders(MEDIA, { ...OPTIONS, page: { 'font-src': ["'self'"] } })
  const media = 'https://app.example.com/media/'
  assert.deepEqual(sources(page, 'media-src'), [media])
  assert.deepEqual(sources(page, 'frame-src'), [media])
  assert.deepEqual(sources(page, 'font-src'), ["'self'", media])
  assert.equal(sources(generate().page, 'media-src'), undefined)
  const withCallback = { ...MEDIA, callbackPage: true, redirectUri: '/callback' }
  assert.equal(sources(securityHeaders(withCallback, OPTIONS).page, 'frame-src'), undefined)
  const bad = { ...CONFIG, apis: [{ ...CONFIG.apis[0], media: '/media' }] }
  assert.throws(() => securityHeaders(bad, OPTIONS), { code: 'config_invalid' })
})

test('nginx has nothing at the addresses of media()', () => {
  assert.match(nginxHeaders(MEDIA, OPTIONS).server, /^location \^~ \/media\/ \{ return 404; \}$/m)
  assert.doesNotMatch(nginxHeaders(CONFIG, OPTIONS).server, /location/)
})

const CLIENT = {
  clientId: 'https://app.example.com/client.json',
  redirectUri: '/callback',
  scope: 'atproto transition:generic',
  dpop: true,
}

const describeClient = (config = {}, names = {}) =>
  clientMetadata({ ...CLIENT, ...config }, { name: 'The app', ...names })

test('the document of a client states its configuration', () => {
  const names = { logoUri: 'https://cdn.example.com/logo.png', tosUri: 'https://app.example.com/terms' }
  assert.deepEqual(describeClient({ loginScopes: ['email', 'atproto'] }, names), {
    client_id: 'https://app.example.com/client.json',
    client_name: 'The app',
    client_uri: 'https://app.example.com/',
    logo_uri: 'https://cdn.example.com/logo.png',
    tos_uri: 'https://app.example.com/terms',
    application_type: 'web',
    redirect_uris: ['https://app.example.com/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: 'atproto transition:generic email',
    token_endpoint_auth_method: 'none',
    dpop_bound_access_tokens: true,
  })
})

test('the document of a client has no scope if none is requested', () => {
  assert.ok(!('scope' in describeClient({ scope: '' })))
  const { grant_types: grants } = describeClient({ deviceFlow: true })
  assert.equal(grants.at(-1), 'urn:ietf:params:oauth:grant-type:device_code')
})

test('the redirect URI of a shell makes a native client', () => {
  for (const redirectUri of ['com.example.app:/callback', 'http://127.0.0.1/callback']) {
    const document = describeClient({ redirectUri, customLogin: true })
    assert.equal(document.application_type, 'native')
    assert.deepEqual(document.redirect_uris, [redirectUri])
  }
  const elsewhere = 'https://id.chromiumapp.org/callback'
  const document = describeClient({ redirectUri: elsewhere, customLogin: true })
  assert.deepEqual([document.application_type, document.redirect_uris], ['web', [elsewhere]])
})

const REFUSED_CLIENTS = [
  'spa',
  'http://app.example.com/client.json',
  'http://localhost/client.json',
  'https://app.example.com',
  'https://app.example.com/',
  'https://app.example.com/a/../client.json',
  'https://app.example.com:443/client.json',
  'https://APP.example.com/client.json',
  'https://user@app.example.com/client.json',
  'https://app.example.com/client.json#',
]

for (const clientId of REFUSED_CLIENTS) {
  test(`a client has no document: ${clientId}`, () => {
    assert.throws(() => describeClient({ clientId }), { code: 'config_invalid', message: /`clientId` is/ })
  })
}

const CONTRADICTIONS = {
  name: [{}, { name: '' }],
  uri: [{}, { uri: 'https://www.example.com/' }],
  logoUri: [{}, { logoUri: 'http://app.example.com/logo.png' }],
  policyUri: [{}, { policyUri: '/privacy' }],
  origin: [{}, { origin: 'http://app.example.com' }],
  'redirectUri, relative': [{ redirectUri: 'callback' }],
  'redirectUri, of another host': [{ redirectUri: '//evil.example/callback' }],
  'redirectUri, of another origin': [{ redirectUri: 'https://other.example.com/callback' }],
  'redirectUri, on loopback': [{ redirectUri: 'http://127.0.0.1/callback' }],
  'redirectUri, with another scheme': [{ redirectUri: 'com.example.other:/callback', customLogin: true }],
  'redirectUri, on a named loopback': [{ redirectUri: 'http://localhost/callback', customLogin: true }],
  'redirectUri, with a fragment': [{ redirectUri: '/callback#a' }],
}

for (const [what, [config, names]] of Object.entries(CONTRADICTIONS)) {
  test(`a document that contradicts itself is refused: ${what}`, () => {
    const name = new RegExp(`\`${what.split(',')[0]}\` is`)
    assert.throws(() => describeClient(config, names), { code: 'config_invalid', message: name })
  })
}

test('the document may be on another origin than the worker', () => {
  const { redirect_uris: uris } = describeClient({}, { origin: 'https://spa.example.com' })
  assert.deepEqual(uris, ['https://spa.example.com/callback'])
})
