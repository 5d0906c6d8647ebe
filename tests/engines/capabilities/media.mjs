/** Shows what elements load through a service worker with `media()`, and that nothing else does. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { signIn } from '../../support/engines/app.mjs'
import { PNG, sendFilm, serveMedia, silence, VTT } from '../../support/media.mjs'
import { until } from '../../support/until.mjs'

const FONT = new URL('../../../node_modules/playwright-core/lib/vite/traceViewer/', import.meta.url)
const RAN = `localStorage.ran = 'yes'`

const FILES = {
  picture: ['image/png', PNG],
  sound: ['audio/wav', silence(1, 0, 8044)],
  subtitles: ['text/vtt', Buffer.from(VTT)],
  'page.html': ['text/html', Buffer.from(`<!doctype html><script>${RAN}</script>`)],
  'script.js': [
    'text/javascript',
    Buffer.from(`try { ${RAN} } catch {}\ntry { postMessage('ran') } catch {}`),
  ],
  'style.css': ['text/css', Buffer.from('html { opacity: 0.5 }')],
}

async function prepare(app) {
  serveMedia(app)
  const font = await readFile(new URL('codicon.DCmgc-ay.ttf', FONT))
  Object.assign(app.files, FILES, { font: ['font/ttf', font] })
  app.files.film = (exchange) => sendFilm({ ...exchange, seconds: 250_000 })
  app.site.pageCsp = app.site.pageCsp
    .replace("default-src 'none'", "default-src 'self'")
    .replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")
  for (const name of ['page.html', 'script.js', 'style.css'])
    app.site.files[`/plain/${name}`] = FILES[name][1]
}

/** Opens a page in which a user is signed in, under the control of the service worker. */
async function gallery({ app, visit }) {
  const { tab } = await visit('/empty')
  await tab.evaluate(() =>
    navigator.serviceWorker
      .register('/sw.js', { type: 'module' })
      .then(() => navigator.serviceWorker.ready)
      .then(() => {}),
  )
  await tab.goto(`${app.site.origin}/`)
  await signIn(tab)
  assert.equal(await tab.evaluate(() => auth.media()), true)
  return tab
}

/** Adds an element to the page. Resolves with the name of the first of `events` that is fired. This function runs there. */
const shown = ([name, attributes, events]) =>
  new Promise((resolve) => {
    const element = document.createElement(name)
    for (const event of events) element.addEventListener(event, () => resolve(event), { once: true })
    Object.assign(element, attributes)
    document.body.append(element)
    globalThis.element = element
  })

const loads = (app) => app.api.requests.filter(({ path }) => path.startsWith('/v1/on/files/'))

/** Opens an address in the ways that need no window. Resolves with those in which it ran. This function runs in the page. */
const ranIn = async (folder) => {
  const ran = []
  const done = (name, attributes) =>
    new Promise((resolve) => {
      const element = document.createElement(name)
      element.onload = element.onerror = resolve
      Object.assign(element, attributes)
      document.body.append(element)
    })
  const look = (name) => {
    if (localStorage.ran) ran.push(name)
    localStorage.removeItem('ran')
  }
  await done('iframe', { src: `${folder}page.html` })
  look('iframe')
  await done('script', { src: `${folder}script.js` })
  look('script')
  await done('script', { src: `${folder}script.js?module`, type: 'module' })
  look('module')
  await new Promise((resolve) => {
    const worker = new Worker(`${folder}script.js`)
    worker.onmessage = () => resolve(ran.push('worker'))
    worker.onerror = resolve
  })
  await done('link', { href: `${folder}style.css`, rel: 'stylesheet' })
  if (getComputedStyle(document.documentElement).opacity !== '1') ran.push('style')
  document.querySelectorAll('link[rel=stylesheet]').forEach((link) => link.remove())
  return ran
}

const usual = { provider: { accessTokenSeconds: 3600 } }

/** @type {import('../suite.mjs').Group[]} */
export const media = [
  {
    name: 'media by URL',
    app: usual,
    prepare,
    capabilities: [
      {
        name: 'media: pictures, sounds, subtitles and fonts load with a token',
        async see(scene) {
          const tab = await gallery(scene)
          const ends = ['load', 'canplaythrough', 'error']
          assert.equal(await tab.evaluate(shown, ['img', { src: '/media/picture' }, ends]), 'load')
          const sound = await tab.evaluate(shown, ['audio', { src: '/media/sound', preload: 'auto' }, ends])
          assert.equal(sound, 'canplaythrough')
          const text = await tab.evaluate(
            () =>
              new Promise((resolve) => {
                const track = document.createElement('track')
                track.onload = () => resolve(track.track.cues[0].text)
                track.onerror = () => resolve('error')
                Object.assign(track, { src: '/media/subtitles', default: true })
                document.createElement('video').append(track)
                document.body.append(track.parentElement)
                track.track.mode = 'showing'
              }),
          )
          assert.equal(text, 'Hello')
          const font = await tab.evaluate(() =>
            new FontFace('loaded', 'url(/media/font)').load().then(({ status }) => status, String),
          )
          assert.equal(font, 'loaded')
          assert.ok(loads(scene.app).every(({ claims }) => claims.sub === 'alice'))
          assert.ok(!scene.app.site.requests.some(({ path }) => path.startsWith('/media/')))
        },
      },
      {
        name: 'media: a video seeks in a file of 2 GB',
        async see(scene) {
          const tab = await gallery(scene)
          const film = ['video', { src: '/media/film', preload: 'auto' }, ['loadedmetadata', 'error']]
          assert.equal(await tab.evaluate(shown, film), 'loadedmetadata')
          const seeked = await tab.evaluate(
            () =>
              new Promise((resolve) => {
                element.addEventListener('seeked', () => resolve(element.currentTime))
                element.addEventListener('error', () => resolve(element.error.message))
                element.currentTime = 200_000
              }),
          )
          assert.equal(seeked, 200_000)
          const ranges = loads(scene.app).map(({ headers }) => Number(/\d+/.exec(headers.range ?? '0')[0]))
          assert.ok(
            ranges.some((from) => from > 1e9),
            `${ranges}`,
          )
        },
      },
      {
        name: 'media: the connection to the API ends with the element',
        async see(scene) {
          const tab = await gallery(scene)
          const film = ['video', { src: '/media/film', preload: 'auto' }, ['loadedmetadata', 'error']]
          await tab.evaluate(shown, film)
          await tab.evaluate(() => {
            element.removeAttribute('src')
            element.load()
          })
          await Promise.all(loads(scene.app).map(({ closed }) => closed))
        },
      },
      {
        // claim: script-41
        name: 'media: no document, script or style at such an address runs',
        async see(scene) {
          const tab = await gallery(scene)
          const plain = await tab.evaluate(ranIn, '/plain/')
          assert.deepEqual(plain, ['iframe', 'script', 'module', 'worker', 'style'])
          assert.deepEqual(await tab.evaluate(ranIn, '/media/'), [])
        },
      },
      {
        // claim: script-41
        name: 'media: a part of a drawing cannot become a part of the page',
        async see(scene) {
          const tab = await gallery(scene)
          scene.app.files['drawing.svg'] = [
            'image/svg+xml',
            Buffer.from(
              '<svg xmlns="http://www.w3.org/2000/svg" id="a" width="1" height="1"><rect width="9" height="9"/></svg>',
            ),
          ]
          await tab.evaluate(() => {
            document.body.innerHTML = '<svg><use href="/media/drawing.svg#a"/></svg>'
          })
          const image = ['img', { src: '/media/drawing.svg?img' }, ['load', 'error']]
          assert.equal(await tab.evaluate(shown, image), 'load')
          assert.deepEqual(
            loads(scene.app).map(({ path }) => path),
            ['/v1/on/files/drawing.svg?img'],
          )
        },
      },
      {
        name: 'media: auth.media() lets the first page load pictures',
        async see({ visit }) {
          const { tab } = await visit('/')
          await signIn(tab)
          const isReady = await tab.evaluate(() => {
            navigator.serviceWorker.register('/sw.js', { type: 'module' })
            return auth.media()
          })
          assert.equal(isReady, true)
          const image = ['img', { src: '/media/picture' }, ['load', 'error']]
          assert.equal(await tab.evaluate(shown, image), 'load')
        },
      },
      {
        name: 'media: auth.download() loads a file, and the page stays',
        async see(scene) {
          const tab = await gallery(scene)
          await tab.evaluate(() => void (globalThis.stays = true))
          scene.app.api.clear()
          const { error } = await tab.evaluate(() => settle(auth.download('/media/picture')))
          assert.equal(error, undefined)
          await until(() => loads(scene.app).length)
          assert.equal(await tab.evaluate(() => stays), true)
        },
      },
    ],
  },
  {
    name: 'media by URL, and a vault on an origin of its own',
    app: { ...usual, vaultOrigin: true },
    prepare,
    capabilities: [
      {
        name: 'vault origin: pictures load by URL',
        async see(scene) {
          const tab = await gallery(scene)
          const image = ['img', { src: '/media/picture' }, ['load', 'error']]
          assert.equal(await tab.evaluate(shown, image), 'load')
        },
      },
    ],
  },
]
