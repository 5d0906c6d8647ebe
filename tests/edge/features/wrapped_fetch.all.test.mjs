// Tools that observe a page wrap its `fetch`, and add headers to `init`. Calls over the token handler go on working.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPage } from '../../support/edge/page.mjs'

const time = { timeout: 60_000 }
let app, page

before(async () => {
  app = await startPage('node', { coordinator: 'in-isolate', provider: { accessTokenSeconds: 600 } })
  page = await app.open()
  await app.signIn(page)
  await page.evaluate(() => {
    const { fetch } = globalThis
    globalThis.fetch = (input, init) =>
      fetch(input, { ...init, headers: { ...init?.headers, 'x-trace': '1' } })
  })
}, time)
after(() => app?.close())

/** Calls the API from the page. Resolves with the status and what the API says about the request. */
const call = (url, init) =>
  page.evaluate(
    async ([url, { form, progress, ...init }]) => {
      const body = form ? new FormData() : init.body
      if (form) body.set('item', form)
      const response = await auth.fetch(url, {
        ...init,
        ...(body && { body }),
        ...(progress && { onProgress: () => {} }),
      })
      const text = await response.text()
      return { status: response.status, text }
    },
    [url, init],
  )

for (const [name, init] of Object.entries({
  'without a body': {},
  'with its own header': { headers: { 'x-own': 'a' } },
  'with a text': { method: 'POST', body: 'a text', headers: { 'x-own': 'a' } },
  'with a form': { method: 'POST', form: 'tea' },
  'without a body, for another method': { method: 'POST' },
  'with its progress': { progress: true },
})) {
  for (const isRouted of [false, true]) {
    const where = isRouted ? 'at the API’s own address' : 'at the route'
    test(`a wrapped fetch sends a call ${name} ${where}`, time, async () => {
      const url = isRouted ? `${app.api.url}echo` : `${app.site.origin}/api/echo`
      const { status, text } = await call(url, init)
      assert.equal(status, 200, text)
      const { method, headers, length } = JSON.parse(text)
      assert.equal(method, init.method ?? 'GET')
      assert.ok(headers.includes('x-trace'), text)
      assert.equal(headers.includes('x-own'), !!init.headers)
      assert.equal(length > 0, !!(init.body || init.form))
    })
  }
}

test('a wrapped fetch is aborted with the call', time, async () => {
  const name = await page.evaluate(async (url) => {
    const controller = new AbortController()
    const call = auth.fetch(url, { signal: controller.signal })
    setTimeout(() => controller.abort())
    return call.then(
      () => 'done',
      (error) => error.name,
    )
  }, `${app.api.url}slow?ms=20000`)
  assert.equal(name, 'AbortError')
})
