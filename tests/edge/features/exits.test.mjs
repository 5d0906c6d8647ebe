// The pages of an app with a token handler need to reach no other origin: their `Connection-Allowlist` names none, and the
// handler's redirects lead to the provider (docs/exits.md).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, signInByPopup, waitUntil } from '../../support/app.mjs'
import { leftOut } from '../../support/combinations.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { untilErrorPage } from '../../support/until.mjs'

const time = { timeout: 60_000 }
const LIST = { 'Connection-Allowlist': '(response-origin);redirects=allow' }
const HEADERS = { ...LIST, 'Cross-Origin-Opener-Policy': 'same-origin' }

let app
before(async () => {
  app = await startPage('node', { coordinator: 'in-isolate', provider: { accessTokenSeconds: 600 } })
  for (const path of ['/index.html', '/empty.html']) app.site.headers[path] = HEADERS
}, time)
after(() => app?.close())

const user = (page) => page.evaluate(() => auth.session?.claims.sub ?? null)

test('login by redirect, calls, and a logout at the provider by script', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  assert.equal(await user(page), 'alice')
  assert.equal(
    await page.evaluate(async (url) => (await auth.fetch(url)).status, `${app.api.url}orders`),
    200,
  )
  await page.evaluate(() => void auth.logout({ provider: true }).catch(() => {}))
  await page.waitForURL(`${app.provider.origin}/**`)
  await page.context().close()
})

leftOut('login by popup', time, async () => {
  const page = await app.open()
  const outcome = await signInByPopup(page)
  assert.equal(outcome.value?.claims.sub, 'alice', JSON.stringify(outcome))
  await page.context().close()
})

// claim: script-39
test('script reaches no other origin from a window with a response of the handler', time, async () => {
  const page = await app.open()
  await booted(page)
  const [opened] = await Promise.all([
    page.waitForEvent('popup'),
    page.evaluate(() => void (globalThis.child = open('/auth/callback'))),
  ])
  // Without a login in flight, the handler has the browser load this address once more.
  await waitUntil(page, () => child.location.search && child.document.querySelector('h1'))
  await page.evaluate((url) => {
    const link = child.document.createElement('a')
    link.href = url
    child.document.body.append(link)
    link.click()
  }, `${app.provider.origin}/`)
  await untilErrorPage(opened)
  await page.context().close()
})

test('the control: script cannot navigate the page to the provider', time, async () => {
  const page = await app.open()
  await booted(page)
  await page.evaluate((url) => void (location.href = url), `${app.provider.origin}/`)
  await untilErrorPage(page)
  await page.context().close()
})
