// The option `media` of a rule: elements load files of an API by their addresses, with a token that no script sees.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openGallery, PNG, sendFilm, show, startMediaApp } from '../support/media.mjs'

const time = { timeout: 60_000 }

let app
before(async () => {
  app = await startMediaApp()
})
after(() => app.close())

/** The requests for files that arrived at the API. */
const loads = () => app.api.requests.filter(({ path }) => path.startsWith('/v1/on/files/'))

test('a picture is loaded with a token', time, async () => {
  app.files.picture = ['image/png', PNG]
  const page = await openGallery(app)
  app.api.clear()
  assert.equal(await show(page, 'img', { src: '/media/picture?size=1' }), 'load')
  assert.equal(await page.evaluate(() => element.naturalWidth), 1)
  const [load] = loads()
  assert.equal(load.path, '/v1/on/files/picture?size=1')
  assert.equal(load.claims.sub, 'alice')
  assert.ok(!app.site.requests.some(({ path }) => path.startsWith('/media/')))
})

test('a video seeks by a range', time, async () => {
  app.files.film = (exchange) => sendFilm({ ...exchange, seconds: 250_000 })
  const page = await openGallery(app)
  app.api.clear()
  const event = await show(page, 'video', { src: '/media/film', preload: 'metadata' }, [
    'loadedmetadata',
    'error',
  ])
  assert.equal(event, 'loadedmetadata')
  const seeked = await page.evaluate(
    () =>
      new Promise((resolve) => {
        element.addEventListener('seeked', () => resolve([element.currentTime, element.seekable.end(0)]))
        element.addEventListener('error', () => resolve(element.error.message))
        element.currentTime = 200_000
      }),
  )
  assert.deepEqual(seeked, [200_000, 250_000])
  const [first, ...later] = loads().map(({ headers }) => headers.range)
  assert.equal(first, 'bytes=0-')
  assert.ok(
    later.some((range) => Number(/\d+/.exec(range)[0]) > 1e9),
    `${later}`,
  )
})
