/** An app whose elements load files of the API through a service worker with `media()`. */
import { once } from 'node:events'
import { booted, signIn, startApp } from './app.mjs'

/** A picture of one pixel. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** Subtitles with one line. */
export const VTT = 'WEBVTT\n\n00:00.000 --> 00:10.000\nHello\n'

/** The length of a second of {@link silence} in bytes. */
const SAMPLES = 8000

/** Returns the bytes `from` to `to` of a file with silence, which every engine plays. */
export function silence(seconds, from, to) {
  const header = Buffer.alloc(44)
  header.write('RIFF')
  header.writeUInt32LE(36 + seconds * SAMPLES, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(SAMPLES, 24)
  header.writeUInt32LE(SAMPLES, 28)
  header.writeUInt16LE(1, 32)
  header.writeUInt16LE(8, 34)
  header.write('data', 36)
  header.writeUInt32LE(seconds * SAMPLES, 40)
  const bytes = Buffer.alloc(to - from, 128)
  if (from < header.length) header.copy(bytes, 0, from)
  return bytes
}

/** The service worker of an app, as the guide has it. */
export const SERVICE_WORKER = `import { media } from '/strongroom/media.js'
media('/media/')
`

/** The size of the chunks in which the API sends a long file. */
const CHUNK = 64 * 1024

/** Sends a part of a long file as fast as the client reads it, with the headers of a range (RFC 9110 14). */
export async function sendFilm({ request, response, seconds, type = 'audio/wav', exposed = true }) {
  const size = 44 + seconds * SAMPLES
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const from = Number(first ?? 0)
  const to = last ? Number(last) + 1 : size
  if (exposed) response.setHeader('Access-Control-Expose-Headers', 'Content-Range, Accept-Ranges')
  response.writeHead(first === undefined ? 200 : 206, {
    'Content-Type': type,
    'Content-Length': to - from,
    'Accept-Ranges': 'bytes',
    ...(first !== undefined && { 'Content-Range': `bytes ${from}-${to - 1}/${size}` }),
  })
  const closed = once(response, 'close')
  for (let at = from; at < to && !response.destroyed; at += CHUNK) {
    const isFree = response.write(silence(seconds, at, Math.min(at + CHUNK, to)))
    if (!isFree) await Promise.race([once(response, 'drain'), closed])
  }
  response.end()
}

/**
 * Starts an app with a rule `media`. `/media/a` is the API's `/v1/on/files/a`, which a test answers by `app.files.a`:
 * a function, or an array of a type and a body.
 */
export async function startMediaApp({ serviceWorker, rule, config, ...options } = {}) {
  const app = await startApp({ extendedLifetime: false, provider: { accessTokenSeconds: 300 }, ...options })
  return serveMedia(app, { serviceWorker, rule, config })
}

/** Changes an app that `startApp()` or `serveApp()` has started, as {@link startMediaApp} says. */
export function serveMedia(app, { serviceWorker = SERVICE_WORKER, rule, config } = {}) {
  app.setConfig({
    ...config,
    apis: [
      { url: `${app.api.url}on/files/`, reflection: 'headers', media: '/media/', ...rule },
      { url: app.api.url, methods: ['GET', 'POST'] },
    ],
  })
  app.files = {}
  app.api.on('files', async (exchange) => {
    const file = app.files[exchange.rest[1]]
    if (typeof file === 'function') return file(exchange)
    const [type, body] = file ?? ['text/plain', 'Not found']
    exchange.response.writeHead(file ? 200 : 404, { 'Content-Type': type, 'Content-Length': body.length })
    exchange.response.end(body)
  })
  app.site.pageCsp = app.site.pageCsp.replace(
    'img-src data:',
    "img-src 'self' data:; media-src 'self'; font-src 'self'",
  )
  app.site.pageCsp = app.vault
    ? app.site.pageCsp.replace('frame-src', "frame-src 'self'")
    : `${app.site.pageCsp}; frame-src 'self'`
  app.site.serviceWorkers.push('/sw.js')
  app.site.files['/sw.js'] = serviceWorker
  return app
}

/** Starts the app's service worker, opens a page and signs in, in a new browser context or in `context`. */
export async function openGallery(app, context) {
  const page = await app.open('/empty', context)
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    await navigator.serviceWorker.ready
  })
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  await signIn(page)
  return page
}

/** Adds an element with `attributes` to the page. Resolves with the name of the first of its `events` that is fired. */
export const show = (page, name, attributes, events = ['load', 'error']) =>
  page.evaluate(
    ([tag, given, names]) =>
      new Promise((resolve) => {
        const element = document.createElement(tag)
        for (const name of names) element.addEventListener(name, () => resolve(name), { once: true })
        Object.assign(element, given)
        document.body.append(element)
        globalThis.element = element
      }),
    [name, attributes, events],
  )

/** Opens another page of the app in the browser context of `page`, where the user is signed in. */
export async function openAnother(app, page) {
  const other = await app.open('/', page.context())
  await booted(other)
  return other
}
