// `strongroom doctor` for a vault on its own origin: the demo is right, and each line has a deployment that is broken in
// exactly this way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startDemo } from '../../www/demo.mjs'
import { configFile, doctor } from '../support/doctor.mjs'

let demo, healthy, file
before(async () => {
  demo = await startDemo({ vaultOrigin: true })
  healthy = demo.vault.headers
  file = await configFile({
    issuer: demo.provider.issuer,
    clientId: demo.clientId,
    redirectUri: '/callback',
    scope: 'openid profile email offline_access orders',
    apis: [{ url: demo.api.url, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  })
})
after(() => demo.close())

/** Runs the doctor while the vault's files have other headers. */
const look = async (changes = {}, { page, frame = `${demo.vault.origin}/frame.html` } = {}) => {
  const policy = demo.site.pageCsp
  if (page) demo.site.pageCsp = page(policy)
  demo.vault.headers = Object.fromEntries(
    Object.entries(healthy).map(([path, headers]) => [path, { ...headers, ...changes[path] }]),
  )
  try {
    const args = ['--config', file, '--worker', '/auth.worker.js', '--vault-frame', frame, '--probe-token']
    return await doctor(demo.site.origin, ...args)
  } finally {
    demo.vault.headers = healthy
    demo.site.pageCsp = policy
  }
}

const open = ({ lines }) => lines.filter(({ result }) => result !== 'ok' && result !== 'unused')

test('the demo with a vault on its own origin is right', async () => {
  const report = await look()
  assert.deepEqual(
    open(report).map(({ id, seen }) => [id, seen]),
    [['provider.refresh-tokens', undefined]],
  )
  for (const id of [
    'page.frame-src',
    'vault.frame',
    'vault.site',
    'vault.frame-headers',
    'page.callback-headers',
  ]) {
    assert.equal(report.by[id].result, 'ok', id)
  }
  assert.equal(report.by['page.worker-src'].result, 'unused')
  assert.equal(report.by['worker.connect-src'].result, 'ok')
  assert.equal(report.by['provider.client'].result, 'ok', 'the redirect URI is on the vault’s origin')
})

const csp = (path, change) => () => ({
  [path]: { 'Content-Security-Policy': change(healthy[path]['Content-Security-Policy']) },
})

for (const [id, changes, seen, fix, text] of [
  [
    'vault.frame-headers',
    () => ({ '/frame.html': { 'Origin-Agent-Cluster': null } }),
    /^no Origin-Agent-Cluster$/,
    /^Origin-Agent-Cluster: \?1$/,
    /: Origin-Agent-Cluster$/,
  ],
  [
    'vault.frame-headers',
    csp('/frame.html', (policy) => policy.replace(/frame-ancestors .*/, 'frame-ancestors *')),
    /frame-ancestors \*$/,
    /frame-ancestors http:\/\/app\./,
    /: its policy has frame-ancestors \*, not frame-ancestors http:\/\/app\.[^ ]+:\d+$/,
  ],
  [
    'vault.frame-headers',
    csp('/frame.html', (policy) => policy.replace(/frame-ancestors .*/, "frame-ancestors 'none'")),
    /frame-ancestors 'none'$/,
    /frame-ancestors http:\/\/app\./,
    /: its policy has frame-ancestors 'none', not frame-ancestors http:\/\/app\.[^ ]+:\d+$/,
  ],
  [
    'vault.frame-headers',
    csp('/frame.html', (policy) => policy.replace("script-src 'self'", 'script-src https:')),
    /script-src https:/,
    /script-src 'self'/,
    /: its policy has script-src https:, not script-src 'self'$/,
  ],
  [
    'vault.frame-headers',
    csp('/frame.html', (policy) => `script-src-elem https:; ${policy}`),
    /script-src-elem https:/,
    /script-src 'self'/,
    /: its policy has script-src-elem https:, not script-src 'self'$/,
  ],
  [
    'page.callback-headers',
    () => ({ '/callback.html': { 'Cross-Origin-Opener-Policy': null } }),
    /^no Cross-Origin-Opener-Policy$/,
    /^Cross-Origin-Opener-Policy: same-origin$/,
    /at the callback page$/,
  ],
  [
    'worker.embedder',
    () => ({ '/auth.worker.js': { 'Cross-Origin-Embedder-Policy': null } }),
    /^no Cross-Origin-Embedder-Policy$/,
    /require-corp$/,
    /an isolated page/,
  ],
]) {
  test(`${id} ${changes}`, async () => {
    const report = await look(changes())
    const line = report.by[id]
    assert.equal(line.result, 'fault')
    assert.match(line.seen, seen)
    assert.match(line.fix, fix)
    assert.match(line.text, text)
    assert.deepEqual(
      open(report)
        .map((one) => one.id)
        .filter((one) => one !== 'provider.refresh-tokens'),
      [id],
    )
  })
}

test('page.frame-src: the page blocks the frame', async () => {
  const { by } = await look({}, { page: (policy) => policy.replace(/frame-src .*/, "frame-src 'none'") })
  assert.equal(by['page.frame-src'].result, 'fault')
  assert.match(by['page.frame-src'].fix, /frame-src http:\/\/vault\./)
})

test('vault.frame and vault.site: another site, and a missing frame', async () => {
  const other = await look({}, { frame: `http://localhost:${demo.vault.port}/none.html` })
  assert.equal(other.by['vault.frame'].result, 'fault')
  assert.equal(other.by['vault.site'].result, 'fault')
})

test('vault.site: names below a suffix that everybody may use are sites of their own', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { siteOf } = await load('doctor/vault-frame.ts')
  for (const [hostname, site] of [
    ['vault.example.com', 'example.com'],
    ['vault.app.example.co.uk', 'example.co.uk'],
    ['vault.abc.de', 'abc.de'],
    ['my-vault.co.uk', 'my-vault.co.uk'],
    ['my-vault.pages.dev', 'my-vault.pages.dev'],
    ['my-vault.vercel.app', 'my-vault.vercel.app'],
    ['vault.localhost', 'vault.localhost'],
    ['localhost', 'localhost'],
  ])
    assert.equal(siteOf({ hostname }), site)
})
