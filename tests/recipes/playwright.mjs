/**
 * A world in a build that Playwright drives, and the requests of a real vault that Playwright and MSW see. For the
 * latter, the guide's code reads `VITE_E2E`.
 */
import assert from 'node:assert/strict'
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { giveConsent } from '../support/app.mjs'
import { ARGS, findProgram, launchBrowser } from '../support/browser.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { authConfig, readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/testing-your-app.md')
const readme = await readGuide('README.md')

const CREATE = guide.block('import.meta.env.VITE_E2E')

/** The README's two functions that create the worker. */
const WORKERS = readme
  .block('export const auth = createAuth')
  .replace(/^ {2}(shared|dedicated): (.*),(?: *\/\/.*)?$/gm, 'const $1 = $2')
  .match(/^const (shared|dedicated) = .*$/gm)

const MAIN = `
import { http, HttpResponse } from 'msw'
import { setupWorker } from 'msw/browser'
import { auth } from './auth'

const seen: string[] = []
sessionStorage.msw ??= location.search
if (sessionStorage.msw) {
  const worker = setupWorker(http.get('*/v1/orders', () => HttpResponse.json([])))
  worker.events.on('request:start', ({ request }) => seen.push(request.url))
  await worker.start({ onUnhandledRequest: 'bypass', quiet: true })
}
await auth.connect()
Object.assign(globalThis, { auth, seen })
`

const workerFile = ({ provider, api }) => `
import { vault } from 'strongroom/worker'
vault(${JSON.stringify({
  issuer: provider.issuer,
  clientId: CLIENT_ID,
  redirectUri: '/callback',
  scope: 'openid profile offline_access orders',
  consent: 'always',
  apis: [{ url: api.url }],
})})
`

/** Builds the app. With `VITE_E2E`, the guide's line leaves out the shared worker. */
async function buildApp(project, servers, env) {
  assert.equal(WORKERS.length, 2)
  const folder = `${project}/e2e`
  await write(folder, {
    'index.html':
      '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.ts"></script>',
    'main.ts': MAIN,
    'auth.ts': `import { createAuth } from 'strongroom'\n${WORKERS.join('\n')}\nexport const auth = ${CREATE}`,
    'auth.worker.ts': workerFile(servers),
    '.env': env,
    'vite.config.js': `export default { build: { target: 'es2022' }, worker: { format: 'es' } }`,
  })
  // Vite sets NODE_ENV, so it needs a process of its own.
  await runScript(project, 'node_modules/vite/bin/vite.js', ['build', 'e2e', '--logLevel=error'])
  await copyFile(
    `${project}/node_modules/msw/lib/mockServiceWorker.js`,
    `${folder}/dist/mockServiceWorker.js`,
  )
  return `${folder}/dist`
}

async function serve(servers, built) {
  const { site, provider, api } = servers
  site.roots.push(built)
  site.serviceWorkers.push('/mockServiceWorker.js')
  site.connectSrc = [provider.issuer, api.origin]
  site.workers = { includes: (path) => path.endsWith('.js') }
  site.pageCsp = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src data:"
}

/**
 * Signs in and calls the API. Resolves with the requests that Playwright saw, those that MSW saw, and those that reached
 * the API.
 */
async function observe(browser, { site, api }, msw) {
  const routed = []
  const context = await browser.newContext()
  try {
    if (!msw) {
      await context.route('**/*', (route) => {
        routed.push(route.request().url())
        return route.continue()
      })
    }
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    await page.goto(`${site.origin}/${msw}`)
    await page.waitForFunction(() => globalThis.auth)
    await page.evaluate(() => void auth.login())
    await giveConsent(page)
    await page.waitForURL(({ origin, pathname }) => origin === site.origin && pathname === '/')
    await page.waitForFunction(() => globalThis.auth?.state.session)
    api.clear()
    const status = await page.evaluate(
      (url) => auth.fetch(url).then((response) => response.status),
      `${api.url}orders`,
    )
    assert.equal(status, 200)
    const isOrders = (url) => url.endsWith('/v1/orders')
    return {
      playwright: routed.filter(isOrders).length,
      msw: (await page.evaluate(() => seen)).filter(isOrders).length,
      api: api.requests.length,
    }
  } finally {
    await context.close()
  }
}

async function runApp({ tarball }, { env = '', msw = '', expected }) {
  const project = await createProject('vitest', tarball)
  const servers = await startServers()
  const browser = await launchBrowser()
  try {
    await serve(servers, await buildApp(project, servers, env))
    assert.deepEqual(await observe(browser, servers, msw), expected)
  } finally {
    await browser.close()
    await servers.close()
  }
  return msw ? versionOf(project, 'msw') : versionOf(`${project}/../../..`, 'playwright-core')
}

/** An app that shows the user and the orders, or a button. */
const WORLD_MAIN = `
import { auth } from './auth'

const show = (...nodes: (Node | string)[]) => document.body.replaceChildren(...nodes)
let shown: string | undefined
auth.subscribe(async ({ status, session }) => {
  const next = session?.claims.sub ?? status
  // Another call of the API, such as after the warning \`expiring\`, would extend the session.
  if (next === shown) return
  shown = next
  if (session) {
    show(\`Hello \${session.claims.name}\`)
    const orders = await auth.fetch('https://api.example.com/v1/orders')
    if (auth.state.session) document.body.append(await orders.text())
  } else if (status === 'connected') {
    const button = document.createElement('button')
    button.append('Sign in')
    button.onclick = () => void auth.login()
    show(button)
  }
})
`

const worldFiles = async () => ({
  'index.html':
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/src/main.ts"></script>',
  'src/main.ts': WORLD_MAIN,
  'src/auth.ts': guide.block('// src/auth.ts'),
  'src/auth.e2e.ts': guide.block('// src/auth.e2e.ts'),
  'src/auth.config.ts': await authConfig(),
  'src/auth.worker.ts': readme.block('// src/auth.worker.ts'),
  'src/env.d.ts': '/// <reference types="vite/client" />',
  'e2e/session.spec.ts': guide.block('// e2e/session.spec.ts'),
  'playwright.config.ts': guide.block('// playwright.config.ts'),
})

/** Resolves with a port of loopback that nothing uses. */
const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, 'localhost', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const replace = (text, part, by) => {
  if (!text.includes(part)) throw new Error(`no ${part}`)
  return text.replaceAll(part, by)
}

/** Runs the guide's tests with the guide's configuration, but with the browser and a free port of this machine. */
async function runWorld({ tarball }, without) {
  const project = await createProject('vitest', tarball)
  const files = await worldFiles()
  const launchOptions = JSON.stringify({ executablePath: findProgram('chromium'), args: ARGS })
  let config = replace(files['playwright.config.ts'], '4173', await freePort())
  config = replace(config, 'use: {', `use: { launchOptions: ${launchOptions},`)
  if (without) config = replace(config, without, '')
  await write(project, { ...files, 'playwright.config.ts': config })
  await runScript(project, 'node_modules/@playwright/test/cli.js', ['test', '--workers=1', '--reporter=line'])
  return versionOf(project, '@playwright/test')
}

/** Checks that only the build for tests contains the test double. */
async function checkProduction({ tarball }) {
  const project = await createProject('vitest', tarball)
  await write(project, await worldFiles())
  const contains = async (mode) => {
    const args = ['build', `--mode=${mode}`, `--outDir=dist-${mode}`, '--logLevel=error']
    await runScript(project, 'node_modules/vite/bin/vite.js', args)
    const assets = `${project}/dist-${mode}/assets`
    const scripts = await Promise.all(
      (await readdir(assets)).map((name) => readFile(`${assets}/${name}`, 'latin1')),
    )
    return scripts.some((script) => script.includes('this is a test double'))
  }
  assert.deepEqual([await contains('production'), await contains('e2e')], [false, true])
  return versionOf(project, 'vite')
}

async function checkWorldTypes({ tarball }) {
  const project = await createProject('vitest', tarball)
  const files = await worldFiles()
  await write(project, files)
  return checkTypes(
    project,
    Object.keys(files).filter((path) => path.endsWith('.ts')),
  )
}

const E2E = 'VITE_E2E=1'

export const RECIPES = [
  { name: 'Playwright with a world', run: (tools) => runWorld(tools) },
  {
    name: 'Playwright with a world, production mode',
    fails: /world is not defined/,
    run: (tools) => runWorld(tools, '--mode e2e '),
  },
  { name: 'Playwright: only the test build has the test double', run: checkProduction },
  { name: 'Playwright with a world, types', run: checkWorldTypes },
  {
    name: 'Playwright sees the requests of a dedicated worker',
    run: (tools) => runApp(tools, { env: E2E, expected: { playwright: 1, msw: 0, api: 1 } }),
  },
  {
    name: 'Playwright does not see the requests of a shared worker',
    run: (tools) => runApp(tools, { expected: { playwright: 0, msw: 0, api: 1 } }),
  },
  ...[E2E, ''].map((env) => ({
    name: `MSW sees the requests of a ${env ? 'dedicated' : 'shared'} worker`,
    run: (tools) => runApp(tools, { env, msw: '?msw', expected: { playwright: 0, msw: 1, api: 0 } }),
  })),
]
