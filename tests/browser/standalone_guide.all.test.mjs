// The app of docs/standalone.md without a bundler: its page, its script, and only the files of the package that it copies.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { giveConsent } from '../support/app.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { startServers } from '../support/servers.mjs'

const root = new URL('../../', import.meta.url)
const WORKER = '/strongroom/standalone.js'

let servers, shared

before(async () => {
  servers = await startServers({ site: { workers: [WORKER] } })
  shared = await shareBrowser()
  const { site, provider, api } = servers
  const guide = await readFile(new URL('docs/standalone.md', root), 'utf8')
  const block = (pattern) => pattern.exec(guide)[1]
  site.files['/index.html'] = block(/^```html\n<!-- index\.html.*?-->\n(.*?)^```/ms)
  site.files['/app.js'] = block(/^```js\n(\/\/ app\.js\n.*?)^```/ms).replaceAll(
    'https://api.example.com/v1/',
    api.url,
  )
  const config = JSON.parse(block(/^```json\n(.*?)^```/ms))
  site.files['/strongroom/strongroom.json'] = JSON.stringify({
    ...config,
    issuer: provider.issuer,
    clientId: servers.clientId,
    scope: `${config.scope} orders`,
    consent: 'always',
    apis: [{ url: api.url }],
  })
  site.routes['/callback'] = '/index.html'
  for (const name of block(/^cp (standalone.*?) \.\.\//ms).match(/[\w-]+\.(js|wasm)/g)) {
    site.files[`/strongroom/${name}`] = await readFile(new URL(`pkg/dist/${name}`, root))
  }
})
after(() => Promise.all([shared?.close(), servers?.close()]))

test('signs in, keeps the session over a reload, and signs out', { timeout: 60_000 }, async (t) => {
  const { site } = servers
  const context = await shared.browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  const missing = []
  page.on('response', (response) => response.status() >= 400 && missing.push(response.url()))
  await page.goto(site.origin)
  await page.click('#sign-in')
  await giveConsent(page)
  await page.waitForSelector('li')
  assert.equal(await page.textContent('h1'), 'Orders of Alice Liddell')
  await page.reload()
  await page.waitForSelector('li')
  await page.click('#sign-out')
  await page.waitForSelector('#sign-in:not([hidden])')
  assert.equal(await page.locator('li').count(), 0)
  assert.deepEqual(missing, [])
})

test('the app gets each file that its scripts can import', async () => {
  const { files } = servers.site
  const optional = ['connect-frame.js', 'token-handler-client.js']
  const imported = Object.entries(files)
    .filter(([path]) => path.startsWith('/strongroom/') && path.endsWith('.js'))
    .flatMap(([, script]) =>
      [...String(script).matchAll(/["'`]\.\/([\w-]+\.js)["'`]/g)].map(([, name]) => name),
    )
  assert.ok(imported.length > 5)
  assert.deepEqual(
    imported.filter((name) => !optional.includes(name) && !files[`/strongroom/${name}`]),
    [],
  )
})
