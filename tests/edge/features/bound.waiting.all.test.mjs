// The requests of a page that wait while Chromium renews the bound cookie, and those that do not.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { booted, htmlWith } from '../../support/app.mjs'
import { ALL } from '../../support/combinations.mjs'
import { boundOf, LIFE, RENEWAL, startBound } from '../../support/edge/bound.mjs'

const time = { timeout: 60_000 }

/** A service worker that requests an address in its own name. */
const WORKER = `
  self.oninstall = () => skipWaiting()
  self.onactivate = (event) => event.waitUntil(clients.claim())
  self.onmessage = ({ data }) => void fetch(data, { headers: { 'x-strongroom': '1' } })`

/** Adds speculation rules to the page, for the address `/next`. */
const speculate = (kind) => `{
  const rules = document.createElement('script')
  rules.type = 'speculationrules'
  rules.textContent = JSON.stringify({ ${kind}: [{ urls: ['/next'], eagerness: 'immediate' }] })
  document.head.append(rules)
}`

/**
 * The requests that wait: what a page does, the path of its request, and code that resolves with what the page has
 * received.
 */
const WAITING = {
  'a call': ['/api/me', `globalThis.got = auth.fetch('/api/me').then(({ status }) => status)`, 200],
  'an upload': [
    '/api/upload',
    `globalThis.got = auth.fetch('/api/upload', { method: 'POST', body: 'a'.repeat(70_000) }).then(async (it) => (await it.json()).size)`,
    70_000,
  ],
  'an event source': [
    '/api/on/news',
    `globalThis.got = new Promise((resolve) => (auth.eventSource('/api/on/news').onmessage = ({ data }) => resolve(data)))`,
    'hello',
  ],
  'a beacon': ['/log', `navigator.sendBeacon('/log', 'hello')`],
  'a request with keepalive': [
    '/api/me',
    `fetch('/api/me', { keepalive: true, headers: { 'x-strongroom': '1' } })`,
  ],
  'a file': ['/picture.svg', `new Image().src = '/picture.svg'`],
  'a prefetched file': [
    '/picture.svg',
    `document.head.append(Object.assign(document.createElement('link'), { rel: 'prefetch', href: '/picture.svg?1' }))`,
  ],
  'a prefetched page': ['/next', speculate('prefetch')],
  'a prerendered page': ['/next', speculate('prerender')],
  'a request of a service worker': ['/api/me', `navigator.serviceWorker.controller.postMessage('/api/me')`],
}

/** Requests that a page sends while the user leaves it. */
const LEAVING = {
  'a beacon': ['/log', `navigator.sendBeacon('/log', 'hello')`],
  'a request with keepalive': WAITING['a request with keepalive'],
}

/** Only workerd forwards sockets. */
const PLATFORMS = [
  ['workerd', 'durable-object'],
  ...(ALL
    ? [
        ['node', 'in-isolate'],
        ['deno', 'deno-kv'],
      ]
    : []),
]

for (const [platform, coordinator] of PLATFORMS) {
  describe(platform, { timeout: 600_000 }, () => {
    let app, page
    before(async () => {
      app = await startBound(platform, {
        coordinator,
        provider: { accessTokenSeconds: 3600 },
        session: { bindExclude: ['/assets'] },
      })
      const { site, api } = app
      site.pageCsp = site.pageCsp
        .replace("script-src 'self'", "script-src 'self' 'inline-speculation-rules'")
        .replace("worker-src 'none'", "worker-src 'self'")
      site.serviceWorkers.push('/sw.js')
      site.files['/sw.js'] = WORKER
      site.files['/picture.svg'] = site.files['/assets/logo.svg'] =
        '<svg xmlns="http://www.w3.org/2000/svg"/>'
      site.files['/next'] = htmlWith('/page.js')
      site.headers['/next'] = { 'Content-Type': 'text/html' }
      api.on('news', ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: hello\n\n')
      })
      page = await app.open()
      await app.signInBound(page)
      await page.evaluate(async () => {
        const { serviceWorker } = navigator
        const control = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
        await serviceWorker.register('/sw.js')
        if (!serviceWorker.controller) await control
      })
      await app.setClock(LIFE)
    }, time)
    after(() => app?.close())

    /** Checks that a request to `path` waits for the one renewal that it causes, and resolves with its page. */
    async function waits(path, begin, status = 200) {
      const tab = await app.open('/', page.context())
      await booted(tab)
      const [place, count] = [app.requestsTo(path).length, app.renewals().length]
      const expireAndBegin = async () => {
        await app.expire(page)
        await begin(tab)
      }
      await app.hold(RENEWAL, expireAndBegin, async () => {
        // Control: a request that does not wait arrives in the meantime.
        await page.evaluate(() => fetch('/assets/logo.svg', { cache: 'reload' }))
        assert.equal(app.requestsTo(path).length, place)
      })
      const request = await app.response(path, place)
      assert.equal(request.status, status)
      const renewals = app.renewals().slice(count)
      assert.equal(renewals.length, 1)
      assert.equal(boundOf(request.headers.cookie), boundOf(`${renewals[0].answered['set-cookie']}`))
      return tab
    }

    for (const [name, [path, code, expected]] of Object.entries(WAITING)) {
      test(`${name} waits for the renewal`, time, async () => {
        // The server of the pages refuses a beacon, which is a POST.
        const tab = await waits(path, (tab) => tab.evaluate(code + ';0'), path === '/log' ? 405 : 200)
        if (expected) assert.equal(await tab.evaluate(() => got), expected)
        await tab.close()
      })
    }

    test('a navigation waits for the renewal', time, async () => {
      const tab = await waits('/orders', (tab) => tab.evaluate(() => location.assign('/orders')))
      await tab.waitForURL(`${app.site.origin}/orders`)
      await booted(tab)
      await tab.close()
    })

    for (const [name, [path, code]] of Object.entries(LEAVING)) {
      test(`${name} of a page that the user leaves waits`, time, async () => {
        let left
        const leave = async (tab) => {
          await tab.evaluate(`addEventListener('pagehide', () => void ${code})`)
          // Another site: the navigation itself waits for nothing.
          left = tab.goto(`${app.provider.origin}/left`)
        }
        const tab = await waits(path, leave, path === '/log' ? 405 : 200)
        await left
        await tab.close()
      })
    }

    test('a file of `bindExclude` does not wait', time, async () => {
      await app.expire(page)
      const count = app.requestsTo(RENEWAL).length
      assert.equal(
        await page.evaluate(() => fetch('/assets/logo.svg', { cache: 'reload' }).then((it) => it.status)),
        200,
      )
      const { headers } = app.requestsTo('/assets/logo.svg').at(-1)
      assert.equal(boundOf(headers.cookie), undefined)
      assert.equal(app.requestsTo(RENEWAL).length, count)
    })

    test('an open event source outlives the bound cookie', time, async () => {
      await app.expire(page)
      const tab = await app.open('/', page.context())
      await booted(tab)
      let send
      app.api.on('stream', ({ response }) => {
        send = (text) => response.write(`data: ${text}\n\n`)
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        send('before')
      })
      await tab.evaluate(() => {
        globalThis.heard = []
        auth.eventSource('/api/on/stream').onmessage = ({ data }) => heard.push(data)
      })
      const hears = (text) => tab.waitForFunction((text) => heard.includes(text), text)
      await hears('before')
      await app.setClock(2 * LIFE)
      await app.expire(page)
      send('after')
      await hears('after')
      // Control: a new request needs a new bound cookie.
      const count = app.renewals().length
      assert.equal((await app.call(tab)).value, 200)
      assert.equal(app.renewals().length, count + 1)
      await tab.close()
    })

    if (platform !== 'workerd') return

    const openSocket = (tab) =>
      tab.evaluate((api) => {
        globalThis.socket = auth.webSocket(`${api.replace('http', 'ws')}live/header`)
        const opened = new Promise((resolve) => (socket.onopen = resolve))
        globalThis.echo = async (text) => {
          await opened
          socket.send(text)
          return new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)))
        }
      }, app.api.url)

    test('a socket waits, and outlives the bound cookie', time, async () => {
      const tab = await waits('/api/live/header', openSocket, 101)
      assert.equal(await tab.evaluate(() => echo('hello')), 'hello')
      await app.setClock(3 * LIFE)
      await app.expire(page)
      assert.equal(await tab.evaluate(() => echo('again')), 'again')
      await tab.close()
    })
  })
}
