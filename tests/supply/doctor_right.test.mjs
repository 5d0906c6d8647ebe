// `strongroom doctor` finds nothing wrong in the demo, and in deployments with the headers that `strongroom/headers`
// generates. `--fix-headers` repairs a deployment.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
} from '../../pkg/dist/headers.js'
import { startDemo } from '../../www/demo.mjs'
import { configFile, doctor, startDeployment, strongroom } from '../support/doctor.mjs'

let deployment, file
before(async () => {
  deployment = await startDeployment()
  file = await configFile(deployment.config)
  Object.assign(deployment.site.files, {
    '/callback.html':
      '<!doctype html><title>Signing in</title><script type="module" src="/callback.js"></script>',
    '/callback.js': 'finishLogin()',
  })
})
after(() => deployment.close())

/** Returns the lines that are neither right nor unused. */
const open = ({ lines }) => lines.filter(({ result }) => result !== 'ok' && result !== 'unused')

/** The line that only a login could decide. */
const LOGIN = ['provider.refresh-tokens']

/** The lines that stay open without --probe-token. */
const OPEN = ['provider.cors-token-errors', ...LOGIN]

test('the demo’s site is right', async () => {
  const demo = await startDemo()
  try {
    const without = await doctor(demo.site.origin)
    assert.deepEqual(open(without), [])
    const own = await configFile({
      issuer: demo.provider.issuer,
      clientId: demo.clientId,
      redirectUri: '/callback',
      scope: 'openid profile email offline_access orders',
      consent: 'always',
      apis: [{ url: demo.api.url, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
      session: { idle: 1800, absolute: 43200, persist: 'memory' },
      inspect: true,
    })
    const report = await doctor(demo.site.origin, '--config', own, '--probe-token')
    assert.deepEqual(
      open(report).map(({ id }) => id),
      LOGIN,
    )
    assert.equal(report.by['provider.client'].result, 'ok')
    assert.equal(report.by['provider.public-client'].result, 'ok')
    assert.equal(report.by['worker.module'].result, 'ok')
    assert.equal(report.status, 0)
    assert.ok(report.requests <= 20, `${report.requests} requests`)
  } finally {
    await demo.close()
  }
})

/** Gives the site's files exactly these headers. */
const serve = ({ page, callback, worker }) => {
  const clear = { 'Content-Security-Policy': null, 'Referrer-Policy': null, 'X-Content-Type-Options': null }
  Object.assign(clear, { 'Cross-Origin-Opener-Policy': null, 'Cross-Origin-Resource-Policy': null })
  deployment.site.headers = {
    '/index.html': { ...clear, ...page },
    '/callback.html': { ...clear, ...callback },
    '/auth.worker.js': { ...clear, ...worker },
  }
}

for (const [name, config, options] of [
  ['the defaults', {}, {}],
  [
    'Next’s inline scripts',
    {},
    {
      page: {
        'script-src': ["'unsafe-inline'"],
        'style-src': ["'unsafe-inline'"],
        'connect-src': ["'self'"],
      },
    },
  ],
  ['a nonce', {}, { page: { 'script-src': ["'nonce-YWJj'"] } }],
  ['a <base> element', {}, { base: true }],
  ['Trusted Types', {}, { trustedTypes: ['auth-worker'] }],
  ['isolated pages', {}, { isolated: true }],
  ['a service worker', {}, { serviceWorker: '/sw.js' }],
  ['a prefetch hint', {}, { module: '/assets/strongroom_bg-BqTr3x9P.wasm' }],
  ['a callback page', { callbackPage: true }, {}],
  ['a socket', { apis: [{ webSocket: { token: 'protocol' } }] }, {}],
]) {
  test(`the generated headers with ${name} are right`, async () => {
    const { site } = deployment
    const [rule] = deployment.config.apis
    const own = { ...deployment.config, ...config, apis: [{ ...rule, ...config.apis?.[0] }] }
    serve(securityHeaders(own, { origin: site.origin, worker: '/auth.worker.js', ...options }))
    site.routes['/callback'] = config.callbackPage ? '/callback.html' : '/index.html'
    try {
      const report = await doctor(site.origin, '--config', await configFile(own))
      assert.deepEqual(
        open(report).map(({ id, seen }) => [id, seen]),
        OPEN.map((id) => [id, undefined]),
      )
    } finally {
      site.headers = {}
      site.routes['/callback'] = '/index.html'
    }
  })
}

/** Returns the headers of a path by a `_headers` file: all rules that match are combined, and `! Name` removes a header. */
const byFile = (text) => (path) => {
  const found = {}
  let matches = false
  for (const line of text.split('\n').filter((one) => one && !one.startsWith('#'))) {
    const content = line.trim()
    if (line === content) matches = content === path || (content === '/*' && path !== '')
    else if (matches && content.startsWith('! ')) delete found[content.slice(2)]
    else if (matches) found[content.split(': ')[0]] = content.split(/: (.*)/)[1]
  }
  return found
}

/** Returns the headers of a path by the rules of Next and Vercel. */
const byRules = (rules) => (path) =>
  Object.fromEntries(
    rules
      .filter(({ source }) => new RegExp(`^${source}$`).test(path))
      .flatMap(({ headers }) => headers.map(({ key, value }) => [key, value])),
  )

for (const [name, format] of [
  ['Cloudflare', (config, options) => byFile(cloudflareHeaders(config, options))],
  ['Netlify', (config, options) => byFile(netlifyHeaders(config, { ...options, documents: ['/'] }))],
  ['Next and Vercel', (config, options) => byRules(nextHeaders(config, options))],
]) {
  test(`the sample for ${name} is right`, async () => {
    const { site } = deployment
    const config = { ...deployment.config, callbackPage: true }
    const headersOf = format(config, { origin: site.origin, worker: '/auth.worker.js' })
    serve({ page: headersOf('/'), callback: headersOf('/callback'), worker: headersOf('/auth.worker.js') })
    site.routes['/callback'] = '/callback.html'
    try {
      const report = await doctor(site.origin, '--config', await configFile(config), '--probe-token')
      assert.deepEqual(
        open(report).map(({ id, seen }) => [id, seen]),
        LOGIN.map((id) => [id, undefined]),
      )
      assert.equal(report.by['page.callback-headers'].result, 'ok')
      assert.equal(report.by['worker.policy'].result, 'ok')
    } finally {
      site.headers = {}
      site.routes['/callback'] = '/index.html'
    }
  })
}

test('--fix-headers prints the file of each host, and keeps the sources of the page', async () => {
  const { site, config } = deployment
  const healthy = site.pageCsp
  site.pageCsp = `default-src 'self'; img-src 'self' https://cdn.example.com; worker-src ${site.origin}/auth.worker.js; script-src *`
  try {
    const fix = async (host) => {
      const { stdout, stderr, status } = await strongroom([
        'doctor',
        site.origin,
        '--config',
        file,
        '--fix-headers',
        host,
      ])
      assert.equal(status, 0, stderr)
      return stdout
    }
    const metadata = await (await fetch(`${config.issuer}/.well-known/openid-configuration`)).json()
    const options = {
      origin: site.origin,
      worker: '/auth.worker.js',
      metadata,
      page: { 'img-src': ['https://cdn.example.com'] },
    }
    assert.equal(await fix('cloudflare'), cloudflareHeaders(config, options))
    const rules = JSON.stringify({ headers: nextHeaders(config, options) }, null, 2)
    assert.equal((await fix('next')).trim(), rules)
    assert.equal((await fix('vercel')).trim(), rules)
    const { http, server } = nginxHeaders(config, options)
    assert.ok((await fix('nginx')).includes(http) && (await fix('nginx')).includes(server))
    assert.match(
      await fix('netlify'),
      /^#.*\n\/\n {2}Content-Security-Policy: [^]*\n\/callback\n[^]*\n\/auth\.worker\.js\n/,
    )
    assert.match(await fix('netlify'), /img-src 'self' data: https:\/\/cdn\.example\.com/)
  } finally {
    site.pageCsp = healthy
  }
})

test('--fix-headers names the endpoints’ origins, and needs a configuration', async () => {
  const { site } = deployment
  const healthy = site.pageCsp
  const { status, stderr } = await strongroom(['doctor', site.origin, '--fix-headers', 'nginx'])
  assert.equal(status, 2)
  assert.match(stderr, /--fix-headers needs a configuration/)
  site.pageCsp = "script-src 'self'"
  const unnamed = await strongroom(['doctor', site.origin, '--config', file, '--fix-headers', 'nginx'])
  site.pageCsp = healthy
  assert.equal(unnamed.status, 2)
  assert.match(unnamed.stderr, /--fix-headers needs the path of the worker's file.*--worker PATH/)
  const metadata = { token_endpoint: 'http://127.0.0.1:1/token' }
  const own = await configFile({ ...deployment.config, metadata })
  const { stdout } = await strongroom(['doctor', site.origin, '--config', own, '--fix-headers', 'cloudflare'])
  assert.match(stdout, /connect-src 'self' \S+ http:\/\/127\.0\.0\.1:1 /)
})
