// Uploads over the token handler last longer than a token, a connection and a page, and keep the session from the idle
// limit.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { leftOut, WHOLE } from '../../support/combinations.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { content, startUploads, testUploads } from '../../support/uploads.mjs'

const time = { timeout: 180_000 }

/** The idle limit in seconds. */
const IDLE = 12

let app, uploads, page

before(async () => {
  app = await startPage('node', {
    coordinator: 'in-isolate',
    provider: { accessTokenSeconds: 6 },
    route: { methods: ['GET', 'HEAD', 'POST', 'PATCH'] },
    handler: { session: { idle: IDLE, absolute: 3600 } },
  })
  uploads = await startUploads(app)
  page = await app.open()
  await app.signIn(page)
})
after(async () => {
  await app?.close()
  await uploads?.close()
})

if (WHOLE) testUploads(() => ({ app, uploads, page, signIn: app.signIn }))

const upload = () => page.evaluate((endpoint) => uploads.tus({ endpoint }), `${app.api.url}files`)

leftOut('a refused part of more than 64 KB fails, and the next attempt continues', time, async () => {
  uploads.reset()
  uploads.onPart = async (part) => {
    if (part === 3) uploads.refusesNext = true
  }
  await assert.rejects(upload(), /response code: 401/)
  assert.deepEqual(await uploads.read(await upload()), content)
  assert.equal(app.api.requests.filter(({ method }) => method === 'POST').length, 1)
})

leftOut("XMLHttpRequest: headers of tus are enough on the app's origin", time, async () => {
  uploads.reset()
  uploads.base = `${app.site.origin}/api/files`
  const url = await page.evaluate(() =>
    uploads.xhr({ endpoint: '/api/files', headers: { 'X-Strongroom': '1' } }),
  )
  assert.deepEqual(await uploads.read(url), content)
})

describe('an upload that waits for its response', { concurrency: 2 }, () => {
  for (const background of [false, true]) {
    const what = background ? 'is not activity in the background' : 'is activity'
    // claim: handler-82
    test(what, time, async () => {
      const page = await app.open()
      await app.signIn(page)
      const path = background ? 'held-in-background' : 'held'
      let respond
      const arrived = new Promise((resolve) => {
        app.api.on(path, ({ response }) => {
          respond = () => response.end('done')
          resolve()
        })
      })
      const began = await page.evaluate(
        ([url, background]) => {
          const init = { method: 'POST', body: 'x', background }
          globalThis.ended = settle(auth.fetch(url, init).then(({ status }) => status))
          return Date.now()
        },
        [`${app.api.url}on/${path}`, background],
      )
      await arrived
      // The user was active since the upload began, or the session is over.
      const later = began + (IDLE + 3) * 1000
      const isKnown = (later) => auth.session === null || auth.session.idleExpiresAt > later
      await page.waitForFunction(isKnown, later, { timeout: 30_000 })
      respond()
      assert.deepEqual(await page.evaluate(() => ended), { value: 200 })
      assert.equal(await page.evaluate(() => auth.endReason), background ? 'idle' : null)
    })
  }
})
