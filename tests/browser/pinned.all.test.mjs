// Pinned metadata that `strongroom metadata` has written, in Chromium.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'
import { configFile, strongroom } from '../support/doctor.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 40_000 }

let app, pinned
before(async () => {
  // The API requests the provider's document, too, and does not pass the proxy.
  app = await startApp({ proxied: true })
  const path = await configFile('export const metadata = {}\n', 'auth.metadata.mjs')
  const { issuer } = app.config
  const { status, stderr } = await strongroom(['metadata', issuer, '--out', path])
  assert.equal(status, 0, stderr)
  ;({ [issuer]: pinned } = (await import(path)).metadata)
})
after(() => app?.close())
afterEach(() => app.proxies.provider.faults.clear())

/** Keeps the provider's document from browsers. */
const holdDocument = () =>
  app.proxies.provider.faults.add('discovery', { times: Infinity, hold: new Promise(() => {}) })

/** Opens the app with these pinned metadata, in a worker of its own. */
const open = (members, more) => {
  app.setConfig({ pinned: members, ...more })
  return app.open()
}

test('a login needs no document of the provider', time, async () => {
  holdDocument()
  const page = await open(pinned)
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
})

test('control: without pinned metadata, the login needs it', time, async () => {
  holdDocument()
  const page = await open(undefined, { requestTimeout: 1 })
  const { error } = await page.evaluate(async () => {
    await boot
    return settle(auth.login())
  })
  assert.equal(error.code, 'provider_unavailable')
})

test('the console names a member that has changed, and the login works', time, async () => {
  const page = await app.open('/empty')
  const printed = page.waitForEvent('console', (message) => message.text().includes('metadata_outdated'))
  app.setConfig({ pinned: { ...pinned, revocation_endpoint: 'https://id.example.com/old' } })
  await page.goto(app.site.origin)
  assert.match(
    (await printed).text(),
    /differ from those that the provider publishes now: revocation_endpoint/,
  )
  await signIn(page)
})

test('pinned metadata that are up to date print nothing', time, async () => {
  const page = await app.open('/empty')
  const printed = []
  page.on('console', (message) => printed.push(message.text()))
  app.setConfig({ pinned })
  const before = app.proxies.provider.requests.length
  await page.goto(app.site.origin)
  await signIn(page)
  await page.evaluate(() => boot)
  const wasRead = () =>
    app.proxies.provider.requests.slice(before).some(({ endpoint }) => endpoint === 'discovery')
  await until(wasRead)
  // The vault has handled the document when it responds to a call that was made later.
  await call(page, `${app.api.url}orders`)
  assert.deepEqual(printed, [])
})
