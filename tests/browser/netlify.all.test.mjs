// The files for Netlify in docs/deployment.md are taken from the document: the script writes the `_headers` that the
// document shows, and the edge functions do what it says.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { execFile } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { authConfig } from '../recipes/auth_config.mjs'
import { readGuide } from '../recipes/guide.mjs'
import { headersFor, parseHeaders } from '../../www/docs/serve.mjs'

const dist = fileURLToPath(new URL('../../pkg/dist/', import.meta.url))

let folder, guide

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strongroom-netlify-'))
  guide = await readGuide('docs/deployment.md')
  await writeFile(join(folder, 'auth.config.ts'), await authConfig())
})
after(() => rm(folder, { recursive: true, force: true }))

/** Writes a file of the document, and resolves with the path of its JavaScript. */
async function compile(path, code) {
  const file = join(folder, path)
  await mkdir(join(file, '..'), { recursive: true })
  await writeFile(file, code)
  const outfile = file.replace(/\.ts$/, '.mjs')
  await build({
    entryPoints: [file],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
    alias: { 'strongroom/headers': `${dist}headers.js` },
  })
  return outfile
}

const load = async (path, code) => import(pathToFileURL(await compile(path, code)).href)

/** Resolves with the headers for the configuration of the document. */
async function expected() {
  const { config } = await load('config.ts', `export { config } from './auth.config.ts'\n`)
  return securityHeaders(config, { origin: 'https://app.example.com', worker: '/auth.worker.js' })
}

const requestFor = (path, headers) => new Request(`https://app.example.com${path}`, { headers })

test('the script writes the file that the document shows, into the published folder', async () => {
  const script = await compile('scripts/headers.ts', guide.block('netlifyHeaders(config'))
  await mkdir(join(folder, 'dist'))
  await promisify(execFile)(process.execPath, [script], { cwd: folder })
  const written = await readFile(join(folder, 'dist/_headers'), 'utf8')
  assert.equal(`# dist/_headers\n${written}`, guide.block('# dist/_headers'))
  assert.match(guide.block('# netlify.toml'), /^ {2}publish = "dist"$/m)
  const { page, worker } = await expected()
  const rules = parseHeaders(written)
  for (const path of ['/', '/callback', '/orders/7']) assert.deepEqual(headersFor(rules, path), page, path)
  assert.deepEqual(headersFor(rules, '/auth.worker.js'), worker)
})

test('the document names every file, and gives the worker its name', async () => {
  const { default: vite } = await load(
    'vite.config.ts',
    guide.block('// vite.config.ts: keep your own plugins. The'),
  )
  const { entryFileNames } = vite.worker.rolldownOptions.output
  assert.equal(`/${entryFileNames.replace('[name]', 'auth.worker')}`, '/auth.worker.js')
  const text = await readFile(new URL('../../docs/deployment.md', import.meta.url), 'utf8')
  const [, section] = /^## Netlify\n(.*?)^## /ms.exec(text)
  assert.match(section, /\[`auth\.config\.ts`\]\(headers\.md#generate-them\)/)
  assert.match(section, /npm run build && node scripts\/headers\.ts/)
  const [first] = /netlify\/edge-functions\/\w+/.exec(section)
  assert.equal(
    first,
    'netlify/edge-functions/headers',
    'the way that leaves no address without a policy comes first',
  )
})

test('the edge function refuses service workers only', async () => {
  const code = guide.block('// netlify/edge-functions/refuse.ts')
  const { default: refuse, config } = await load('netlify/edge-functions/refuse.ts', code)
  assert.equal(config.path, '/*')
  assert.equal(refuse(requestFor('/auth.worker.js', { 'Service-Worker': 'script' })).status, 403)
  assert.equal(refuse(requestFor('/auth.worker.js')), undefined)
})

test('the edge function that sets headers gives pages and worker their own', async () => {
  const code = guide.block('// netlify/edge-functions/headers.ts')
  const { default: handle } = await load('netlify/edge-functions/headers.ts', code)
  const context = { next: async () => new Response('') }
  const sent = async (path) => Object.fromEntries((await handle(requestFor(path), context)).headers)
  const lowered = (headers) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  const { page, worker } = await expected()
  const { 'content-type': type, ...ofPage } = await sent('/orders/7')
  assert.match(type, /^text\/plain/)
  assert.deepEqual(ofPage, lowered(page))
  assert.equal((await sent('/auth.worker.js'))['content-security-policy'], worker['Content-Security-Policy'])
  assert.equal((await handle(requestFor('/', { 'Service-Worker': 'script' }), context)).status, 403)
})
