// The playground: the real core reads each configuration in a worker of its own, under the headers of
// docs/deployment.md and without any other origin.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as esbuild } from 'esbuild'
import { build as viteBuild, preview } from 'vite'
import {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
} from '../../pkg/dist/headers.js'
import { readExamples } from '../../www/playground/examples.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { openStatic, startStaticSite } from '../support/static_site.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }

const VALID = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  redirectUri: '/callback',
  scope: 'openid profile offline_access',
  apis: [{ url: 'https://api.example.com/v1/', methods: ['GET', 'POST'] }],
}

let site
let shared
let page

before(async () => {
  site = await startStaticSite()
  shared = await shareBrowser()
  page = await openStatic(shared.browser, site, site.playground)
  await verdict()
})
after(async () => {
  await page?.context().close()
  await shared?.close()
  await site?.close()
})

/** Resolves with the core's verdict about the latest configuration, and with the problems that it names. */
async function verdict() {
  await page.waitForSelector('#verdict[aria-busy=false]')
  return {
    verdict: await page.textContent('#verdict .verdict'),
    problems: await page.locator('.problems li').allTextContents(),
  }
}

/** Enters a configuration, and resolves with the verdict about it. */
async function tryOut(configuration) {
  const text = typeof configuration === 'string' ? configuration : JSON.stringify(configuration)
  await page.fill('#configuration', text)
  return verdict()
}

const shown = (id) => page.textContent(`#${id}`)

test('every example starts', time, async () => {
  const names = await page.locator('#example option').allTextContents()
  assert.deepEqual(names, Object.keys(await readExamples()))
  assert.ok(names.length >= 8)
  for (const name of names) {
    await page.selectOption('#example', name)
    assert.equal((await verdict()).verdict, 'The vault starts.', name)
    assert.match(await shown('config-file'), /session: \{ persist: 'sealed' \}/, name)
  }
})

test('the policy for Cognito names both of its hosts', time, async () => {
  await page.selectOption('#example', 'Amazon Cognito')
  await verdict()
  assert.match(
    await shown('headers'),
    /connect-src 'self' https:\/\/cognito-idp\.\S+ https:\/\/acme\.auth\.eu-west-1\.amazoncognito\.com /,
  )
})

test('two mistakes are two messages, without secrets', time, async () => {
  const { verdict, problems } = await tryOut({
    ...VALID,
    issuer: 'id.example.com',
    clientSecret: 'hunter2hunter2',
  })
  assert.equal(verdict, '2 problems: config_invalid')
  assert.deepEqual(problems, [
    'clientSecret: a browser cannot keep a client secret; register a public client',
    'issuer is "id.example.com": it must be the provider\'s issuer identifier, an https URL without query or fragment',
  ])
  assert.doesNotMatch(await shown('verdict'), /hunter2/)
  assert.equal(await page.getAttribute('#configuration', 'aria-invalid'), 'true')
  assert.equal((await tryOut(VALID)).verdict, 'The vault starts.')
  assert.equal(await page.getAttribute('#configuration', 'aria-invalid'), null)
})

test('a misspelled option gets a suggestion, and text that is not JSON its position', time, async () => {
  const { problems } = await tryOut({ ...VALID, session: { idel: 60 } })
  assert.deepEqual(problems, ['session.idel: there is no such option (did you mean idle?)'])
  const { verdict } = await tryOut('{ "issuer": ')
  assert.equal(verdict, '1 problem: not JSON')
})

test('addresses are those of the app, not of this page', time, async () => {
  const elsewhere = { ...VALID, redirectUri: 'https://app.example.com/done' }
  assert.equal((await tryOut(elsewhere)).verdict, 'The vault starts.')
  assert.match(await shown('registration'), /Redirect URIhttps:\/\/app\.example\.com\/done/)
  await page.fill('#origin', 'https://other.example')
  const [problem] = (await verdict()).problems
  assert.match(problem, /redirectUri.*on the origin that serves the worker file/)
  await page.fill('#origin', 'https://app.example.com')
  assert.equal((await verdict()).verdict, 'The vault starts.')
})

test('the configuration’s file has the configuration', time, async () => {
  const config = { ...VALID, claims: ["it's", 'a"b'], authorizationParams: { 'a-b': 'c' } }
  await tryOut(config)
  const source = await shown('config-file')
  assert.match(
    source,
    /^import type \{ VaultConfig \} from 'strongroom\/worker'\n\nexport const config: VaultConfig = \{/,
  )
  assert.deepEqual(new Function(source.replace(/^[^]*VaultConfig = /, 'return '))(), config)
})

test('files of a configuration that does not start cannot be copied', time, async () => {
  const isRefused = async () => ({
    copy: await page
      .locator('#results .listing button')
      .evaluateAll((all) => all.map((one) => !one.disabled)),
    reason: (await page.locator('#refused').isVisible()) ? await shown('refused') : null,
  })
  const none = [false, false, false]
  await tryOut(VALID)
  assert.deepEqual(await isRefused(), { copy: [true, true, true], reason: null })
  await tryOut({ ...VALID, scop: 'openid' })
  const { copy, reason } = await isRefused()
  assert.deepEqual(copy, none)
  assert.match(reason, /^These files have the problems/)
  await tryOut({ ...VALID, redirectUri: undefined })
  assert.match(await shown('registration'), /^Redirect URI–/)
  await tryOut('{ "issuer": ')
  assert.match((await isRefused()).reason, /^These files are those of the last configuration/)
  assert.deepEqual((await isRefused()).copy, none)
  await tryOut(VALID)
  assert.deepEqual(await isRefused(), { copy: [true, true, true], reason: null })
})

const OPTIONS = { origin: 'https://app.example.com', worker: '/auth.worker.js' }

const lines = (headers) =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')

const HEADERS = {
  'Any server': () => {
    const { page, worker } = securityHeaders(VALID, OPTIONS)
    return `# All pages\n${lines(page)}\n# /auth.worker.js\n${lines(worker)}`
  },
  nginx: () => {
    const { http, server } = nginxHeaders(VALID, OPTIONS)
    return `# in the block http\n${http}\n# in the block server\n${server}`
  },
  'Cloudflare Pages': () => cloudflareHeaders(VALID, OPTIONS),
  Netlify: () =>
    '# Pages at other paths, such as /orders/*, get no policy: add a block for each, as for /\n' +
    netlifyHeaders(VALID, { ...OPTIONS, documents: ['/', '/callback'] }),
  Vercel: () => `${JSON.stringify({ headers: nextHeaders(VALID, OPTIONS) }, null, 2)}\n`,
}

for (const [host, expected] of Object.entries(HEADERS)) {
  test(`the headers for ${host} are those of strongroom/headers`, time, async () => {
    await tryOut(VALID)
    await page.selectOption('#host', host)
    assert.equal(await shown('headers'), expected())
  })
}

test('each host says what its file lacks, and links to its section', time, async () => {
  await tryOut(VALID)
  const document = await readFile(new URL('../../docs/deployment.md', import.meta.url), 'utf8')
  const headings = [...document.matchAll(/^## (.*)$/gm)].map(([, heading]) =>
    heading.toLowerCase().replaceAll(' ', '-'),
  )
  const hosts = await page.locator('#host option').allTextContents()
  assert.equal(hosts.length, 7)
  for (const host of hosts) {
    await page.selectOption('#host', host)
    assert.match(await shown('host-note'), /403/, host)
    const link = await page.getAttribute('#host-section', 'href')
    assert.ok(headings.includes(link.split('#')[1]), link)
  }
})

/** Writes the files that the playground shows for a bundler into a folder, and resolves with its configuration. */
async function writeFiles(folder, host, name) {
  await page.selectOption('#host', host)
  const files = {
    'auth.config.ts': await shown('config-file'),
    'src/auth.worker.ts': await shown('worker-file'),
    'src/main.ts': `new SharedWorker(new URL('./auth.worker.ts', import.meta.url), { type: 'module' })`,
    'index.html': '<script type="module" src="/src/main.ts"></script>',
    [name]: await shown('headers'),
  }
  await mkdir(join(folder, 'src'))
  for (const [path, content] of Object.entries(files)) await writeFile(join(folder, path), content)
  const outfile = join(folder, 'config.mjs')
  const headers = new URL('headers.js', DIST)
  await esbuild({
    entryPoints: [join(folder, name)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    alias: { 'strongroom/headers': headers.href },
    // Files of the package load others beside them.
    external: [headers.href],
  })
  return (await import(pathToFileURL(outfile))).default
}

const DIST = new URL('../../pkg/dist/', import.meta.url)

test('a build with the lines for Vite has the worker at the path that its policy names', time, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-playground-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await tryOut(VALID)
  const config = await writeFiles(folder, 'Vite', 'vite.config.ts')
  const alias = { 'strongroom/worker': fileURLToPath(new URL('worker.js', DIST)) }
  const common = { configFile: false, root: folder, logLevel: 'error', resolve: { alias } }
  await viteBuild({ ...common, ...config })
  assert.ok(
    existsSync(join(folder, 'dist/auth.worker.js')),
    String(await readdir(join(folder, 'dist/assets'))),
  )
  // A control: without the option, the name has a hash.
  await viteBuild({ ...common, ...config, worker: { format: 'es' }, build: { outDir: 'other' } })
  assert.ok(!existsSync(join(folder, 'other/auth.worker.js')))
  const server = await preview({ ...common, ...config, preview: { port: 0, host: '127.0.0.1' } })
  try {
    const { port } = server.httpServer.address()
    const response = await fetch(`http://127.0.0.1:${port}/`)
    assert.match(
      response.headers.get('Content-Security-Policy'),
      new RegExp(`worker-src http://127\\.0\\.0\\.1:${port}/auth\\.worker\\.js;`),
    )
  } finally {
    await server.close()
  }
})

test('the lines for Next are those of docs/deployment.md', time, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-playground-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await tryOut(VALID)
  const config = await writeFiles(folder, 'Next.js', 'next.config.ts')
  const unsafe = ["'unsafe-inline'"]
  assert.deepEqual(
    await config.headers(),
    nextHeaders(VALID, {
      origin: 'https://app.example.com',
      worker: '/_next/static/',
      page: { 'script-src': unsafe, 'style-src': unsafe, 'connect-src': ["'self'"] },
    }),
  )
})

test('every host has headers for an app with a callback page', time, async () => {
  await tryOut({ ...VALID, callbackPage: true })
  for (const host of Object.keys(HEADERS)) {
    await page.selectOption('#host', host)
    assert.equal(
      await page.getAttribute('#headers', 'data-failed'),
      null,
      `${host}: ${await shown('headers')}`,
    )
  }
})

test('a configuration without headers gets the reason', time, async () => {
  await page.selectOption('#host', 'Any server')
  await tryOut({ ...VALID, issuer: 'id.example.com' })
  assert.match(await shown('headers'), /^`issuer` is "id.example.com"/)
  assert.equal(await page.getAttribute('#headers', 'data-failed'), '')
})

test('each edit ends the worker of the former, and nothing asks another origin', time, async () => {
  const started = []
  page.on('worker', (worker) => started.push(worker))
  const { problems } = await tryOut({ ...VALID, session: { persist: 'sealed' } })
  assert.deepEqual(problems, [])
  await tryOut({ ...VALID, clientId: '' })
  assert.equal(started.length, 2)
  await until(() => page.workers().length === 0)
  assert.deepEqual(page.faults, [])
})
