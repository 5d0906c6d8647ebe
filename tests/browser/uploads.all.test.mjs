// Uploads of tus-js-client and Uppy through the vault last longer than a token, a connection and a page.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signIn, startApp } from '../support/app.mjs'
import { content, startUploads, testUploads } from '../support/uploads.mjs'

const time = { timeout: 60_000 }

let app, uploads, page

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 6 } })
  uploads = await startUploads(app)
  page = await app.open()
  await signIn(page)
})
after(async () => {
  await app?.close()
  await uploads?.close()
})

testUploads(() => ({ app, uploads, page, signIn }))

const upload = () => page.evaluate((endpoint) => uploads.tus({ endpoint }), `${app.api.url}files`)

test('a refused part is sent again with a new token', time, async () => {
  uploads.reset()
  uploads.onPart = async (part) => {
    if (part === 3) uploads.refusesNext = true
  }
  assert.deepEqual(await uploads.read(await upload()), content)
  assert.equal(app.api.requests.filter(({ method }) => method === 'HEAD').length, 0)
})
