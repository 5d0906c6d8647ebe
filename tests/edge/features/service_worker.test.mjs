// A service worker of the app stands between the browser and the token handler, and passes navigations on.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readGuide } from '../../recipes/guide.mjs'
import { giveConsent, htmlWith } from '../../support/app.mjs'
import { ALL, leftOut, rows, WHOLE } from '../../support/combinations.mjs'
import { clickLate, startPage } from '../../support/edge/page.mjs'
import { listen } from '../../support/listen.mjs'
import { installWorkers } from '../../support/workers.mjs'

const time = { timeout: 60_000 }

/** What the usual workers do with a navigation that is not in their cache. */
const PASSING = {
  // Also what Workbox's NetworkFirst and NetworkOnly do, and ngsw for an address outside its `navigationUrls`.
  'network first': `event.respondWith(fetch(event.request).catch(() => caches.match('/link.html')))`,
  // Also what Workbox's precacheAndRoute() leads to, and ngsw for an asset group.
  precache: `event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)))`,
  'app shell': `if (event.request.mode === 'navigate' && !/^\\/(auth|api)\\//.test(new URL(event.request.url).pathname))
    return event.respondWith(caches.match('/link.html'))
    event.respondWith(fetch(event.request))`,
}

/** Workers that send another request in place of a navigation. */
const REPLACING = {
  'its address': `event.respondWith(fetch(event.request.url))`,
  'a new request': `event.respondWith(fetch(new Request(event.request, { cache: 'no-store' })))`,
}

/** Returns a worker that controls the page at once, and has the app's shell in its cache. */
const worker = (listener) => `
  self.oninstall = (event) => event.waitUntil(
    caches.open('shell').then((cache) => cache.addAll(['/link.html', '/guarded.html'])).then(() => skipWaiting()))
  self.onactivate = (event) => event.waitUntil(clients.claim())
  self.onfetch = (event) => { ${listener} }`

const SHELL = '<!doctype html><script src="/tools.js"></script><a href="/api/me?link">A link of the app</a>'

/** Real service workers that pass navigations on, in place of a listener. */
const REAL = {
  // claim: handler-15
  'Workbox, network first': ({ workbox }) =>
    workbox(
      '/link.html',
      `workbox.routing.registerRoute(({ request }) => request.mode === 'navigate', new workbox.strategies.NetworkFirst())`,
    ),
  // claim: handler-15
  'Angular’s, as the guide says': ({ ngsw }) =>
    ngsw('/link.html', SHELL, JSON.parse(`{ ${line("Angular's `ngsw-config.json`")} }`)),
}

/** Returns Workbox with the app's shell for navigations, by the route that `routeOf` returns. */
const workboxShell =
  (routeOf) =>
  ({ workbox }) =>
    workbox(
      '/link.html',
      `{
        const { NavigationRoute } = workbox.routing
        const handler = workbox.precaching.createHandlerBoundToURL('/link.html')
        workbox.routing.registerRoute(${routeOf()})
      }`,
    )

let app, elsewhere, workers, guide

/** Returns the code in the guide's table for a token handler. */
const line = (tool) => guide.row(tool)[1][0].replaceAll('\\|', '|')

before(async () => {
  elsewhere = await listen({
    handler(request, response) {
      const to = new URL(request.url, 'http://elsewhere').searchParams.get('to')
      response.writeHead(200, { 'Content-Type': 'text/html' }).end(`<!doctype html><a href="${to}">click</a>`)
    },
  })
  app = await startPage('node', {
    coordinator: 'in-isolate',
    provider: { accessTokenSeconds: 3600 },
    route: { navigate: true },
  })
  app.site.pageCsp = app.site.pageCsp.replace("worker-src 'none'", "worker-src 'self'; frame-src 'self'")
  app.site.serviceWorkers.push('/sw.js')
  app.site.files['/guarded.html'] = htmlWith('/guarded.js')
  app.site.files['/guarded.js'] = `import '/tools.js'
    import { createAuth } from '/strongroom/index.js'
    globalThis.auth = createAuth('/auth')
    globalThis.guarded = auth.requireSession()`
  app.site.files['/link.html'] = SHELL
  if (WHOLE) workers = await installWorkers()
  guide = await readGuide('docs/pwa.md')
}, time)
after(async () => {
  await app?.close()
  await elsewhere?.close()
})

/** Opens a page that a worker controls: a real one, or one with this listener. */
async function controlled(listener, path = '/link.html') {
  const files = typeof listener === 'function' ? await listener(workers) : { '/sw.js': worker(listener) }
  Object.assign(app.site.files, files)
  app.api.clear()
  const page = await app.open(path)
  await page.evaluate(async () => {
    const { serviceWorker } = navigator
    const control = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
    await serviceWorker.register('/sw.js')
    if (!serviceWorker.controller) await control
  })
  return page
}

/** Returns the queries of the requests that reached the API with a token. */
const served = () =>
  app.api.requests
    .filter(({ authorization }) => authorization)
    .map(({ path }) => new URL(path, app.api.origin).search)

/** Waits for the handler's page, clicks on its link, and waits for the API's response. */
async function follow(page, count) {
  await page.waitForSelector('h1:has-text("Open this page"), h1:has-text("You are signed in")')
  assert.equal(served().length, count)
  const link = page.getByRole('link')
  await link.waitFor()
  await clickLate(link)
  await page.waitForURL(/strongroom-click=/)
  await page.waitForFunction(() => !document.querySelector('h1'))
  assert.equal(served().length, count + 1)
}

/** The state of the app in the guarded page, when its guard has given up. */
const refusal = async (page) => {
  await page.waitForFunction(() => globalThis.guarded)
  return page.evaluate(async () => {
    const session = await guarded
    const { status, error } = auth.state
    const again = await settle(auth.login())
    return [session, status, error.code, again.error.code, error.message, location.pathname]
  })
}

describe("the app's page in place of the handler", { timeout: 120_000 }, () => {
  test('a worker that serves it for a login: the guard stops with shell_served', time, async () => {
    const shell = `if (event.request.mode === 'navigate') event.respondWith(caches.match('/guarded.html'))`
    const page = await controlled(shell)
    await page.goto(`${app.site.origin}/orders`)
    await page.waitForURL('**/auth/login?**')
    const [...outcome] = await refusal(page)
    assert.match(outcome.splice(4, 1)[0], /runs at \/auth\/login, .* service worker has most likely.*Exclude/)
    assert.deepEqual(outcome, [null, 'failed', 'shell_served', 'shell_served', '/auth/login'])
  })

  test('a server that sends it for every address: the guard stops with shell_served', time, async () => {
    const page = await app.open('/link.html')
    const body = app.site.files['/guarded.html']
    await page.route('**/auth/**', (route) => route.fulfill({ contentType: 'text/html', body }))
    await page.goto(`${app.site.origin}/guarded.html`)
    const [...outcome] = await refusal(page)
    assert.match(outcome.splice(4, 1)[0], /\/auth\/config is a page\. Exclude/)
    assert.deepEqual(outcome, [null, 'failed', 'shell_served', 'shell_served', '/guarded.html'])
    for (const path of ['/auth/login', '/auth/callback', '/auth/popup', '/auth/logout/provider']) {
      await page.goto(app.site.origin + path)
      const [...outcome] = await refusal(page)
      assert.match(outcome.splice(4, 1)[0], /no service worker controls it, so the server has responded/)
      assert.deepEqual(outcome, [null, 'failed', 'shell_served', 'shell_served', path])
    }
  })

  test('a page of the app with a similar address connects', time, async () => {
    app.site.routes['/auth/login-help'] = app.site.routes['/app/auth/login'] = '/guarded.html'
    const page = await app.open('/app/auth/login')
    await page.waitForURL('**/interaction/**')
  })
})

/** The workers of a run without `--all`: a listener, and a real worker, which the usual run leaves out. */
const USUAL = rows(['network first', 'Workbox, network first'])
for (const [kind, listener] of Object.entries({ ...PASSING, ...REAL })) {
  if (!ALL && !USUAL.includes(kind)) continue
  describe(`a worker that passes on: ${kind}`, { timeout: 300_000 }, () => {
    test('a login works, and returns', time, async () => {
      const page = await controlled(listener)
      await page.goto(`${app.site.origin}/auth/login?returnTo=/link.html`)
      await giveConsent(page)
      await page.waitForURL(`${app.site.origin}/link.html`)
      const cookies = await page.context().cookies(app.site.origin)
      assert.ok(cookies.some(({ name }) => name === 'strongroom'))
    })

    // claim: handler-15
    test('a route needs a click: typed address, link, frame, link of another site', time, async () => {
      const page = await controlled(listener)
      await page.goto(`${app.site.origin}/auth/login?returnTo=/api/me?login`)
      await giveConsent(page)
      await follow(page, 0)
      await page.goto(`${app.site.origin}/api/me?typed`)
      await follow(page, 1)
      await page.goto(`${app.site.origin}/link.html`)
      await page.click('a')
      await follow(page, 2)
      await page.goto(`${elsewhere.origin}/?to=${encodeURIComponent(`${app.site.origin}/api/me?elsewhere`)}`)
      await page.click('a')
      await follow(page, 3)
      assert.deepEqual(
        served().map((query) => query.replace(/&.*/, '')),
        ['?login', '?typed', '?link', '?elsewhere'],
      )
      // A frame shows neither the route nor the page with the link.
      await page.goto(`${app.site.origin}/link.html`)
      const loaded = page.evaluate(
        () =>
          new Promise((resolve) => {
            const frame = document.createElement('iframe')
            Object.assign(frame, { src: '/api/me?frame', onload: resolve })
            document.body.append(frame)
          }),
      )
      await loaded
      const [, frame] = page.frames()
      assert.equal(await frame.evaluate(() => document.querySelector('a')).catch(() => null), null)
      assert.equal(served().length, 4)
    })
  })
}

for (const [kind, listener] of Object.entries(REPLACING)) {
  test(`a worker that sends ${kind} gets a page that names its line`, time, async () => {
    const page = await controlled(listener)
    for (const [path, begin] of [
      ['/auth/login', '/auth/'],
      ['/api/me', '/api/'],
    ]) {
      await page.goto(app.site.origin + path)
      const text = await page.textContent('pre')
      assert.equal(text, `if (new URL(event.request.url).pathname.startsWith('${begin}')) return`)
    }
    assert.deepEqual(served(), [])
  })
}

/** Puts the guide's first lines before a worker, as `importScripts()` does: as a script of its own. */
const afterFirst = (listener) => async (workers) => {
  const files = await listener(workers)
  return { ...files, '/sw.js': `${guide.block('// public/first.js')};\n${files['/sw.js']}` }
}

/** Workers that leave the addresses to the browser, as the guide says. The usual run has the first two. */
const LEAVING = {
  'the first lines, before “its address”': afterFirst(() => ({ '/sw.js': worker(REPLACING['its address']) })),
  'control: with the line': `if (/^\\/(auth|api)\\//.test(new URL(event.request.url).pathname)) return;${REPLACING['its address']}`,
  'the first lines, before Angular’s': afterFirst(({ ngsw }) =>
    ngsw('/link.html', SHELL, { navigationUrls: ['/**'] }),
  ),
  'Workbox, as the guide says': workboxShell(() => line('Workbox in a worker of your own')),
}

for (const [kind, listener] of Object.entries(LEAVING).slice(0, WHOLE ? undefined : 2)) {
  test(`${kind}, the worker does not matter`, time, async () => {
    const page = await controlled(listener)
    await page.goto(`${app.site.origin}/auth/login?returnTo=/link.html`)
    await giveConsent(page)
    await page.waitForURL(`${app.site.origin}/link.html`)
    await page.goto(`${app.site.origin}/link.html`)
    await page.click('a')
    await page.waitForURL(/\?link$/)
    assert.deepEqual(served(), ['?link'])
  })
}

/** Workers with the app's shell for each navigation. */
const SHELLS = {
  Workbox: workboxShell(() => 'new NavigationRoute(handler)'),
  'Angular’s': ({ ngsw }) => ngsw('/link.html', SHELL, { navigationUrls: ['/**'] }),
}

for (const [kind, listener] of Object.entries(SHELLS)) {
  leftOut(
    `${kind} worker with the app’s shell for each address: the handler gets no request`,
    time,
    async () => {
      const page = await controlled(listener)
      for (const path of ['/auth/login', '/api/me']) {
        await page.goto(app.site.origin + path)
        assert.equal(await page.textContent('a'), 'A link of the app')
      }
      assert.deepEqual(served(), [])
    },
  )
}
