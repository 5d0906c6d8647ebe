/** The requests of a real vault that Playwright and MSW see. The guide's code reads `VITE_E2E`. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { readGuide } from './guide.mjs'
import { createProject, runScript, versionOf, write } from './project.mjs'

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

const E2E = 'VITE_E2E=1'

export const RECIPES = [
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
