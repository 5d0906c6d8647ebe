// `createAuth('/auth')` returns an object that uses a token handler. The object behaves like the object that
// `createAuth()` returns for a worker. The page's policy admits what `strongroom/headers` names for a fallback, and no more.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { securityHeaders } from '../../../pkg/dist/headers.js'
import { deny, giveConsent } from '../../support/app.mjs'
import { leftOut, rows } from '../../support/combinations.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }
let app

before(async () => {
  // workerd is a platform whose handler can forward sockets.
  app = await startPage('workerd', { coordinator: 'durable-object' })
  const { site, provider, api } = app
  const rule = { url: api.url, webSocket: { token: 'protocol' } }
  const options = {
    origin: site.origin,
    worker: '/auth.worker.js',
    fallback: { routes: [{ prefix: '/api/' }] },
  }
  const { page } = securityHeaders({ issuer: provider.issuer, apis: [rule] }, options)
  const [connect] = /connect-src [^;]*/.exec(page['Content-Security-Policy'])
  site.pageCsp = site.pageCsp.replace("connect-src 'self'", connect)
  assert.ok(site.pageCsp.includes(connect))
})
after(() => app?.close())

/** Lets the app's pages create the object `auth` and then run this code. */
function serveScript(script, options = {}) {
  app.site.files['/page.js'] = `
import '/tools.js'
globalThis.auth = createAuth('/auth', ${JSON.stringify(options)})
globalThis.statuses = []
globalThis.stop = auth.subscribe(({ status }) => statuses.push(status))
${script}
`
}

/** Opens a page with this code. */
function openApp(script, path = '/orders?a#b') {
  serveScript(script)
  return app.open(path)
}

const GUARD = 'globalThis.guarded = settle(auth.requireSession())'
const SOCKET = () => `${app.api.url.replace('http', 'ws')}live/header`
const trips = () => app.ledger.authorizationRequests().length

/** Signs in through a guard, which starts a login. */
async function signedIn(script = '') {
  const page = await openApp(`${script}\n${GUARD}`)
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.session)
  return page
}

test('guard signs in and returns to its page', time, async () => {
  const before = trips()
  const page = await signedIn()
  assert.equal(await page.evaluate(async () => (await guarded).value.claims.sub), 'alice')
  const shown = await page.evaluate(() => location.pathname + location.search + location.hash)
  assert.equal(shown, '/orders?a#b')
  assert.equal(trips() - before, 1)
  assert.equal(await page.evaluate(() => statuses.at(-1)), 'connected')
  const status = await page.evaluate(async (url) => (await auth.fetch(url)).status, `${app.api.url}orders`)
  assert.equal(status, 200)
  await page.context().close()
})

test('guard does not sign in after a logout and a reload', time, async () => {
  const page = await signedIn()
  const before = trips()
  await page.evaluate(() => auth.logout())
  assert.deepEqual(await page.evaluate(() => settle(auth.requireSession())), { value: null })
  await page.reload()
  assert.deepEqual(await page.evaluate(() => guarded), { value: null })
  assert.equal(await page.evaluate(() => auth.state.endReason), 'logged_out')
  assert.equal(trips(), before)
  await page.context().close()
})

test('denied login ends at the handler and is not repeated', time, async () => {
  const before = trips()
  const page = await openApp(GUARD)
  await deny(page)
  await page.waitForURL((url) => url.origin === app.site.origin)
  // This is a page of the handler, which does not contain the app's script.
  assert.match(await page.textContent('body'), /login_denied/)
  assert.equal(trips() - before, 1)
  await page.context().close()
})

test('event source created before the connection opens after it', time, async () => {
  app.api.on('two', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: one\n\n')
  })
  const page = await signedIn()
  const first = await page.evaluate((url) => {
    const source = createAuth('/auth').eventSource(url)
    return new Promise((resolve) => {
      source.onmessage = ({ data }) => (source.close(), resolve([data, source.readyState]))
    })
  }, `${app.api.url}on/two`)
  assert.deepEqual(first, ['one', 2])
  await page.context().close()
})

// A vault's page waits ten seconds, and then says that there is no service worker.
test('media() is false, and prints nothing', time, async () => {
  const page = await openApp('')
  const said = []
  page.on('console', (message) => said.push(message.text()))
  assert.equal(await page.evaluate(() => auth.media()), false)
  assert.deepEqual(said, [])
  await page.context().close()
})

leftOut('socket created before the connection opens after it', time, async () => {
  const page = await signedIn()
  const seen = await page.evaluate((url) => {
    const socket = createAuth('/auth').webSocket(url)
    const before = socket.readyState
    return new Promise((resolve) => {
      socket.onopen = () => resolve([before, socket.readyState, socket.OPEN, typeof socket.send])
      socket.onerror = ({ error }) => resolve(String(error))
    })
  }, SOCKET())
  assert.deepEqual(seen, [0, 1, 1, 'function'])
  await page.context().close()
})

leftOut('socket closed before the connection is not opened', time, async () => {
  const page = await signedIn()
  const seen = await page.evaluate((url) => {
    const socket = createAuth('/auth').webSocket(url)
    let opened = false
    socket.onopen = () => (opened = true)
    socket.close()
    return new Promise((resolve) =>
      socket.addEventListener('close', () => resolve([opened, socket.readyState])),
    )
  }, SOCKET())
  assert.deepEqual(seen, [false, 3])
  await page.context().close()
})

leftOut('socket created before close() is not opened', time, async () => {
  const page = await signedIn()
  const seen = await page.evaluate((url) => {
    let opened = 0
    globalThis.WebSocket = class extends WebSocket {
      constructor(...given) {
        super(...given)
        opened++
      }
    }
    const later = createAuth('/auth')
    const socket = later.webSocket(url)
    later.close()
    return new Promise((resolve) => {
      socket.onopen = () => resolve('open')
      socket.onerror = ({ error }) => resolve([error.code, opened])
    })
  }, SOCKET())
  assert.deepEqual(seen, ['closed', 0])
  await page.context().close()
})

leftOut('socket that no route covers fails after the connection', time, async () => {
  const page = await signedIn()
  const seen = await page.evaluate(() => {
    const socket = createAuth('/auth').webSocket('wss://other.example.com/live')
    return new Promise((resolve) => (socket.onerror = ({ error }) => resolve(error.name)))
  })
  assert.equal(seen, 'TypeError')
  await page.context().close()
})

// claim: script-32
test('tab that missed a logout does not sign in again', time, async () => {
  const page = await signedIn()
  const other = await app.open('/orders?a#b', page.context())
  await other.waitForFunction(() => globalThis.auth?.state.session)
  const before = trips()
  // Simulates the events of the back-forward cache.
  const transition = (tab, type) =>
    tab.evaluate((name) => void dispatchEvent(new PageTransitionEvent(name, { persisted: true })), type)
  await transition(other, 'pagehide')
  await page.evaluate(() => auth.logout())
  // The tabs may have processes of their own, and localStorage reaches another process with a delay.
  await other.waitForFunction(() => Object.values(localStorage).join().includes('logged_out'))
  await transition(other, 'pageshow')
  await other.waitForFunction(() => !auth.state.session)
  assert.equal(await other.evaluate(() => auth.state.endReason), 'logged_out')
  assert.deepEqual(await other.evaluate(() => settle(auth.requireSession())), { value: null })
  await page.reload()
  assert.deepEqual(await page.evaluate(() => guarded), { value: null })
  assert.equal(trips(), before)
  await page.context().close()
})

/** A page of a proxy whose server restarts. */
const HTML = { 'Content-Type': 'text/html' }
const BAD_GATEWAY = { status: 502, contentType: 'text/html', body: '<!doctype html><title>502</title>' }

/** Opens a page whose next requests for an endpoint of the handler get this response. */
async function openFailing(endpoint, times, response, script = '', options = {}) {
  const page = await app.open('/empty')
  let asked = 0
  await page.route(`**/auth/${endpoint}`, (route) =>
    asked++ < times ? route.fulfill(response) : route.continue(),
  )
  serveScript(script, options)
  await page.goto(`${app.site.origin}/orders`)
  return { page, asked: () => asked }
}

for (const endpoint of rows(['config', 'session'])) {
  test(`page connects although the handler’s server fails twice for ${endpoint}`, time, async () => {
    const { page, asked } = await openFailing(endpoint, 2, BAD_GATEWAY)
    await page.waitForFunction(() => statuses.at(-1) !== 'connecting')
    assert.deepEqual(await page.evaluate(() => statuses), ['connecting', 'connected'])
    assert.equal(asked(), 3)
    await page.context().close()
  })
}

leftOut('guard signs in although the server fails once for the files that load later', time, async () => {
  const before = trips()
  for (const name of ['token-handler-client', 'guard'])
    app.site.override(`/strongroom/${name}.js`, { ...BAD_GATEWAY, headers: HTML, times: 1 })
  const page = await signedIn()
  assert.equal(await page.evaluate(async () => (await guarded).value.claims.sub), 'alice')
  assert.equal(trips() - before, 1)
  await page.context().close()
})

for (const value of ['-1', '0.001', '0']) {
  leftOut(
    `page waits between two attempts although the server says Retry-After: ${value}`,
    time,
    async () => {
      const { page, asked } = await openFailing('config', 2, {
        ...BAD_GATEWAY,
        headers: { 'Retry-After': value },
      })
      await page.evaluate(() => auth.connect().then(() => {}))
      const times = await page.evaluate(() =>
        performance.getEntriesByName(`${location.origin}/auth/config`).map(({ startTime }) => startTime),
      )
      assert.equal(asked(), 3)
      for (const n of [1, 2]) assert.ok(times[n] - times[n - 1] > 300, String(times))
      await page.context().close()
    },
  )
}

leftOut(
  'page does not ask a server again that asks for a longer wait than the time limit',
  time,
  async () => {
    const { page } = await openFailing('config', 1, { ...BAD_GATEWAY, headers: { 'Retry-After': '60' } })
    await page.waitForFunction(() => auth.state.error)
    assert.equal(await page.evaluate(() => auth.state.error.code), 'handler_unreachable')
    await page.context().close()
  },
)

test('failed page connects at a call, and when it is shown, focused or online again', time, async () => {
  const script = `
let ahead = 0
const now = performance.now.bind(performance)
performance.now = () => now() + ahead
globalThis.later = (seconds) => (ahead += seconds * 1000)
globalThis.hasFailed = () => auth.state.status === 'failed'`
  // The time for one attempt.
  const options = { timeout: 0.3 }
  const { page, asked } = await openFailing('config', 1000, BAD_GATEWAY, script, options)
  const events = {
    call: () => settle(auth.fetch('/api/orders')),
    requireSession: () => settle(auth.requireSession()),
    online: () => dispatchEvent(new Event('online')),
    focus: () => dispatchEvent(new Event('focus')),
    visibilitychange: () => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })),
  }
  await page.evaluate(() => settle(auth.connect()))
  await until(() => asked() > 0)
  for (const [name, event] of Object.entries(events)) {
    const before = asked()
    await page.waitForFunction(() => hasFailed())
    assert.equal(await page.evaluate(() => auth.state.error.code), 'handler_unreachable')
    // At most one attempt within five seconds.
    await page.evaluate(event)
    await page.evaluate(() => fetch('/auth/session'))
    assert.equal(asked(), before, name)
    await page.evaluate(() => void later(6))
    await page.evaluate(event)
    // On a busy machine, the time limit may end before the server gets the request.
    await until(() => asked() > before)
    await page.waitForFunction(() => hasFailed())
    assert.equal(asked(), before + 1, name)
  }
  await page.unroute('**/auth/config')
  await page.evaluate(() => later(6))
  assert.equal(
    await page.evaluate(async () => (await settle(auth.fetch('/api/orders'))).error.code),
    'login_required',
  )
  assert.equal(await page.evaluate(() => auth.state.status), 'connected')
  await page.context().close()
})
