// A call of a page that is left goes on in the worker if it has `keepalive` and the worker lives. No other call does.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }

let app
/** The request that the API holds. */
let held

before(async () => {
  app = await startApp()
  app.api.on('hold', ({ response, entry }) => {
    held?.({ response, entry })
  })
})
after(() => app?.close())

for (const [keepalive, isAborted] of [
  [true, false],
  [false, true],
]) {
  test(
    `a call with keepalive: ${keepalive} of a page that is left is ${isAborted ? '' : 'not '}aborted`,
    time,
    async () => {
      const page = await app.open()
      await signIn(page)
      // The second page keeps the shared worker alive.
      const other = await app.open('/', page.context())
      const arrived = new Promise((resolve) => (held = resolve))
      await page.evaluate(
        ([url, keepalive]) => {
          auth.fetch(url, { method: 'POST', body: 'data', keepalive }).catch(() => {})
        },
        [`${app.api.url}on/hold`, keepalive],
      )
      const { response, entry } = await arrived
      assert.equal(entry.bytes, 4)
      await page.goto('about:blank')
      // The vault has handled the page's `bye` when it responds to another page.
      await other.evaluate((url) => auth.fetch(url).then(({ status }) => status), `${app.api.url}orders`)
      if (isAborted) {
        await entry.closed
      } else {
        assert.equal(entry.aborted, false)
        response.end('done')
        await entry.closed
      }
      assert.equal(entry.aborted, isAborted)
      await page.context().close()
    },
  )
}
