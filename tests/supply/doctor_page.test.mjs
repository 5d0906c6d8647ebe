// `strongroom doctor`: for each line about page and worker, a deployment that is broken in exactly this way.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { assertFault, configFile, doctor, escaped, startDeployment } from '../support/doctor.mjs'
import { listen } from '../support/listen.mjs'

let deployment, site, file, healthy
before(async () => {
  deployment = await startDeployment()
  site = deployment.site
  file = await configFile(deployment.config)
  healthy = site.pageCsp
})
after(() => deployment.close())

/** A page with a script. */
const SCRIPTED = '<!doctype html><title>App</title><script src="/app.js"></script>'

/** A deployment with a service worker, and with this callback page, whose script has this code. */
const besideServiceWorker = (tags, code) => ({
  config: { callbackPage: true },
  headers: { 'Cross-Origin-Opener-Policy': 'same-origin' },
  home: SCRIPTED,
  routes: {
    '/app.js': {
      body: "navigator.serviceWorker.register('/sw.js')",
      headers: { 'Content-Type': 'text/javascript' },
    },
    '/callback': {
      body: `<!doctype html><title>Signing in</title>${tags}`,
      headers: { 'Content-Type': 'text/html', 'Cache-Control': 'no-store' },
    },
    '/callback.js': { body: code, headers: { 'Content-Type': 'text/javascript' } },
  },
})

/** Returns the policy of the worker's file. */
const workerPolicy = () =>
  `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${deployment.provider.issuer} ${deployment.api.origin}`

const HOME = '<!doctype html><title>App</title>'

/** Runs the doctor while the site is changed. */
const look = async ({
  policy,
  headers = {},
  worker,
  module,
  file: changed = (bytes) => bytes,
  routes = {},
  config,
  home = HOME,
  args = [],
}) => {
  site.files['/index.html'] = home
  if (policy) site.pageCsp = policy(healthy)
  site.headers = {
    '/index.html': headers,
    '/auth.worker.js': { ...worker },
    '/strongroom_bg.wasm': { ...module },
  }
  const whole = site.files['/strongroom_bg.wasm']
  site.files['/strongroom_bg.wasm'] = changed(whole)
  const undo = Object.entries(routes).map(([path, change]) => site.override(path, change))
  const own = config ? await configFile({ ...deployment.config, ...config }) : file
  try {
    return await doctor(site.origin, '--config', own, ...args)
  } finally {
    site.pageCsp = healthy
    site.headers = {}
    site.files['/strongroom_bg.wasm'] = whole
    for (const one of undo) one()
  }
}

/** The lines about page, worker and configuration that the healthy deployment has. */
const HEALTHY = {
  'config.valid': 'ok',
  'page.found': 'ok',
  'page.secure': 'ok',
  'page.policy': 'ok',
  'page.syntax': 'ok',
  'page.script-src': 'ok',
  'page.scripts': 'ok',
  'page.wasm-unsafe-eval': 'ok',
  'page.connect-src': 'ok',
  'page.worker-src': 'ok',
  'page.base-uri': 'ok',
  'page.form-action': 'ok',
  'page.frame-ancestors': 'ok',
  'page.trusted-types': 'unused',
  'page.opener': 'ok',
  'page.referrer-policy': 'ok',
  'page.nosniff': 'ok',
  'page.cache': 'ok',
  'page.clear-site-data': 'ok',
  'page.isolated': 'unused',
  'page.service-worker': 'ok',
  'page.callback': 'ok',
  'page.callback-headers': 'unused',
  'page.exits': 'unused',
  'page.media': 'unused',
  'worker.file': 'ok',
  'worker.policy': 'ok',
  'worker.syntax': 'ok',
  'worker.wasm-unsafe-eval': 'ok',
  'worker.script-src': 'ok',
  'worker.connect-src': 'ok',
  'worker.allowlist': 'unused',
  'worker.cache': 'ok',
  'worker.nosniff': 'ok',
  'worker.embedder': 'unused',
  'worker.module': 'ok',
  'worker.module-cache': 'ok',
}

const ofPage = ({ lines }) => lines.filter(({ id }) => /^(config|page|worker)\./.test(id))

test('a deployment in which everything is right', async () => {
  const report = await look({})
  assert.deepEqual(Object.fromEntries(ofPage(report).map(({ id, result }) => [id, result])), HEALTHY)
})

test('the core judges every kind of configuration', async () => {
  const { apis } = deployment.config
  for (const config of [
    { session: { persist: 'sealed' } },
    { session: { persist: 'escrow' } },
    { dpop: true },
    { deviceFlow: true, inspect: true, reasons: true },
    { apis: [{ ...apis[0], webSocket: { token: 'protocol' } }] },
    { customLogin: true, redirectUri: 'com.example.app:/callback' },
  ]) {
    const { by } = await look({ config })
    assert.equal(by['config.valid'].result, 'ok', JSON.stringify([config, by['config.valid']]))
  }
  for (const [config, fault] of [
    [{ issuer: 'http://id.example.com' }, /`issuer`/],
    [
      { redirectUri: 'https://other.example.com/' },
      /`redirectUri` is .*: it must be on the origin that serves the worker file/,
    ],
    [{ apis: [{ url: 'https://api.example.com/v1' }] }, /`apis\[0\]\.url`/],
    [{ session: { idle: -1 } }, /`session\.idle`/],
  ]) {
    const { by } = await look({ config })
    assert.match(by['config.valid'].seen, fault)
  }
})

const without = (name) => (policy) => policy.replace(new RegExp(`${name} [^;]*(; |$)`), '')
const replaced = (from, to) => (policy) => policy.replace(from, to)
/** A policy in which `script-src` decides about workers, too. */
const onlyScripts = (sources) => (policy) =>
  without('worker-src')(policy).replace("script-src 'self'", `script-src ${sources}`)
const WASM = { 'Content-Type': 'application/wasm' }
const ISOLATED = {
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Opener-Policy': 'same-origin',
}

/** Returns a regular expression for a policy that contains exactly this directive. */
const sets = (directive) =>
  new RegExp(`^(?!.*script-src-elem)Content-Security-Policy: .*${escaped(directive)}(;|$| \\(nonce-)`)

const NAMED = ['--worker', '/auth.worker.js']
const CSP = 'Content-Security-Policy'
const OPENER = 'Cross-Origin-Opener-Policy'
const JS = { 'Content-Type': 'text/javascript' }
const EMBEDDER = { 'Cross-Origin-Embedder-Policy': 'require-corp' }
const HTML = { 'Content-Type': 'text/html' }
/** The fixes for the sources of scripts and workers, and for the worker's policy. */
const SCRIPTS = sets("script-src 'self'")
const WORKER = sets('worker-src SITE/auth.worker.js')
const RUNS = sets("script-src 'self' 'wasm-unsafe-eval'")
const CONNECTS = sets("connect-src 'self' HOST HOST")

/** Returns a policy in which a directive is this one, or that has `no` such directive. */
const having = (directive) => (policy) => {
  const [, no, name] = /^(no )?(\S+)/.exec(directive)
  const others = without(name)(policy).replace(/; $/, '')
  return no ? others : `${directive.replace('SITE', site.origin)}; ${others}`
}

/** A policy with one fault: its line, the directive that is wrong, what fixes it, and more changes. */
const ofPolicy = ([id, directive, fix, { seen = directive, also, ...changes } = {}]) => {
  const policy = having(directive)
  return [
    id,
    { ...(id.startsWith('page') ? { policy } : { workerPolicy: policy }), ...changes },
    seen,
    fix,
    also,
  ]
}

/** A header with one fault: its line, the header that is wrong, and what fixes it. */
const ofHeader = ([id, header, fix, also]) => {
  const [, name, value = null] = /^(?:no )?([\w-]+)(?:: (.*))?$/.exec(header)
  return [id, { [id.startsWith('page') ? 'headers' : 'worker']: { [name]: value } }, header, fix, also]
}

const TYPED = "require-trusted-types-for 'script'"
const STARTED = { home: SCRIPTED, routes: { '/app.js': { body: 'start()', headers: JS } } }
const OWN = /^script-src 'self', or the nonce of each response/
const ADD_WORKER = "add --worker PATH with the path of your worker's file, and this line has "

/**
 * Deployments with one fault: the line that reports it, the change, what was seen, and the line that fixes it. `also` has
 * the lines that the same change makes wrong.
 */
const BROKEN = [
  ...[
    ['page.script-src', "script-src 'self' 'unsafe-eval'", SCRIPTS],
    ['page.script-src', 'script-src https:', SCRIPTS],
    ['page.script-src', 'script-src-elem *', SCRIPTS],
    [
      'page.scripts',
      "script-src 'nonce-abc'",
      OWN,
      { home: SCRIPTED, seen: /^\/app\.js with script-src 'nonce-abc'$/ },
    ],
    [
      'page.scripts',
      "script-src-elem 'nonce-abc'",
      OWN,
      { home: SCRIPTED, seen: "/app.js with script-src-elem 'nonce-abc'" },
    ],
    ['page.wasm-unsafe-eval', "script-src 'self' 'wasm-unsafe-eval'", SCRIPTS],
    ['page.connect-src', 'connect-src *', sets("connect-src 'none'")],
    ['page.worker-src', "worker-src 'self'", WORKER, { args: NAMED }],
    ['page.worker-src', "worker-src 'self'", `${ADD_WORKER}worker-src with this file`],
    ['page.worker-src', 'worker-src SITE/auth.worker.js blob:', WORKER],
    ['page.worker-src', 'worker-src SITE/old.worker.js', WORKER, { args: NAMED }],
    ['page.base-uri', 'no base-uri', sets("base-uri 'none'")],
    ['page.form-action', 'no form-action', sets("form-action 'self'")],
    ['page.frame-ancestors', 'no frame-ancestors', sets("frame-ancestors 'none'")],
    ['page.sandbox', 'sandbox allow-scripts', /allow-same-origin/],
    ['page.trusted-types', TYPED, /by a policy, as docs\/headers\.md shows/, STARTED],
    ['worker.wasm-unsafe-eval', "script-src 'self'", RUNS],
    ['worker.script-src', "script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'", RUNS],
    ['worker.script-src', "script-src-elem 'self' https:", RUNS],
    ['worker.connect-src', 'connect-src https: http:', CONNECTS],
  ].map(ofPolicy),
  ...[
    ['page.opener', `no ${OPENER}`, `${OPENER}: same-origin-allow-popups`],
    ['page.opener', `${OPENER}: unsafe-none`, `${OPENER}: same-origin-allow-popups`],
    [
      'page.opener',
      `${OPENER}: same-origin, same-origin`,
      / \(once: browsers ignore it if two layers send it\)$/,
    ],
    ['page.referrer-policy', 'no Referrer-Policy', 'Referrer-Policy: no-referrer'],
    ['page.referrer-policy', 'Referrer-Policy: unsafe-url', 'Referrer-Policy: no-referrer'],
    ['page.referrer-policy', 'Referrer-Policy: no-referrer, unsafe-url', 'Referrer-Policy: no-referrer'],
    ['page.nosniff', 'no X-Content-Type-Options', 'X-Content-Type-Options: nosniff'],
    ['page.cache', 'Cache-Control: public, max-age=31536000', /^Cache-Control: no-cache/],
    // The same file is the page at the redirect URI.
    [
      'page.clear-site-data',
      'Clear-Site-Data: "cache", "storage"',
      /^no .* with pages of the app/,
      /callback-data/,
    ],
    ['worker.data', 'Clear-Site-Data: "storage"', /^no Clear-Site-Data with \/auth\.worker\.js: /],
    [
      'worker.policy',
      `no ${CSP}`,
      `${CSP}: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' HOST HOST…`,
    ],
    [
      'worker.cache',
      'Cache-Control: public, max-age=3600',
      'Cache-Control: no-cache (for /auth.worker.js only. If you have this line, …: put it last)',
    ],
    ['worker.nosniff', 'no X-Content-Type-Options', 'X-Content-Type-Options: nosniff'],
  ].map(ofHeader),
  [
    'page.script-src',
    { policy: (policy) => without('script-src')(without('default-src')(policy)) },
    'no script-src',
    SCRIPTS,
    /page\.connect-src/,
  ],
  [
    'page.worker-src',
    { policy: onlyScripts("'nonce-a1b2'") },
    "script-src 'nonce-a1b2'",
    /^add --worker PATH/,
  ],
  [
    'page.worker-src',
    { policy: onlyScripts("'nonce-a1b2'"), args: NAMED },
    "script-src 'nonce-a1b2'",
    WORKER,
  ],
  [
    'page.worker-src',
    { policy: (policy) => `worker-src 'none', ${policy}`, args: NAMED },
    "worker-src 'none', and in another policy: worker-src SITE/auth.worker.js",
    `${CSP}: … (as the only policy: the page has 2, in headers or in <meta>, …`,
    /page\./,
  ],
  [
    'page.syntax',
    { policy: () => 'script-src self; worker-src self', args: NAMED },
    /none of these/,
    `${CSP}: script-src 'self'; worker-src 'self'`,
  ],
  [
    'page.syntax',
    { policy: () => "script-src 'self' script-src-elem 'self'" },
    /none of these/,
    `${CSP}: script-src 'self'; script-src-elem 'self'`,
  ],
  [
    'page.trusted-types',
    { policy: (policy) => `${policy}; ${TYPED}; trusted-types 'none'` },
    "trusted-types 'none'",
    sets('trusted-types auth-worker'),
  ],
  [
    'worker.syntax',
    { workerPolicy: (policy) => policy.replaceAll(';', '') },
    /none of these/,
    `${CSP}: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' HOST HOST`,
  ],
  [
    'worker.policy',
    { workerPolicy: (policy) => `${policy}, default-src 'self'` },
    /'wasm-unsafe-eval'.*, default-src 'self'$/,
    `only this one: ${CSP}: default-src 'none'; script-src 'self' 'wasm-unsafe-eval';…`,
  ],
  ['worker.connect-src', { workerPolicy: replaced(/ \S+$/, '') }, "connect-src 'self' HOST", CONNECTS],
  [
    'worker.connect-src',
    { workerPolicy: replaced(/$/, ' https://stats.example.com') },
    /stats\.example\.com/,
    CONNECTS,
  ],
  ['worker.connect-src', { workerPolicy: replaced(/$/, '/v2/') }, /\/v2\/$/, CONNECTS],
  ['worker.module', { module: HTML }, 'Content-Type: text/html', /^Content-Type: application\/wasm \(/],
  [
    'config.valid',
    { config: { clientID: 'x' } },
    /`clientID`: there is no such option \(did you mean `clientId`\?\)/,
    /correct/,
    /./,
  ],
  [
    'config.valid',
    { config: { apis: [{ url: 'https://*.example.com/' }] } },
    /a Content-Security-Policy cannot name this host|`apis\[0\]\.url`/,
    /correct/,
    /./,
  ],
  [
    'page.found',
    { routes: { '/': { status: 404 } } },
    /^404 text\/html/,
    /let the server send the app's page/,
    /./,
  ],
  [
    'page.policy',
    { headers: { [CSP]: null }, args: NAMED },
    `no ${CSP}`,
    `${CSP}: default-src 'none'; …worker-src SITE/auth.worker.js;…`,
  ],
  [
    'page.policy',
    { headers: { [CSP]: null, [`${CSP}-Report-Only`]: "default-src 'none'" } },
    /Report-Only, which blocks nothing/,
    `${ADD_WORKER}the whole policy`,
  ],
  [
    'page.callback-data',
    { routes: { '/callback': { headers: { 'Clear-Site-Data': '"*"' } } } },
    'Clear-Site-Data: "*"',
    /^no Clear-Site-Data with \/callback: /,
  ],
  [
    'page.isolated',
    { headers: EMBEDDER, worker: EMBEDDER },
    /same-origin-allow-popups/,
    `${OPENER}: same-origin`,
  ],
  [
    'page.callback',
    { routes: { '/callback': { status: 404 } } },
    /^404 .* for \/callback\?code=/,
    /for \/callback with any query, with status 200/,
  ],
  [
    'page.worker-src',
    {
      home: SCRIPTED,
      routes: {
        '/app.js': { body: 'new Worker("/next.worker.js")', headers: JS },
        '/next.worker.js': { body: 'strongroom', headers: JS },
      },
    },
    'worker-src SITE/auth.worker.js',
    sets('worker-src SITE/next.worker.js'),
  ],
  [
    'page.callback-headers',
    { config: { callbackPage: true }, headers: { [OPENER]: 'same-origin' } },
    'Cache-Control: no-cache',
    'Cache-Control: no-store',
  ],
  [
    'page.callback-page',
    {
      config: { callbackPage: true },
      headers: { [OPENER]: 'same-origin', 'Cache-Control': 'no-store' },
      home: '<!doctype html><script type="module" src="/assets/index.js"></script>',
    },
    'the same scripts as /: SITE/assets/index.js',
    'let the server send callback.html, which calls finishLogin(), for /callback',
  ],
  [
    'page.callback-integrity',
    besideServiceWorker('<script type="module" src="/callback.js"></script>', 'finishLogin()'),
    '<script type="module" src="/callback.js">',
    /^integrity="sha384-[\w+/]{64}" in this tag$/,
  ],
  [
    'worker.file',
    { routes: { '/auth.worker.js': { status: 404 } } },
    /^404 .* for \/auth\.worker\.js$/,
    /let the server send the worker's file/,
  ],
  ['worker.file', { worker: HTML }, /^200 text\/html/, /not a page/],
  [
    'worker.file',
    { worker: { 'Content-Type': 'application/octet-stream' } },
    /octet-stream/,
    /^Content-Type: text\/javascript/,
  ],
  [
    'worker.embedder',
    { headers: ISOLATED },
    'no Cross-Origin-Embedder-Policy',
    'Cross-Origin-Embedder-Policy: require-corp',
  ],
  [
    'worker.module',
    { routes: { '/strongroom_bg.wasm': { body: 'AGFzbQEAAAA', headers: WASM } } },
    '11 bytes, which begin with "AGFzbQEA"',
    /^let the server send the bytes of the file unchanged/,
  ],
  [
    'worker.module',
    { file: (bytes) => bytes.subarray(0, 200_000) },
    /^200000 bytes, which begin with "\\u0000asm/,
    /unchanged and to the end: .* \(none\)$/,
  ],
  [
    'worker.module',
    { module: { 'Content-Encoding': 'br' } },
    /^0 bytes/,
    /the Content-Encoding that they have \(br\)$/,
  ],
  [
    'worker.module',
    { file: (bytes) => gzipSync(bytes).subarray(0, 90_000), module: { 'Content-Encoding': 'gzip' } },
    /^\d+ bytes, which begin with "\\u0000asm/,
    /\(gzip\)$/,
  ],
  [
    'worker.module',
    { routes: { '/strongroom_bg.wasm': { status: 404 } } },
    /^404 .* for \/strongroom_bg\.wasm$/,
    /let the server send strongroom_bg\.wasm/,
  ],
  [
    'worker.module',
    { routes: { '/strongroom_bg.wasm': { status: 200, body: '<!doctype html>', headers: HTML } } },
    /^200 text\/html/,
    /let the server send strongroom_bg\.wasm/,
  ],
]

for (const [id, { workerPolicy: change, ...changes }, seen, fix, also = undefined] of BROKEN) {
  test(`${id}: ${seen} ${JSON.stringify(changes)}`, async () => {
    const worker = change ? { worker: { 'Content-Security-Policy': change(workerPolicy()) } } : {}
    assertFault(await look({ ...changes, ...worker }), id, seen, fix, (one) => also?.test(one))
  })
}

/** What is slower than it could be: the line, the change, what was seen, and the line that makes it faster. */
const SLOW = [
  [
    'worker.module',
    { module: { 'Content-Type': 'application/octet-stream' } },
    /octet-stream/,
    /^Content-Type: application\/wasm \(.*: application\/wasm wasm;\)$/,
  ],
  [
    'worker.module-cache',
    { module: { 'Cache-Control': 'no-store' } },
    /no-store/,
    /^Cache-Control: no-cache$/,
  ],
]

for (const [id, changes, seen, fix] of SLOW) {
  test(`${id} ${JSON.stringify(changes)} is slower, and no fault`, async () => {
    const report = await look(changes)
    const line = report.by[id]
    assert.equal(line.result, 'slow')
    assert.match(line.seen, seen)
    assert.match(line.fix, fix)
    assert.equal(report.counts.slow, 1)
    assert.equal(report.status, 0)
  })
}

test('page.secure: a page over plain http', async () => {
  // No test server has a public address over http, so the doctor's request is refused, and the page is given.
  const { load } = await import('../support/page_module.mjs')
  const { findPage, Report } = await load('doctor/page-found.ts', 'doctor/report.ts')
  const report = new Report()
  const url = new URL('http://app.example.com/')
  const header = (name) => ({ 'content-type': 'text/html' })[name]
  const page = { url: url.href, status: 200, header, cookies: [], head: '', body: '' }
  findPage({ options: { url }, report, origin: url.origin, policies: [], page }, false)
  const line = report.lines.find(({ id }) => id === 'page.secure')
  assert.equal(line.result, 'fault')
  assert.equal(line.fix, 'let the server redirect http://app.example.com to https://app.example.com')
})

test('page.service-worker: every file may be registered', async () => {
  site.serviceWorkers.push('/auth.worker.js')
  const args = ['--worker', '/auth.worker.js']
  try {
    for (const source of [site.origin, `${site.origin}/`, "'self'"]) {
      const { by } = await look({ policy: replaced(/worker-src [^;]*/, `worker-src ${source}`), args })
      assert.equal(by['page.service-worker'].result, 'fault', source)
      assert.match(by['page.service-worker'].fix, /respond with 403/)
      assert.equal(by['page.worker-src'].result, 'fault', source)
    }
    assert.equal((await look({})).by['page.service-worker'].result, 'ok', 'worker-src alone prevents it')
  } finally {
    site.serviceWorkers.length = 0
  }
})

test('a folder in worker-src is right, and the worker’s file is then named by --worker', async () => {
  const policy = replaced('/auth.worker.js', '/assets/')
  for (const path of ['/assets/auth.worker-B1c2D3e4.js', '/assets/strongroom_bg.wasm']) {
    site.files[path] = site.files[path.replace('-B1c2D3e4', '').replace('/assets', '')]
  }
  const worker = '/assets/auth.worker-B1c2D3e4.js'
  site.workers.push(worker)
  const { by } = await look({ policy })
  assert.equal(by['worker.file'].result, 'unseen')
  const report = await look({ policy, args: ['--worker', worker] })
  assert.deepEqual(
    ofPage(report).filter(({ result }) => !/ok|unused/.test(result)),
    [],
  )
  assert.match(report.by['worker.cache'].text, /has a hash/)
})

test('a service worker beside a folder is not taken for the vault’s file', async () => {
  const worker = '/assets/auth.worker-B1c2D3e4.js'
  site.files[worker] = `${site.files['/auth.worker.js']}// strongroom`
  site.files['/assets/strongroom_bg.wasm'] = site.files['/strongroom_bg.wasm']
  site.files['/app.js'] =
    `navigator.serviceWorker?.register(x?"/sw.js":"/src/sw.ts",{});var auth=()=>new SharedWorker(new URL("${worker}",import.meta.url))`
  site.workers.push(worker)
  const lookWith = async (sources) =>
    (await look({ home: SCRIPTED, policy: replaced(/worker-src [^;]*/, `worker-src ${sources}`) })).by
  try {
    const right = await lookWith(`${site.origin}/assets/ ${site.origin}/sw.js`)
    assert.equal(right['worker.file'].text, `${worker} is a script`)
    site.serviceWorkers.push(worker, '/app.js')
    const open = await lookWith("'self'")
    const both = `worker-src ${site.origin}${worker} ${site.origin}/sw.js;`
    assert.ok(open['page.worker-src'].fix.includes(both), open['page.worker-src'].fix)
    assert.match(open['page.service-worker'].fix, /Service-Worker: script, except for \/sw\.js$/)
  } finally {
    site.serviceWorkers.length = 0
    site.workers.pop()
    delete site.files['/app.js']
  }
})

test('worker.module: the line names the file', async () => {
  const { by } = await look({ module: { 'Content-Type': 'application/octet-stream' } })
  assert.match(by['worker.module'].text, /^\/strongroom_bg\.wasm is not application\/wasm, so /)
})

test('worker.module-cache: a hint needs a module that browsers keep', async () => {
  const headers = { Link: '</strongroom_bg.wasm>; rel=prefetch; as=fetch; crossorigin' }
  const { by } = await look({ headers })
  assert.equal(by['worker.module-cache'].result, 'slow')
  assert.match(by['worker.module-cache'].text, /twice/)
  const kept = await look({ headers, module: { 'Cache-Control': 'public, max-age=31536000, immutable' } })
  assert.equal(kept.by['worker.module-cache'].result, 'ok')
})

test('what is as strict in another way is right', async () => {
  for (const changes of [
    { headers: { 'Referrer-Policy': 'same-origin' } },
    { headers: { 'Cross-Origin-Opener-Policy': 'same-origin' } },
    { headers: { 'Cross-Origin-Opener-Policy': 'same-origin; report-to="coop"' } },
    { policy: (policy) => `${policy}, default-src *` },
    {
      policy: replaced("script-src 'self'", "script-src 'nonce-abc'; script-src-elem 'self'"),
      home: SCRIPTED,
    },
    { policy: replaced('worker-src', 'child-src') },
    // Two layers send these, or a browser does not know a value.
    { headers: { 'X-Content-Type-Options': ['nosniff', 'nosniff'] } },
    { headers: { 'Referrer-Policy': ['same-origin', 'a-policy-of-tomorrow'] } },
    { policy: without('frame-ancestors'), headers: { 'X-Frame-Options': ['DENY', 'DENY'] } },
    { file: gzipSync, module: { 'Content-Encoding': 'gzip' } },
    { file: brotliCompressSync, module: { 'Content-Encoding': 'br' } },
    { policy: (policy) => `${policy}; require-trusted-types-for 'script'; trusted-types auth-worker` },
    { policy: without('frame-ancestors'), headers: { 'X-Frame-Options': 'DENY' } },
    { worker: { 'Cache-Control': 'public, max-age=0, must-revalidate' } },
    { headers: ISOLATED, worker: { 'Cross-Origin-Embedder-Policy': 'require-corp' } },
  ]) {
    const report = await look(changes)
    assert.deepEqual(
      ofPage(report).filter(({ result }) => !/ok|unused/.test(result)),
      [],
      JSON.stringify(changes),
    )
  }
})

test('page.frames: with a callback page, a frame must show neither the app nor the provider', async () => {
  const routes = {
    '/callback': { headers: { 'Cache-Control': 'no-store', 'Cross-Origin-Opener-Policy': 'same-origin' } },
  }
  const config = { callbackPage: true }
  for (const source of ["'self'", deployment.provider.issuer, 'http:']) {
    const { by } = await look({ config, routes, policy: (policy) => `${policy}; frame-src ${source}` })
    assert.equal(by['page.frames'].result, 'fault', source)
    assert.match(by['page.frames'].fix, /; frame-src 'none'$/)
  }
  const right = await look({
    config,
    routes,
    policy: (policy) => `${policy}; frame-src https://maps.example.com`,
  })
  assert.equal(right.by['page.frames'].result, 'ok')
})

test('with a callback page, a reference to windows of other sites is a fault', async () => {
  const config = { callbackPage: true }
  const { by } = await look({
    config,
    routes: {
      '/callback': { headers: { 'Cache-Control': 'no-store', 'Cross-Origin-Opener-Policy': 'same-origin' } },
    },
  })
  assert.equal(by['page.opener'].result, 'fault')
  assert.equal(by['page.callback-headers'].result, 'ok')
})

test('a policy in the page’s HTML counts, without frame-ancestors', async () => {
  const policy = healthy.replaceAll('"', '&quot;')
  const body = `<!doctype html><meta http-equiv="Content-Security-Policy" content="${policy}">`
  const { by } = await look({ routes: { '/': { body, headers: { 'Content-Security-Policy': null } } } })
  assert.equal(by['page.worker-src'].result, 'ok')
  assert.equal(by['page.frame-ancestors'].result, 'fault')
})

/** Scripts of a page that create the worker, as bundlers write them. */
const CREATIONS = {
  'of Vite': 'const a=()=>new SharedWorker(new URL("/auth.worker.js",import.meta.url),{type:"module"})',
  'of Vite with a relative base':
    'new Worker(new URL(""+new URL("../auth.worker.js",import.meta.url).href,import.meta.url))',
  'that keeps the address in a variable': "const file = new URL('/auth.worker.js', location.href).href",
  'beside another worker':
    'new Worker(new URL("/pdf.worker.js",import.meta.url));new SharedWorker("/auth.worker.js")',
}
for (const [name, script] of Object.entries(CREATIONS)) {
  test(`the worker's path comes from a script ${name}`, async () => {
    const home = '<!doctype html><script type="module" src="/assets/index.js"></script>'
    const js = { 'Content-Type': 'text/javascript' }
    const routes = {
      '/assets/index.js': { body: script, headers: js },
      '/pdf.worker.js': { body: 'onmessage=0', headers: js },
    }
    const { by } = await look({ headers: { 'Content-Security-Policy': null }, home, routes })
    assert.match(by['page.policy'].fix, /worker-src http:\/\/localhost:\d+\/auth\.worker\.js;/)
    assert.equal(by['worker.file'].result, 'ok')
  })
}

test('neither a page in place of a missing file nor a chunk of the page is the worker', async () => {
  const js = { 'Content-Type': 'text/javascript' }
  const routes = {
    '/assets/index.js': {
      body: 'const chunks=["assets/workers-B1.js"];import("./worker-failure-A1.js")',
      headers: js,
    },
    '/assets/assets/workers-B1.js': { body: '<title>strongroom', headers: { 'Content-Type': 'text/html' } },
    '/assets/worker-failure-A1.js': { body: 'strongroom', headers: js },
  }
  const home = '<!doctype html><script type="module" src="/assets/index.js"></script>'
  const { by } = await look({ home, routes })
  assert.equal(by['page.worker-src'].result, 'ok', by['page.worker-src'].text)
})

test('worker.allowlist: the list must have what the worker requests, by path', async () => {
  const { issuer } = deployment.provider
  const api = deployment.config.apis[0].url
  const listed = async (list) =>
    (await look({ worker: { 'Connection-Allowlist': list } })).by['worker.allowlist']
  for (const list of [
    `(response-origin "${issuer}" "${api}*")`,
    `("${issuer}/*" "${new URL(api).origin}");redirects=allow`,
  ])
    assert.equal((await listed(list)).result, 'ok', list)
  for (const [list, refused] of [
    ['(response-origin)', /stops the worker's requests to http.* and http/],
    [`(response-origin "${issuer}" "${api}other/*")`, /\/v1\/doctor$/],
    [`(response-origin "${issuer}\\\\?*" "${api}*")`, /\/token/],
  ]) {
    const line = await listed(list)
    assert.equal(line.result, 'fault', list)
    assert.match(line.text, refused)
    assert.match(line.fix, /^Connection-Allowlist: \(response-origin "/)
  }
})

test('page.callback: some hosts send the app with 404 for a path without a file', async () => {
  const routes = { '/callback': { status: 404, body: SCRIPTED, headers: { 'Content-Type': 'text/html' } } }
  const { by } = await look({ home: SCRIPTED, routes })
  assert.equal(by['page.callback'].result, 'ok')
})

test('page.others: a policy on the first page only', async () => {
  const server = await listen({
    handler: ({ url }, response) =>
      response
        .writeHead(200, {
          'Content-Type': 'text/html',
          ...(url === '/' && { 'Content-Security-Policy': "default-src 'self'" }),
        })
        .end(SCRIPTED),
  })
  const { by } = await doctor(server.origin)
  await server.close()
  assert.equal(by['page.others'].result, 'fault')
  assert.match(by['page.others'].fix, /with each path of the app/)
})

const LIST = 'Connection-Allowlist'

/** Returns the headers of a page with the option `exits`. */
const withList = async (config = {}) => {
  const { provider } = deployment
  const metadata = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json()
  const options = { origin: site.origin, worker: '/auth.worker.js', metadata, exits: {} }
  const { page } = securityHeaders({ ...deployment.config, ...config }, options)
  return { [LIST]: page[LIST], 'Cross-Origin-Opener-Policy': 'same-origin' }
}

test('page.exits: the list admits the authorization request of the vault', async () => {
  for (const config of [{}, { par: true }, { par: false }]) {
    const { by } = await look({ headers: await withList(config), config })
    assert.equal(by['page.exits'].result, 'ok', JSON.stringify([config, by['page.exits']]))
  }
  const { by } = await look({ headers: await withList({ clientId: 'another' }) })
  assert.equal(by['page.exits'].result, 'fault')
  assert.match(by['page.exits'].text, /stops the login/)
  assert.match(by['page.exits'].fix, /client_id=/)
})

test('page.exits: without a configuration, nobody knows what the list must admit', async () => {
  const server = await listen({
    handler: (_, response) =>
      response
        .writeHead(200, { 'Content-Type': 'text/html', [LIST]: '(response-origin);redirects=allow' })
        .end(SCRIPTED),
  })
  const { by } = await doctor(server.origin)
  await server.close()
  assert.equal(by['page.exits'].result, 'unseen')
})

test('page.exits: without redirects, a single sign-on does not come back', async () => {
  const headers = await withList()
  headers[LIST] = headers[LIST].replace(';redirects=allow', '')
  const { by } = await look({ headers })
  assert.match(by['page.exits'].text, /stops redirects/)
})

test('page.exits-everywhere: names the responses in whose windows script can send data', async () => {
  const headers = await withList()
  const { [LIST]: _, ...opener } = headers
  const html = { 'Content-Type': 'text/html' }
  const answers = {
    // Node itself responds to the error, without any header.
    'no list, and the page keeps the window': [{ ...opener }, ['a missing file', 'a file', 'JSON']],
    'no list, with scripts': [{ ...html }, ['a missing file', 'a file', 'JSON']],
    'the list': [{ ...headers, ...html }, []],
    'no list, no scripts': [{ 'Content-Type': 'text/plain' }, []],
  }
  for (const [name, [others, named]] of Object.entries(answers)) {
    const handler = ({ url }, response) =>
      response.writeHead(200, url === '/' ? { ...headers, ...html } : others).end(SCRIPTED)
    const server = await listen({ handler })
    const { by } = await doctor(server.origin)
    await server.close()
    const { result, text } = by['page.exits-everywhere']
    assert.equal(result, named.length ? 'fault' : 'ok', `${name}: ${text}`)
    for (const what of named) assert.ok(text.includes(what), `${name}: ${text}`)
  }
})

test('page.opener: with a list, references to windows are a way out', async () => {
  const headers = { ...(await withList()), 'Cross-Origin-Opener-Policy': 'same-origin-allow-popups' }
  const { by } = await look({ headers })
  assert.equal(by['page.opener'].result, 'fault')
  assert.match(by['page.opener'].text, /send data to other servers/)
})

test('the search for the worker reads few files, and none of other origins', async () => {
  const other = await listen({ handler: (_, response) => response.end() })
  const workers = Array.from({ length: 50 }, (_, i) => `new Worker("/w${i}.js")`).join(';')
  const body = `new Worker("${other.origin}/w.js");${workers}`
  const headers = { 'Content-Type': 'text/javascript' }
  const scripts = Array.from({ length: 50 }, (_, i) => `<script src="/a${i}.js"></script>`)
  const home = `<!doctype html><script src="${other.origin}/a.js"></script>${scripts.join('')}`
  const routes = Object.fromEntries(scripts.map((_, i) => [`/a${i}.js`, { body, headers }]))
  const asked = other.requests
  const before = site.requests.length
  await look({ headers: { 'Content-Security-Policy': null }, home, routes })
  const paths = site.requests.slice(before).map(({ path }) => path)
  // One more request asks if the first script can be registered as a service worker.
  assert.ok(paths.filter((path) => /^\/a\d/.test(path)).length <= 11)
  assert.ok(paths.filter((path) => /^\/w\d/.test(path)).length <= 10)
  assert.deepEqual(asked ?? [], [])
  await other.close()
})

test('a page of tags that never end takes no longer', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { scriptsOf } = await load('doctor/scripts.ts')
  const { metaPolicies } = await load('doctor/policy.ts')
  const { textOf } = await load('doctor/requests.ts')
  // With nested searches, each of these would take hours.
  for (const tag of ['<script ', '<script src=" ', '<meta ', '<style>']) {
    const body = tag.repeat(1_000_000 / tag.length)
    assert.deepEqual(scriptsOf({ body, url: 'http://localhost/' }), [])
    assert.deepEqual(metaPolicies(body), [])
    assert.equal(typeof textOf({ body }), 'string')
  }
})

for (const sources of [
  "'nonce-a1b2' 'strict-dynamic'",
  "'sha256-eA==' 'strict-dynamic' https: 'unsafe-inline'",
  "'self' 'nonce-a1b2' 'strict-dynamic'",
]) {
  test(`page.worker-src: ${sources} lets each script become a worker`, async () => {
    for (const args of [[], ['--worker', '/auth.worker.js']]) {
      const routes = { '/auth.worker.js': { status: 403 }, '/': {} }
      const { by } = await look({ policy: onlyScripts(sources), args, routes })
      assert.equal(by['page.worker-src'].result, 'ok')
      assert.match(by['page.worker-src'].text, /'strict-dynamic' lets every script become a worker/)
    }
  })
}

test('page.callback-page: the page that the server sends for each path is noticed', async () => {
  const home = '<!doctype html><script type="module" src="/assets/index.js"></script>'
  const { by } = await look({ config: { callbackPage: true }, home })
  assert.match(by['page.callback-page'].text, /^the server sends the app's page for \/callback, /)
  const other = home.replace('index.js', 'callback.js')
  const right = await look({
    config: { callbackPage: true },
    home,
    routes: { '/callback': { body: other, headers: { 'Content-Type': 'text/html' } } },
  })
  assert.equal(right.by['page.callback-page'], undefined)
})

const integrityOf = (code, algorithm = 'sha384') =>
  `${algorithm}-${createHash(algorithm).update(code).digest('base64')}`
const scriptTag = (integrity) =>
  `<script type="module" src="/callback.js"${integrity ? ` integrity="${integrity}"` : ''}></script>`
const policyTag = (integrity) =>
  `<meta http-equiv="Content-Security-Policy" content="script-src '${integrity}'">`

// claim: callback-9
test('page.callback-integrity: the page must name the hash of all that its script imports', async () => {
  const code = 'finishLogin()'
  const right = integrityOf(code)
  const wrong = integrityOf('another file')
  const importing = 'import{a}from"./workers.js";a()'
  const later = 'const a=()=>import("./main.js")'
  for (const [tags, script, expected, text] of [
    [scriptTag(right), code, 'ok'],
    [scriptTag(integrityOf(code, 'sha256')), code, 'ok'],
    [scriptTag(integrityOf(code, 'sha512')), code, 'ok'],
    [scriptTag(`${wrong} ${right}`), code, 'ok'],
    // Browsers compare only the hashes of the strongest algorithm.
    [scriptTag(`${right} ${integrityOf('', 'sha512')}`), code, 'fault', /the browser refuses this script/],
    [scriptTag(wrong), code, 'fault', /the browser refuses this script/],
    [scriptTag('md5-abc'), code, 'fault', /can replace/],
    [policyTag(right) + scriptTag(right), code, 'ok'],
    [policyTag(wrong) + scriptTag(right), code, 'fault', /the browser refuses this script/],
    [policyTag(right) + scriptTag(), code, 'fault', /the browser refuses this script/],
    [scriptTag(integrityOf(importing)), importing, 'fault', /imports others/],
    [scriptTag(integrityOf(later)), later, 'ok'],
    // Browsers refuse the imported file, as no hash in the policy is compared with it.
    [
      policyTag(integrityOf(importing)) + scriptTag(integrityOf(importing)),
      importing,
      'fault',
      /refuses what .* imports, so no login can end/,
    ],
    // They compare a hash that another tag or an import map has for this file.
    ...[
      '<script type="importmap">{"integrity":{}}</script>',
      `<link rel="modulepreload" href="/workers.js" integrity="${right}" />`,
      `<script type="module" src="/a.js" integrity="${right}"></script>`,
    ].flatMap((named) => [
      [named + scriptTag(integrityOf(importing)), importing, 'unseen', /must import nothing/],
      [
        `<meta http-equiv="Content-Security-Policy" content="script-src '${right}' '${integrityOf(importing)}'">` +
          named +
          scriptTag(integrityOf(importing)),
        importing,
        'unseen',
        /must import nothing/,
      ],
    ]),
    ['', code, 'unseen', /no script was seen in the callback page/],
    ['<script type="application/json">{"a":1}</script>', code, 'unseen', /no script was seen/],
    [`<script type="module">${importing}</script>`, code, 'fault', /imports others/],
    [`<script type="application/json">{"a":1}</script>${scriptTag(right)}`, code, 'ok'],
    [scriptTag(integrityOf('import.meta(')), 'import.meta(', 'unseen', /it was not seen/],
    [
      `<script src="/a.js" integrity="${right}"></script>${scriptTag(integrityOf(importing))}`,
      importing,
      'fault',
      /imports others/,
    ],
  ]) {
    const changed = besideServiceWorker(tags, script)
    changed.routes['/a.js'] = { body: code, headers: { 'Content-Type': 'text/javascript' } }
    const line = (await look(changed)).by['page.callback-integrity']
    assert.equal(line.result, expected, tags + script)
    if (text) assert.match(line.text, text)
  }
})

test('a static import is one of code, and not of a string or a comment', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { importsOthers } = await load('doctor/imports.ts')
  for (const code of [
    'import{a}from"./x.js"',
    "import'./x.js'",
    'import a,{b as c}from"./x.js"',
    "import/* a comment */'./x.js'",
    "import /* 'quotes' */ { a } from './x.js'",
    "/* first */import{a}from'./x.js'",
    'import\n// a line\n"./x.js"',
    "export*from'./x.js'",
    "export * as a from './x.js'",
    "export{a}from'./x.js'",
    "export { a as default } from './x.js'",
    "const a=import.meta.url;await a;import'./x.js'",
    "const a=1;export{a};import'./x.js'",
  ]) {
    assert.equal(importsOthers(code), true, code)
  }
  for (const code of [
    '',
    'finishLogin()',
    'import("./x.js")',
    "await import('./x.js')",
    'const a=import.meta.url;new URL("./x.js",import.meta.url)',
    '// import "./x.js"',
    "/* import './x.js' */ a()",
    'const a="; import \'./x.js\'"',
    'const a=\'export * from "./x.js"\'',
    'const a=`\nimport "./x.js"\n${`export{b}from"./x.js"`}`',
    'const a=/[;]import "x"/.test(b)',
    'const a=/["\']/;const b=" import \'./x.js\'"',
    'const a=1;export{a};export{a as b};',
    'export default function(){}',
    'export default()=>{}',
    'export const a=1',
    'export async function a(){}',
    'const $export=2;$export*2',
  ]) {
    assert.equal(importsOthers(code), false, code)
  }
  // What cannot be parsed can have an import, or none.
  for (const code of ['a(', '<!doctype html>', '/import /(;a(', 'const a=/Cannot use import statement(/']) {
    assert.equal(importsOthers(code), undefined, code)
  }
})

test('of a body that is too long, nothing is judged that only the rest can show', async () => {
  const long = `${' '.repeat(2 * 1024 * 1024)}finishLogin()`
  const { by } = await look(besideServiceWorker(scriptTag(integrityOf(long)), long))
  assert.equal(by['page.callback-integrity'].result, 'unseen')
  assert.match(by['page.callback-integrity'].text, /callback\.js was not read \(.*not read to its end\)/)

  const code = 'finishLogin()'
  const page = await look(besideServiceWorker(scriptTag(integrityOf(code)) + long, code))
  assert.equal(page.by['page.callback-integrity'].result, 'unseen')

  const typed = await look({
    home: SCRIPTED,
    policy: (policy) => `${policy}; require-trusted-types-for 'script'`,
    routes: { '/app.js': { body: `${long};createPolicy()`, headers: { 'Content-Type': 'text/javascript' } } },
  })
  assert.equal(typed.by['page.trusted-types'].result, 'unseen')

  // A section with a name of its own, and random bytes, which no compression makes shorter.
  const padding = Buffer.concat([
    Buffer.from([0, 0x80, 0x80, 0x80, 0x01, 0]),
    randomBytes(2 * 1024 * 1024 - 1),
  ])
  const module = await look({ file: (bytes) => Buffer.concat([bytes, padding]) })
  assert.equal(module.by['worker.module'].result, 'unseen')
})

test('page.callback-integrity: without a known service worker, only a right hash is right', async () => {
  const code = 'finishLogin()'
  const both = replaced(/worker-src (\S+)auth\.worker\.js/, '$& $1sw.js')
  const any = replaced(/worker-src [^;]*/, "worker-src 'self'")
  for (const [script, policy, tags, expected] of [
    ['', undefined, scriptTag(), 'unused'],
    ['', undefined, scriptTag(integrityOf('another file')), 'fault'],
    ['', both, scriptTag(), 'fault'],
    ['provideServiceWorker("ngsw-worker.js")', any, scriptTag(), 'unseen'],
    ['new Workbox("/sw.js").register()', any, scriptTag(), 'unseen'],
    ['const swUrl="/sw.js";navigator.serviceWorker.register(swUrl)', any, scriptTag(), 'unseen'],
    ['', any, scriptTag(integrityOf(code)), 'ok'],
  ]) {
    const changed = besideServiceWorker(tags, code)
    changed.routes['/app.js'].body = script
    const { by } = await look({ ...changed, policy })
    assert.equal(by['page.callback-integrity'].result, expected, `${script} ${policy} ${tags}`)
  }
})

test('page.found: nothing listens, and a certificate that nobody knows', async () => {
  const { by, status } = await doctor('http://127.0.0.1:1')
  assert.equal(by['page.found'].text, 'nothing responds at the address')
  assert.equal(by['page.found'].fix, 'start the server, or correct the address http://127.0.0.1:1')
  assert.equal(status, 1)
})

test('page.service-worker: a file that is missing anyway is not refused', async () => {
  site.serviceWorkers.push('/auth.worker.js')
  const routes = { '/auth.worker.js': { status: 404 } }
  const { by } = await look({ routes, args: ['--worker', '/auth.worker.js'] })
  site.serviceWorkers.length = 0
  assert.equal(
    by['page.service-worker'].text,
    'the server refuses the registration of / as a service worker (403)',
  )
})

test('headers that a location of nginx does not inherit', async () => {
  const names = ['Content-Security-Policy', 'Cross-Origin-Opener-Policy', 'X-Content-Type-Options']
  const none = Object.fromEntries(names.map((name) => [name, null]))
  const args = ['--worker', '/auth.worker.js']
  for (const [server, isNamed] of [
    ['nginx/1.28', true],
    ['Caddy', false],
  ]) {
    const { by } = await look({ headers: { ...none, Server: server }, args })
    assert.equal(/inherits none .*add_header/.test(by['page.policy'].fix), isNamed, by['page.policy'].fix)
  }
})

test('page.found: what stands in front of the server is named', async () => {
  for (const [status, headers, text] of [
    [403, { Server: 'cloudflare' }, /^Cloudflare refuses the doctor's request$/],
    [429, { Server: '', 'X-Amz-Cf-Id': 'a' }, /^CloudFront refuses/],
    [403, { Server: 'nginx' }, /^the server \(nginx\) refuses/],
    [403, {}, /^the server, or something in front of it, refuses/],
  ]) {
    const { by } = await look({ routes: { '/': { status, headers } } })
    assert.match(by['page.found'].text, text)
    assert.match(by['page.found'].fix, /--user-agent 'Mozilla\/5\.0'/)
  }
})

test('page.found: a redirect to itself', async () => {
  const headers = { Location: `${site.origin}/` }
  const { by } = await look({ routes: { '/': { status: 308, headers } } })
  assert.equal(by['page.found'].text, 'the address redirects to itself')
  assert.doesNotMatch(by['page.found'].fix, /npx/)
})

test('requests have the name of --user-agent', async () => {
  const names = new Set()
  const server = await listen({
    handler: ({ headers }, response) => {
      names.add(headers['user-agent'])
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>')
    },
  })
  await doctor(server.origin, '--user-agent', 'Mozilla/5.0 (doctor)')
  await server.close()
  assert.deepEqual([...names], ['Mozilla/5.0 (doctor)'])
})

test('worker.compression: a module that is sent as it is', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { MODULE } = await load('doctor/worker-module.ts')
  for (const [encoding, result] of [
    [undefined, 'slow'],
    ['br', 'ok'],
  ]) {
    const file = { url: 'https://app.example.com/a.wasm', header: () => encoding }
    assert.equal(MODULE['worker.compression']({ file }).result, result)
  }
})

test('page.service-worker: a server that refuses one path only', async () => {
  const server = await listen({
    handler: ({ url, headers }, response) => {
      if (url === '/auth.worker.js' && headers['service-worker']) return response.writeHead(403).end()
      const isPage = url === '/'
      response.writeHead(200, {
        'Content-Type': isPage ? 'text/html' : 'text/javascript',
        'Content-Security-Policy': "script-src 'nonce-a1' 'strict-dynamic'",
      })
      response.end(isPage ? '<!doctype html><script nonce="a1" src="/assets/index.js"></script>' : '')
    },
  })
  const { by } = await doctor(server.origin, '--worker', '/auth.worker.js')
  await server.close()
  assert.equal(by['page.service-worker'].result, 'fault')
  assert.match(by['page.service-worker'].seen, / for \/assets\/index\.js with Service-Worker: script$/)
})

test('a worker that nothing names is a question', async () => {
  const { by } = await look({ policy: replaced(/worker-src [^;]*/, "worker-src 'self'") })
  assert.equal(by['worker.file'].result, 'unseen')
  assert.match(by['worker.file'].text, /--worker/)
})

test('one line fixes all faults of a policy, and the fixes repair a deployment', async () => {
  const worker = {
    'Content-Security-Policy':
      "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self' https:",
    'Cache-Control': 'max-age=600',
    'X-Content-Type-Options': null,
  }
  const headers = { 'Referrer-Policy': null, 'Cross-Origin-Opener-Policy': 'unsafe-none' }
  const policy = () => 'script-src * blob:; style-src https://cdn.example.com; worker-src *'
  const args = ['--worker', '/auth.worker.js']
  const broken = await look({ policy, headers, worker, args })
  const fixes = (group) =>
    broken.lines.filter(({ id, result }) => id.startsWith(group) && result === 'fault').map(({ fix }) => fix)
  assert.ok(fixes('page.').length >= 7 && fixes('worker.').length === 4, JSON.stringify(broken.lines))
  const policies = fixes('page.').filter((fix) => fix.startsWith('Content-Security-Policy'))
  assert.equal(new Set(policies).size, 1)
  assert.match(policies[0], /style-src https:\/\/cdn\.example\.com/)
  // Text in parentheses is for people.
  const repaired = (group) =>
    Object.fromEntries(fixes(group).map((fix) => fix.replace(/ \(.*\)$/, '').split(/: (.*)/)))
  const report = await look({
    policy,
    headers: { ...headers, ...repaired('page.') },
    worker: { ...worker, ...repaired('worker.') },
    args,
  })
  assert.deepEqual(
    ofPage(report).filter(({ result }) => !/ok|unused/.test(result)),
    [],
  )
})

// claim: script-41
test('page.media: the server has nothing at the addresses of media()', async () => {
  const apis = [{ ...deployment.config.apis[0], reflection: 'headers', media: '/media/' }]
  const config = await configFile({ ...deployment.config, apis })
  const policy = { 'Content-Security-Policy': "default-src 'none'" }
  for (const [status, headers, result, seen, fix] of [
    [404, policy, 'ok'],
    [503, policy, 'ok'],
    [
      200,
      { ...policy, 'Content-Type': 'text/html' },
      'fault',
      /^200 text\/html/,
      /respond with 404 .*\/media\//,
    ],
    [
      404,
      {},
      'fault',
      /Content-Security-Policy/,
      /^Content-Security-Policy: .*media-src http[^;]*\/media\/;/,
    ],
  ]) {
    const handler = ({ url }, response) =>
      url.startsWith('/media/')
        ? response.writeHead(status, headers).end()
        : response.writeHead(200, { 'Content-Type': 'text/html' }).end(HOME)
    const server = await listen({ handler })
    const { by } = await doctor(server.origin, '--config', config)
    await server.close()
    const line = by['page.media']
    assert.equal(line.result, result, JSON.stringify(line))
    if (seen) assert.match(line.seen, seen)
    if (fix) assert.match(line.fix, fix)
  }
})
