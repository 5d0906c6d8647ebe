/**
 * Measures pictures and a video that elements load by URL through the vault, beside the same files with a cookie and
 * without a service worker. The API is on the app's own origin, so no request needs a preflight.
 */
import { booted, serveApp, signIn } from '../tests/support/app.mjs'
import { PNG, sendFilm, SERVICE_WORKER } from '../tests/support/media.mjs'
import { startChromium } from './chromium.mjs'
import { startCollector } from './collector.mjs'
import { ratios, spread } from './stats.mjs'
import { milliseconds, timeRatio } from './table.mjs'

const ROUNDS = 5
const PICTURES = 1000
const ALONE = 60

/** What is measured, in milliseconds, with the aim for the ratio. */
const MEASURES = {
  total: { what: `${PICTURES} pictures at once, until all are shown`, aim: 1.5 },
  median: { what: `${PICTURES} pictures at once, median of one` },
  alone: { what: `one picture at a time, median of ${ALONE}` },
  frame: { what: 'a video of 2 GB, until its first frame', aim: 1.3 },
  seek: { what: 'the same video, a seek to its end' },
}

const NOTES = [
  'Loopback, own origin of the app: the server, the browser and the bench share the processors. Contender: the same files with a cookie, in a page without a service worker. An API on another origin needs a preflight for each picture, which makes about 2x of it.',
]

/** The code of a page that measures the files below `folder`, and reports to `collector`. */
const measuring = (collector) => `
const parameters = new URLSearchParams(location.search)
const folder = parameters.get('folder')
let last = 0
const address = (name) => \`\${folder}\${name}?\${parameters.get('id')}-\${last++}\`
const loaded = (element, event, change) =>
  new Promise((resolve, reject) => {
    const began = performance.now()
    element.addEventListener(event, () => resolve(performance.now() - began), { once: true })
    element.addEventListener('error', () => reject(new Error(\`\${element.src} was not loaded\`)), { once: true })
    change()
  })
const picture = () => {
  const image = new Image()
  return loaded(image, 'load', () => (image.src = address('picture')))
}
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

export const measure = async () => {
  const found = {}
  await picture()
  const alone = []
  for (let i = 0; i < ${ALONE}; i++) alone.push(await picture())
  found.alone = median(alone)
  const began = performance.now()
  const times = await Promise.all(Array.from({ length: ${PICTURES} }, picture))
  found.total = performance.now() - began
  found.median = median(times)
  const video = Object.assign(document.createElement('video'), { muted: true, preload: 'auto' })
  document.body.append(video)
  found.frame = await loaded(video, 'loadeddata', () => (video.src = address('film')))
  found.seek = await loaded(video, 'seeked', () => (video.currentTime = 249_000))
  video.remove()
  return found
}

export const report = (outcome) =>
  fetch(\`${collector}?id=\${parameters.get('id')}\`, { method: 'POST', body: JSON.stringify(outcome) })

export const run = async (ready) => {
  try {
    await ready()
    await report({ value: await measure() })
  } catch (error) {
    await report({ error: String(error) })
  }
}
`

const COOKIE_PAGE = `import { run } from '/measuring.js'
document.cookie = 'user=alice'
run(async () => {})
`

/** A service worker without a vault, which passes on the requests for pictures. */
const PASSING = `addEventListener('fetch', (event) => {
  if (event.request.destination === 'image') event.respondWith(fetch(event.request))
})
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
`

const VAULT_PAGE = `import '/page.js'
import { run } from '/measuring.js'
run(async () => {
  await boot
  if (!(await auth.media())) throw new Error('no service worker controls the page')
})
`

/** Serves the files below a path, to requests that `isAllowed`. */
const filesFor = (isAllowed) => (request, response) => {
  if (!isAllowed(request.headers)) return void response.writeHead(401).end()
  const { pathname } = new URL(request.url, 'http://site')
  if (pathname.endsWith('/film')) return sendFilm({ request, response, seconds: 250_000 })
  response.writeHead(200, {
    'Content-Type': 'image/png',
    'Content-Length': PNG.length,
    'Cache-Control': 'no-store',
  })
  response.end(PNG)
}

export async function measureMedia(progress, { rounds = ROUNDS } = {}) {
  progress('servers')
  const app = await serveApp({ extendedLifetime: false })
  const { site } = app
  const collector = await startCollector({ origin: '*', token: () => '', expired: () => false })
  const html = (script) =>
    `<!doctype html><html lang="en"><title>Bench</title><link rel="icon" href="data:,"><body><script type="module" src="${script}"></script>`
  app.setConfig({
    apis: [{ url: `${site.origin}/files/`, methods: ['GET'], reflection: 'headers', media: '/media/' }],
  })
  site.connectSrc.push(site.origin)
  site.pageCsp = "default-src 'self'; img-src 'self' data:; connect-src *"
  site.serviceWorkers.push('/sw.js', '/passing.js')
  site.below['/files/'] = filesFor(({ authorization }) => /^Bearer ./.test(authorization))
  site.below['/cookie/'] = filesFor(({ cookie }) => /user=alice/.test(cookie))
  Object.assign(site.files, {
    '/sw.js': SERVICE_WORKER,
    '/passing.js': PASSING,
    '/measuring.js': measuring(collector.url),
    '/cookie.html': html('/with-cookie.js'),
    '/with-cookie.js': COOKIE_PAGE,
    '/vault.html': html('/with-vault.js'),
    '/with-vault.js': VAULT_PAGE,
  })
  const chromium = await startChromium()
  const { version } = chromium
  // Pages at this origin have no service worker, and those at the next have one that only passes requests on.
  const other = site.origin.replace('localhost', '127.0.0.1')
  const passingOrigin = site.origin.replace('localhost', 'passing.localhost')
  let last = 0
  const visit = async (page, folder) => {
    const id = String(last++)
    const result = collector.result(id)
    const close = await chromium.open(`${page}?id=${id}&folder=${folder}`)
    try {
      return await result
    } finally {
      await close()
    }
  }
  try {
    const register = async (page, origin, file) => {
      await page.goto(`${origin}/empty`)
      await page.evaluate(async (file) => {
        await navigator.serviceWorker.register(file, { type: 'module' })
        await navigator.serviceWorker.ready
      }, file)
    }
    await chromium.drive(async (page) => {
      await register(page, passingOrigin, '/passing.js')
      await register(page, site.origin, '/sw.js')
      await page.goto(`${site.origin}/`)
      await booted(page)
      await signIn(page)
    })
    const seen = { vault: [], cookie: [], passing: [] }
    for (let round = 0; round <= rounds; round++) {
      progress(round ? `round ${round} of ${rounds}` : 'warm-up')
      const vault = await visit(`${site.origin}/vault.html`, '/media/')
      const cookie = await visit(`${other}/cookie.html`, '/cookie/')
      const passing = await visit(`${passingOrigin}/cookie.html`, '/cookie/')
      if (!round) continue
      seen.vault.push(vault)
      seen.cookie.push(cookie)
      seen.passing.push(passing)
    }
    const of = (contender, name) => seen[contender].map((found) => found[name])
    const rows = Object.entries(MEASURES).map(([name, { what, aim }]) => ({
      what,
      own: milliseconds(spread(of('vault', name))),
      peer: `cookie ${milliseconds(spread(of('cookie', name)))}`,
      ratio: timeRatio(ratios(of('vault', name), of('cookie', name))),
      aim,
    }))
    const alone = timeRatio(ratios(of('passing', 'total'), of('cookie', 'total'))).text
    const notes = [
      ...NOTES,
      `With a service worker that only passes them on, the ${PICTURES} pictures with a cookie take ${alone}.`,
    ]
    return { rows, notes, version }
  } finally {
    await chromium.close()
    await collector.close()
    for (const server of [app.site, app.api, app.provider]) await server.close()
  }
}
