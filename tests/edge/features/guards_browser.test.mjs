// A site behind nginx, with the file of docs/oauth2-proxy.md, in a browser: its own pages, and pages of another origin.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { giveConsent } from '../../support/app.mjs'
import { shareBrowser } from '../../support/browser.mjs'
import { startGuardedSite } from '../../support/edge/guarded.mjs'
import { listen } from '../../support/listen.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }
const PIXEL = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'
const PAGE = '<!doctype html><link rel="icon" href="data:,"><h1>The site</h1><img src="/logo.svg">'
const WORKER = `
  self.oninstall = () => skipWaiting()
  self.onactivate = (event) => event.waitUntil(clients.claim())
  self.onfetch = (event) => event.respondWith(fetch(event.request))`

let site, elsewhere, use, page

before(async () => {
  const sockets = new WebSocketServer({ noServer: true })
  const types = { svg: 'image/svg+xml', js: 'text/javascript' }
  const handler = ({ url }, response) => {
    const type = types[url.split('.')[1]] ?? 'text/html'
    response.setHeader('content-type', type)
    response.end({ 'image/svg+xml': PIXEL, 'text/javascript': WORKER }[type] ?? PAGE)
  }
  const upgrade = (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (opened) =>
      opened.on('message', (text) => opened.send(`${text}`)),
    )
  site = await startGuardedSite('nginx', { handler, upgrade })
  // A page of another port of the host: its requests have the cookies.
  elsewhere = await listen({
    host: 'localhost',
    handler(request, response) {
      response.setHeader('content-type', 'text/html')
      response.end('<!doctype html><link rel="icon" href="data:,">')
    },
  })
  use = await shareBrowser()
  page = await (await use.browser.newContext()).newPage()
}, time)
after(async () => {
  await use?.close()
  await elsewhere?.close()
  await site?.close()
})

const tokens = () => site.seen.flatMap(({ headers }) => headers.authorization ?? [])

test('the login returns to a page with its pictures', time, async () => {
  await page.goto(`${site.origin}/reports?month=11`)
  await giveConsent(page)
  await page.waitForURL(`${site.origin}/reports?month=11`)
  assert.equal(await page.evaluate(() => document.querySelector('img').naturalWidth), 7)
})

test('a socket outlives its token', time, async () => {
  await page.evaluate(async () => {
    globalThis.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/socket`)
    await new Promise((resolve, reject) => ((socket.onopen = resolve), (socket.onerror = reject)))
  })
  const first = tokens().at(-1)
  await until(async () => {
    await page.evaluate(() => fetch('/data'))
    return tokens().at(-1) !== first
  })
  const echo = await page.evaluate(
    () =>
      new Promise((resolve) => {
        socket.onmessage = ({ data }) => resolve(data)
        socket.send('still there')
      }),
  )
  assert.equal(echo, 'still there')
})

// claim: handler-75
test('a page of another origin only opens pages', time, async () => {
  const attacker = await page.context().newPage()
  await attacker.goto(elsewhere.origin)
  site.seen.length = 0
  await attacker.evaluate(async (origin) => {
    const add = (name, members) =>
      new Promise((resolve) => {
        const element = Object.assign(document.createElement(name), members)
        element.onload = element.onerror = resolve
        document.body.append(element)
      })
    const quietly = (promise) => promise.catch(() => {})
    for (const path of ['/secret', '/site', '/site/nginx', '/.strongroom-check', '/auth/site']) {
      const url = origin + path
      await Promise.all([
        add('img', { src: url }),
        add('script', { src: url }),
        add('iframe', { src: url }),
        add('embed', { src: url }),
        add('link', { rel: 'stylesheet', href: url }),
        quietly(fetch(url, { mode: 'no-cors', credentials: 'include' })),
        quietly(fetch(url, { mode: 'no-cors', credentials: 'include', method: 'POST', body: 'a' })),
        quietly(fetch(url, { credentials: 'include', method: 'DELETE' })),
        new Promise((resolve) => (new WebSocket(url.replace('http', 'ws')).onclose = resolve)),
      ])
      navigator.sendBeacon(url, 'a')
      const frame = document.createElement('iframe')
      frame.name = `form${path}`
      document.body.append(frame)
      const form = Object.assign(document.createElement('form'), {
        action: url,
        method: 'post',
        target: frame.name,
      })
      document.body.append(form)
      const sent = new Promise((resolve) => (frame.onload = resolve))
      form.submit()
      await sent
    }
  }, site.origin)
  assert.deepEqual(
    site.seen.map(({ method, url }) => `${method} ${url}`),
    [],
  )
  await attacker.goto(`${site.origin}/secret`)
  assert.equal(await attacker.textContent('h1'), 'The site', 'control: the attacker has the cookies')
})

test('a service worker passes pages and pictures on', time, async () => {
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/worker.js')
    await navigator.serviceWorker.ready
  })
  await page.waitForFunction(() => navigator.serviceWorker.controller)
  await page.goto(`${site.origin}/other`)
  assert.equal(await page.textContent('h1'), 'The site')
  assert.equal(await page.evaluate(() => document.querySelector('img').naturalWidth), 7)
})
