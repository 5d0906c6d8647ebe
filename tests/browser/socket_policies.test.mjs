// The worker's own Content-Security-Policy may block or report sockets. The page is told of this, and no report
// contains the access token.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { signIn, startApp } from '../support/app.mjs'
import { startReports } from '../support/reports.mjs'

const time = { timeout: 60_000 }

const WAYS = {
  protocol: { token: 'protocol', prefix: 'bearer.' },
  message: { token: 'message', message: '{"token":"{token}"}' },
  query: { token: 'query' },
}

const WORKER = '/auth.worker.js'

let app, reports, live

/** Headers of the worker file with which sockets to the API are blocked, or only reported. */
const POLICIES = {
  enforced: () => ({ 'Content-Security-Policy': policy() }),
  'report-only': () => ({
    'Content-Security-Policy': policy(new URL(live).origin),
    'Content-Security-Policy-Report-Only': policy(),
  }),
}

const policy = (more = '') =>
  `script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${app.provider.origin} ${app.api.origin} ${more}; report-uri ${reports.url}`

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  reports = await startReports()
  live = `${app.api.url.replace('http', 'ws')}live/`
})
after(async () => {
  await app?.close()
  await reports?.close()
})
beforeEach(() => {
  app.api.sockets.length = 0
})
afterEach(() => app.site.override(WORKER, {}))

/** Resolves with a signed-in page whose worker file has these headers. */
async function under(headers, webSocket) {
  app.site.override(WORKER, { headers })
  app.setConfig({ apis: [{ url: app.api.url, webSocket }] })
  const page = await app.open('/', await app.browser.newContext())
  await signIn(page)
  return page
}

/** Opens a socket, and resolves with its events when it has closed. */
const attempt = (page, url) =>
  page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const socket = auth.webSocket(address)
        const events = []
        socket.onopen = () => events.push('open')
        socket.onerror = ({ error }) => events.push(`error ${error?.code}`)
        socket.onclose = ({ code, wasClean }) => resolve([...events, `close ${code} ${wasClean}`])
      }),
    url,
  )

for (const [kind, headers] of Object.entries(POLICIES)) {
  // claim: reports-1
  test(`a refused query socket leaves no token in the report: ${kind} policy`, time, async () => {
    const page = await under(headers(), WAYS.query)
    const reported = reports.next()
    const events = await attempt(page, `${live}query?room=1`)
    assert.deepEqual(events, ['error socket_blocked', 'close 1006 false'])
    assert.equal((await reported)['blocked-uri'], `${live}query`)
    assert.deepEqual(
      app.api.sockets.filter(({ path }) => path.includes('access_token')),
      [],
    )
    await page.context().close()
  })

  // claim: reports-1
  test(`a control: the browser reports the whole URL: ${kind} policy`, time, async () => {
    app.site.override(WORKER, { headers: headers() })
    app.setWorker(`new WebSocket('${live}query?access_token=canary')`)
    const page = await app.open('/empty')
    const reported = reports.next()
    await page.evaluate(() => void create.dedicated())
    assert.equal((await reported)['blocked-uri'], `${live}query?access_token=canary`)
    await page.context().close()
  })
}

for (const [way, webSocket] of Object.entries(WAYS)) {
  // claim: reports-3
  test(`blocked sockets fire error and close, and free their slots: by ${way}`, time, async () => {
    const page = await under(POLICIES.enforced(), webSocket)
    const code = way === 'query' ? 'socket_blocked' : 'undefined'
    for (let i = 0; i < 40; i++) {
      assert.deepEqual(await attempt(page, live + way), [`error ${code}`, 'close 1006 false'], `socket ${i}`)
    }
    assert.equal(app.api.sockets.length, 0)
    await page.context().close()
  })
}

test('a probe is closed after any response', time, async () => {
  const origin = new URL(live).origin
  const page = await under({ 'Content-Security-Policy': policy(origin) }, WAYS.query)
  const opened = await page.evaluate(
    (address) =>
      new Promise((resolve) => {
        globalThis.kept = auth.webSocket(address)
        kept.onopen = () => resolve('open')
        kept.onclose = ({ code }) => resolve(code)
      }),
    // The server accepts a handshake without a token at this URL.
    `${live}message`,
  )
  assert.equal(opened, 'open')
  const [probe, socket] = app.api.sockets
  assert.equal(probe.path, '/v1/live/message')
  assert.match(socket.path, /\?access_token=ey/)
  if (probe.socket.readyState < 3) await once(probe.socket, 'close')
  assert.equal(socket.socket.readyState, 1)
  await page.context().close()
})
