// The packed program `strongroom`, as its users run it: it finds nothing wrong in the demos. `cargo xtask release` runs
// this test, too.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { startDemo } from '../../www/demo.mjs'
import { npm, pack, root } from './tarball.mjs'

const run = promisify(execFile)
const project = `${root}target/packaging/doctor`

let demo, args
before(async () => {
  await rm(project, { recursive: true, force: true })
  await mkdir(project, { recursive: true })
  await writeFile(`${project}/package.json`, '{ "private": true }')
  const { path } = await pack()
  await npm(project, 'install', '--no-save', '--no-package-lock', '--offline', '--ignore-scripts', path)
  demo = await startDemo()
  const config = {
    issuer: demo.provider.issuer,
    clientId: demo.clientId,
    redirectUri: '/callback',
    scope: 'openid profile email offline_access orders',
    apis: [{ url: demo.api.url, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  }
  await writeFile(`${project}/auth.config.mjs`, `export const config = ${JSON.stringify(config)}`)
  args = ['--offline', 'strongroom', 'doctor', demo.site.origin, '--config', 'auth.config.mjs']
})
after(() => demo?.close())

const doctor = (own = args) =>
  run('npx', own, { cwd: project, shell: process.platform === 'win32' }).catch((error) => error)

test('the packed doctor finds no fault in the demo', async () => {
  const { stdout, code } = await doctor()
  assert.match(stdout, /✓ the core accepts auth\.config\.mjs/)
  assert.match(stdout, /✓ the worker may run WebAssembly/)
  assert.match(stdout, /✓ the provider knows the client/)
  assert.match(stdout, /\n✓ \d+ {2}no fault /)
  assert.equal(code, undefined)
})

test('the packed doctor finds no fault in the demo with a token handler', async () => {
  const edge = await startDemo({ edge: true })
  // The login of the demo's comparison, in a frame, needs a reference to its window.
  edge.site.headers['/index.html'] = { 'Cross-Origin-Opener-Policy': 'same-origin' }
  try {
    const { stdout } = await doctor(['--offline', 'strongroom', 'doctor', edge.site.origin])
    assert.match(stdout, /✓ there is a token handler at \/auth/)
    assert.match(stdout, /\n✓ \d+ {2}no fault /)
  } finally {
    await edge.close()
  }
})

test('control: it finds a fault, and ends with status 1', async () => {
  demo.site.headers['/index.html'] = { 'X-Content-Type-Options': null }
  const { stdout, code } = await doctor()
  demo.site.headers = {}
  assert.match(stdout, /✗ the browser may guess the type[^]*fix +X-Content-Type-Options: nosniff/)
  assert.equal(code, 1)
})
