// The HTTP clients of docs/clients.md work with `auth.fetch`, and the vault's errors reach the app.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { giveConsent, startApp } from '../support/app.mjs'
import { bundleForPage } from '../support/bundle.mjs'

const time = { timeout: 60_000 }
const CLIENTS = ['axios', 'ky', 'ofetch', 'openapi-fetch']
const CONTROL = 'ky without the option'

const PAGE = `
import '/tools.js'
import { CLIENTS, createCounted, outcome } from '/clients.js'
globalThis.auth = createAuth({ shared: create.shared })
Object.assign(globalThis, { CLIENTS, createCounted, outcome })
auth.subscribe(() => {})
`

let app, signedIn, signedOut, url

before(async () => {
  app = await startApp()
  url = String(app.api.url).replace(/\/$/, '')
  app.site.files['/clients.js'] = await bundleForPage(new URL('clients/clients.js', import.meta.url))
  app.site.files['/page.js'] = PAGE
  const connected = (page) => page.waitForFunction(() => globalThis.auth?.state.status === 'connected')
  signedIn = await app.open()
  await connected(signedIn)
  await signedIn.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(signedIn)
  await signedIn.waitForFunction(() => globalThis.auth?.state.session)
  signedOut = await app.open()
  await connected(signedOut)
})
after(() => app?.close())

/**
 * Calls a function of a client in a page. Resolves with the members that `outcome()` of clients.js returns, and with
 * `calls`, the number of calls of the vault's `fetch`.
 */
const run = (page, name, [method, ...args]) =>
  page.evaluate(
    async ([client, base, action, given]) => {
      const api = createCounted(client, auth, base)
      const result = await outcome(api, api[action](...given))
      return { ...result, calls: api.calls }
    },
    [name, `${url}/`.replace(/\/$/, name === 'openapi-fetch' ? '' : '/'), method, args],
  )

for (const name of CLIENTS) {
  test(`${name}: reads and writes through the vault`, time, async () => {
    const placed = await run(signedIn, name, ['post', 'orders', { item: name, quantity: 3 }])
    assert.deepEqual([placed.value.item, placed.value.quantity, placed.calls], [name, 3, 1])
    const { value, calls } = await run(signedIn, name, ['get', 'orders'])
    assert.deepEqual(value.at(-1), placed.value)
    assert.equal(calls, 1)
  })

  test(`${name}: the API's status reaches the app`, time, async () => {
    const { status, refusal } = await run(signedIn, name, ['get', 'status/404'])
    assert.deepEqual({ status, refusal }, { status: 404, refusal: null })
  })

  test(`${name}: login_required reaches the app at once`, time, async () => {
    const { code, refusal, calls } = await run(signedOut, name, ['get', 'orders'])
    assert.deepEqual(
      { code, refusal, calls },
      { code: 'login_required', refusal: 'login_required', calls: 1 },
    )
  })

  test(`${name}: url_not_allowed reaches the app`, time, async () => {
    const { refusal, calls } = await run(signedIn, name, ['get', '../elsewhere'])
    assert.deepEqual({ refusal, calls }, { refusal: 'url_not_allowed', calls: 1 })
  })

  test(`${name}: an abort rejects`, time, async () => {
    const result = await signedIn.evaluate(
      async ([client, base]) => {
        const controller = new AbortController()
        const api = CLIENTS[client](auth.fetch, base)
        const pending = outcome(api, api.get('slow?ms=50000', { signal: controller.signal }))
        setTimeout(() => controller.abort(), 50)
        return pending
      },
      [name, name === 'openapi-fetch' ? url : `${url}/`],
    )
    assert.match(result.name, /^(AbortError|CanceledError|FetchError)$/)
    assert.equal(result.refusal, null)
  })
}

test('control: without the option ky repeats a refusal', time, async () => {
  const { refusal, calls } = await run(signedOut, CONTROL, ['get', 'orders'])
  assert.equal(refusal, 'login_required')
  assert.ok(calls > 1, `${calls} calls`)
})
