// Pictures and videos by URL bring no token to the page, to a message of the service worker, or to a cache.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { HEAP_ARGS } from '../support/heap.mjs'
import { collect, record, search } from '../support/leak.mjs'
import { openGallery, PNG, sendFilm, SERVICE_WORKER, show, startMediaApp } from '../support/media.mjs'

// A search of the heap takes up to half a minute, even on a machine without other load.
const time = { timeout: 180_000 }

/** Records each message that the service worker sends or receives. */
const RECORDER = `
const messages = (globalThis.messages = [])
const { postMessage } = MessagePort.prototype
const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, 'data')
const keep = (data) => (messages.push(JSON.stringify(data, (_, value) => value)), data)
MessagePort.prototype.postMessage = function (data, ...rest) {
  return postMessage.call(this, keep(data), ...rest)
}
Object.defineProperty(MessageEvent.prototype, 'data', {
  get() {
    return keep(get.call(this))
  },
})
`

let app
before(async () => {
  app = await startMediaApp({
    launch: { args: HEAP_ARGS },
    serviceWorker: SERVICE_WORKER.replace('media(', `${RECORDER}media(`),
  })
  app.files.picture = ['image/png', PNG]
  app.files.film = (exchange) => sendFilm({ ...exchange, seconds: 250_000 })
})
after(() => app.close())

// claim: script-40
test("no token is in the page, the service worker's messages or a cache", time, async () => {
  const context = await app.browser.newContext()
  const log = await record(context)
  const page = await openGallery(app, context)
  assert.equal(await show(page, 'img', { src: '/media/picture' }), 'load')
  const attributes = { src: '/media/film', preload: 'metadata' }
  assert.equal(await show(page, 'video', attributes, ['loadedmetadata', 'error']), 'loadedmetadata')
  await page.evaluate(() => auth.download('/media/picture'))
  await show(page, 'img', { src: '/media/missing' })
  const [worker] = context.serviceWorkers()
  const messages = await worker.evaluate(() => globalThis.messages)
  assert.ok(
    messages.some((text) => text.includes('image/png')),
    'a control: messages are recorded',
  )
  const { unread, ...places } = await collect(page, log)
  const secrets = app.ledger.secrets().filter(({ kind }) => kind !== 'authorization_code')
  assert.ok(secrets.some(({ kind }) => kind === 'access_token'))
  assert.deepEqual(search({ ...places, messages }, secrets), [])
  const [{ value }] = secrets
  assert.ok(search({ messages: [...messages, value] }, secrets).length, 'a control: a token is found')
  assert.ok(unread)
  assert.deepEqual(await page.evaluate(() => caches.keys()), [])
})
