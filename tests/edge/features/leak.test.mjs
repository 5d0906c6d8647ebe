// With a token handler, the browser contains no token: neither in the page's heap nor in storage, messages, documents
// or cookies. tests/browser/leak.test.mjs shows that the detector works in each of these places. The control in this
// file is a token that the API returns to the page.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, clickLogin, giveConsent } from '../../support/app.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { HEAP_ARGS } from '../../support/heap.mjs'
import { collect, record, search } from '../../support/leak.mjs'

const time = { timeout: 240_000 }

let app
before(async () => {
  app = await startPage('workerd', {
    coordinator: 'durable-object',
    provider: { accessTokenSeconds: 4 },
    // The control needs a response that contains a token.
    route: { reflection: 'allow' },
    launch: { args: HEAP_ARGS },
  })
})
after(() => app?.close())

/**
 * Returns true for a code in the recorded URLs. The code is in the URL of the callback, which is handled by the handler
 * and not by a page.
 */
const isElsewhere = ({ kind, place }) => kind === 'authorization_code' && place === 'addresses'

const leaks = async ({ page, log }) => {
  const places = await collect(page, log)
  return search(places, app.ledger.secrets()).filter((finding) => !isElsewhere(finding))
}

// claim: handler-1
test('browser has no token, code or verifier', { timeout: 900_000 }, async (t) => {
  const context = await app.browser.newContext()
  const log = await record(context)
  const page = await app.open('/', context)
  const tabs = [{ page, log }]
  const step = (name, action) =>
    t.test(name, time, async () => {
      await action()
      for (const tab of tabs) assert.deepEqual(await leaks(tab), [], name)
    })
  const use = (tab) =>
    tab.evaluate(async (api) => {
      globalThis.kept ??= []
      const keep = async (promise) => {
        const outcome = await promise.catch((error) => error)
        kept.push(outcome, outcome.stack, outcome.headers && [...outcome.headers])
        if (outcome.clone) kept.push(await outcome.clone().text().catch(String))
      }
      await keep(auth.fetch(`${api}me`))
      await keep(auth.fetch(`${api}upload`, { method: 'PUT', body: new FormData() }))
      await keep(auth.fetch(`${api}stream?n=3&interval=20`))
      await keep(auth.fetch(`${api}reject`))
      await keep(auth.fetch(`${api}redirect`))
      await keep(auth.fetch(`${api}broken`))
      await keep(auth.fetch('https://attacker.example/'))
      await keep(fetch('/auth/session', { headers: { 'x-strongroom': '1' } }))
      await keep(fetch('/auth/config', { headers: { 'x-strongroom': '1' } }))
      await keep(fetch('/auth/session'))
      kept.push(auth.session)
    }, app.api.url)

  await step('a login', () => app.signIn(page))
  await step('calls and errors', () => use(page))
  await step('a refresh', async () => {
    await app.ledger.accessTokenExpired()
    assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
  })
  await step('a second tab', async () => {
    const tab = await app.open('/', context)
    await booted(tab)
    tabs.push({ page: tab, log })
    await use(tab)
  })
  await step('a logout, and a login in a popup', async () => {
    // The next token must not expire before its control, however slow the searches are.
    app.provider.settings.accessTokenSeconds = 300
    await page.evaluate(() => auth.logout())
    const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page, { prompt: 'login' })])
    await giveConsent(popup)
    assert.ok((await page.evaluate(() => login)).value)
  })
  await t.test('control: a token in a response is found', time, async () => {
    app.api.on('mirror', ({ response, entry }) => response.end(entry.authorization))
    const { value } = await call(page, `${app.api.url}on/mirror`)
    assert.match(value.text, /^Bearer eyJ/)
    await page.evaluate((text) => (globalThis.planted = () => text), value.text)
    const found = await leaks(tabs[0])
    assert.ok(found.some(({ kind, place }) => kind === 'access_token' && place === 'heap'))
  })
})
