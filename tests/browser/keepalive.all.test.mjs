// A call of a page that is left goes on in the worker if it has `keepalive` and the worker lives: because another page is
// open, or by `extendedLifetime`. No other call goes on.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }

let app
/** Called with the request that the API holds. */
let hold

before(async () => {
  app = await startApp()
  app.api.on('hold', (exchange) => hold(exchange))
})
after(() => app?.close())

for (const { why, keepalive, hasOther, isAborted } of [
  { why: 'another page is open', keepalive: true, hasOther: true, isAborted: false },
  { why: 'the worker has extendedLifetime', keepalive: true, hasOther: false, isAborted: false },
  { why: 'it has no keepalive', keepalive: false, hasOther: true, isAborted: true },
]) {
  test(`a call of a page that is left ${isAborted ? 'ends' : 'goes on'}: ${why}`, time, async () => {
    const page = await app.open()
    await signIn(page)
    const context = page.context()
    if (hasOther) await booted(await app.open('/', context))
    const arrived = new Promise((resolve) => (hold = resolve))
    await page.evaluate(
      ([url, keepalive]) => {
        auth.fetch(url, { method: 'POST', body: 'data', keepalive }).catch(() => {})
      },
      [`${app.api.url}on/hold`, keepalive],
    )
    const { response, entry } = await arrived
    assert.equal(entry.bytes, 4)
    await page.goto('about:blank')
    // The vault handles the message of the page that was left before those of the next page.
    const next = await app.open('/', context)
    await booted(next)
    assert.equal(await next.evaluate(() => auth.session?.claims.sub), 'alice')
    if (!isAborted) {
      assert.equal(entry.aborted, false)
      response.end('done')
    }
    await entry.closed
    assert.equal(entry.aborted, isAborted)
    await context.close()
  })
}
