// Routes with `media`, in Chromium: elements of the app's pages load pictures and films by their URLs, and other
// ways to open these URLs get nothing.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPage } from '../../support/edge/page.mjs'
import { listen } from '../../support/listen.mjs'
import { PNG, sendFilm, VTT } from '../../support/media.mjs'

const time = { timeout: 60_000 }
/** The length of the film in seconds: 2 GB. */
const LENGTH = 250_000
const SCRIPT =
  'for (const window of [globalThis, globalThis.parent, globalThis.opener]) if (window) window.ran = true'
const PICTURE =
  '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>parent.ran = true</script></svg>'
/** The files of the API, with their types. */
const FILES = {
  '/1.png': ['image/png', PNG],
  '/1.svg': ['image/svg+xml', PICTURE],
  '/page.html': ['text/html', `<script>${SCRIPT}</script>`],
  '/code.js': ['text/javascript', SCRIPT],
  '/style.css': ['text/css', 'body { color: red }'],
  '/1.vtt': ['text/vtt', VTT],
}
let upstream, app, page, requests

before(async () => {
  upstream = await listen({
    handler(request, response) {
      const { pathname } = new URL(request.url, 'http://localhost')
      requests.push({ path: pathname, range: request.headers.range, token: request.headers.authorization })
      if (pathname === '/film.wav') return sendFilm({ request, response, seconds: LENGTH })
      const [type, body] = FILES[pathname] ?? ['text/plain', 'not found']
      response.writeHead(FILES[pathname] ? 200 : 404, { 'content-type': type }).end(body)
    },
  })
  requests = []
  app = await startPage('node', {
    coordinator: 'node-redis',
    route: {
      prefix: '/files/',
      url: undefined,
      upstream: `${upstream.origin}/`,
      methods: ['GET', 'HEAD'],
      reflection: 'headers',
      media: true,
    },
  })
  // The page's policy must not be what refuses.
  app.site.pageCsp = "default-src 'self'"
  page = await app.open()
  await app.signIn(page)
}, time)
after(async () => {
  await app?.close()
  await upstream?.close()
})

/** Adds an element to the page. Resolves with the name of the event that says if it was loaded. */
const load = (tag, attributes, events = ['load', 'error']) =>
  page.evaluate(
    ([tag, attributes, events]) =>
      new Promise((resolve) => {
        const element = document.createElement(tag)
        for (const event of events) element.addEventListener(event, () => resolve(event))
        Object.assign(element, attributes)
        document.body.append(element)
      }),
    [tag, attributes, events],
  )

test('picture has the user’s token', time, async () => {
  for (const name of ['1.png', '1.svg'])
    assert.equal(await load('img', { src: `/files/${name}` }), 'load', name)
  assert.ok(requests.every(({ token }) => /^Bearer ./.test(token)))
  assert.equal(await page.evaluate(() => globalThis.ran), undefined)
})

test('film of 2 GB can be searched', time, async () => {
  requests.length = 0
  for (const tag of ['video', 'audio']) {
    const times = await page.evaluate(async (tag) => {
      const element = document.createElement(tag)
      const next = (name) => new Promise((resolve) => element.addEventListener(name, resolve, { once: true }))
      element.muted = true
      element.src = '/files/film.wav'
      document.body.append(element)
      await next('loadedmetadata')
      const times = [element.duration]
      for (const time of [9000, 60, 200_000]) {
        element.currentTime = time
        await next('seeked')
        times.push(element.currentTime)
      }
      element.remove()
      element.src = ''
      return times
    }, tag)
    assert.deepEqual(times, [LENGTH, 9000, 60, 200_000])
  }
  assert.ok(requests.some(({ range }) => Number(/\d+/.exec(range)) > 2 ** 30))
})

test('text track is loaded', time, async () => {
  const loaded = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const video = document.createElement('video')
        const track = Object.assign(document.createElement('track'), { src: '/files/1.vtt', default: true })
        for (const event of ['load', 'error']) track.addEventListener(event, () => resolve(event))
        video.append(track)
        document.body.append(video)
        track.track.mode = 'showing'
      }),
  )
  assert.equal(loaded, 'load')
})

// claim: handler-73
test('response of another type is no picture', time, async () => {
  for (const name of ['page.html', 'code.js', 'style.css', 'none.png'])
    assert.equal(await load('img', { src: `/files/${name}` }), 'error', name)
})

// claim: handler-73
test('no other way to open a URL of the route gets a document or code', time, async () => {
  requests.length = 0
  for (const name of ['page.html', 'code.js', 'style.css', '1.svg', '1.png']) {
    const url = `/files/${name}`
    await load('iframe', { src: url })
    await load('object', { data: url })
    await load('embed', { src: url })
    assert.equal(await load('script', { src: url }), 'error')
    assert.equal(await load('script', { src: url, type: 'module' }), 'error')
    assert.equal(await load('link', { rel: 'stylesheet', href: url }), 'error')
    const opened = page.context().waitForEvent('page')
    await page.evaluate((url) => void window.open(url), url)
    const window = await opened
    await window.waitForLoadState()
    assert.equal(await window.evaluate(() => globalThis.ran), undefined)
    await window.close()
    const results = await page.evaluate(async (url) => {
      const worker = () =>
        new Promise((resolve) => {
          const worker = new Worker(url)
          worker.onerror = () => resolve('error')
          worker.onmessage = () => resolve('message')
        })
      const statusOf = async (init) => (await fetch(url, init)).status
      return [await worker().catch(() => 'error'), await statusOf(), await statusOf({ mode: 'no-cors' })]
    }, url)
    assert.deepEqual(results, ['error', 403, 403], name)
  }
  assert.equal(await page.evaluate(() => globalThis.ran), undefined)
  assert.deepEqual(requests, [])
  // A control: the same code at another path of the app.
  app.site.files['/code.js'] = SCRIPT
  assert.equal(await load('script', { src: '/code.js' }), 'load')
  assert.equal(await page.evaluate(() => globalThis.ran), true)
})

test('a part of a drawing cannot become a part of the page', time, async () => {
  requests.length = 0
  const status = page.waitForResponse(/1\.svg/).then((response) => response.status())
  await page.evaluate(() => {
    document.body.insertAdjacentHTML('beforeend', '<svg><use href="/files/1.svg#a" /></svg>')
  })
  assert.equal(await status, 403)
  assert.deepEqual(requests, [])
})

// claim: handler-73
test('page of another site loads nothing', time, async () => {
  const other = await listen({
    handler: (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>other</title>'),
  })
  const tab = await page.context().newPage()
  try {
    await tab.goto(other.origin.replace('localhost', '127.0.0.1'))
    requests.length = 0
    const loaded = await tab.evaluate(
      (src) =>
        new Promise((resolve) => {
          const image = Object.assign(new Image(), { src })
          for (const event of ['load', 'error']) image.addEventListener(event, () => resolve(event))
        }),
      `${app.site.origin}/files/1.png`,
    )
    assert.equal(loaded, 'error')
    assert.deepEqual(requests, [])
  } finally {
    await tab.close()
    await other.close()
  }
})

test('element without a session gets nothing', time, async () => {
  await page.evaluate(() => auth.logout())
  requests.length = 0
  assert.equal(await load('img', { src: '/files/1.png?after' }), 'error')
  assert.deepEqual(requests, [])
})
