/** Tests of the client's event sources and sockets. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { signInByRedirect } from '../../support/engines/app.mjs'
import { startReports } from '../../support/reports.mjs'

async function signedIn({ visit }) {
  const { tab } = await visit()
  // The test does not sign in by popup, because WebKitGTK may end a shared worker when a popup closes. Another row of
  // the table covers this case.
  await signInByRedirect(tab)
  return tab
}

const WAYS = {
  protocol: { token: 'protocol', prefix: 'bearer.' },
  message: { token: 'message', message: '{"token":"{token}"}' },
  query: { token: 'query' },
}

const socketOf = (way) => ({
  name: `\`auth.webSocket\`, token in the ${{ protocol: 'sub-protocol', message: 'first message', query: 'query' }[way]}`,
  async see(scene) {
    const { app } = scene
    app.setConfig({
      apis: [...app.config.apis, { url: `${app.api.url}live/`, webSocket: WAYS[way] }],
    })
    app.api.sockets.length = 0
    const tab = await signedIn(scene)
    const url = `${app.api.url.replace('http', 'ws')}live/${way}`
    const seen = await tab.evaluate(async (address) => {
      const socket = auth.webSocket(address, 'chat')
      await new Promise((resolve, reject) => {
        socket.onopen = resolve
        socket.onclose = ({ code, reason }) => reject(new Error(`${code} ${reason}`))
      })
      const received = []
      const enough = new Promise((resolve, reject) => {
        socket.onclose = ({ code, reason }) => reject(new Error(`${code} ${reason} before two messages came`))
        socket.onmessage = async ({ data }) => {
          received.push(typeof data === 'string' ? data : [...new Uint8Array(await data.arrayBuffer())])
          if (received.length === 2) resolve()
        }
      })
      socket.send('hello')
      socket.send(new Uint8Array([1, 2, 3]))
      await enough
      const closed = new Promise((resolve) => (socket.onclose = resolve))
      await auth.logout()
      const { code, reason } = await closed
      return { received, url: socket.url, protocol: socket.protocol, code, reason }
    }, url)
    assert.deepEqual(seen, {
      received: ['hello', [1, 2, 3]],
      url,
      protocol: 'chat',
      code: 3000,
      reason: 'logged_out',
    })
    const opened = app.api.sockets.at(-1)
    assert.equal(opened.claims.sub, 'alice')
  },
})

/** Milliseconds to wait for a report before concluding that the engine sends none. */
const NO_REPORT = 2000

/**
 * Returns the test of a policy report about a socket. The socket's token is in its query, and must not be in the
 * report.
 */
const reportOf = (kind) => ({
  // claim: reports-1, reports-2
  name: `the report of a policy that ${kind === 'enforced' ? 'blocks' : 'only reports'} a socket with a token in the query`,
  async see(scene) {
    const { app } = scene
    const reports = await startReports()
    const sockets = app.api.origin.replace('http', 'ws')
    const policy = (allowed) =>
      `script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${app.provider.origin} ${app.api.origin} ${allowed}; report-uri ${reports.url}`
    const headers =
      kind === 'enforced'
        ? { 'Content-Security-Policy': policy('') }
        : {
            'Content-Security-Policy': policy(sockets),
            'Content-Security-Policy-Report-Only': policy(''),
          }
    const undo = app.site.override('/auth.worker.js', { headers })
    try {
      app.setConfig({ apis: [...app.config.apis, { url: `${app.api.url}live/`, webSocket: WAYS.query }] })
      app.api.sockets.length = 0
      const tab = await signedIn(scene)
      const reported = reports.next()
      const url = `${sockets}/v1/live/query`
      const events = await tab.evaluate(
        (address) =>
          new Promise((resolve) => {
            const socket = auth.webSocket(address)
            const events = []
            socket.onopen = () => resolve(['open'])
            socket.onerror = ({ error }) => events.push(error?.code)
            socket.onclose = ({ code }) => resolve([...events, code])
          }),
        url,
      )
      const report = await Promise.race([reported, sleep(NO_REPORT)])
      if (kind === 'enforced' || report) assert.deepEqual(events, ['socket_blocked', 1006])
      else assert.deepEqual(events, ['open'])
      if (!report) return 'nothing'
      assert.equal(report['blocked-uri'], url)
      return 'its address, without the token'
    } finally {
      undo()
      await reports.close()
    }
  },
})

const capabilities = [
  {
    name: '`auth.eventSource`, which reconnects with `Last-Event-ID` and the next token',
    async see(scene) {
      const { app } = scene
      const tab = await signedIn(scene)
      app.api.on('news', ({ request, response }) => {
        const last = Number(request.headers['last-event-id'] ?? 0)
        response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
        response.end(`retry: 10\nid: ${last + 1}\nevent: price\ndata: ${last + 1}\n\n`)
      })
      const seen = await tab.evaluate(
        (url) =>
          new Promise((resolve) => {
            const source = auth.eventSource(url)
            const events = []
            source.addEventListener('price', ({ data, lastEventId }) => {
              events.push([data, lastEventId])
              if (events.length < 3) return
              source.close()
              resolve(events)
            })
          }),
        `${app.api.url}on/news`,
      )
      assert.deepEqual(seen, [
        ['1', '1'],
        ['2', '2'],
        ['3', '3'],
      ])
    },
  },
  ...Object.keys(WAYS).map(socketOf),
  reportOf('enforced'),
  reportOf('report-only'),
]

/** @type {import('../suite.mjs').Group[]} */
export const live = [
  {
    name: 'event sources and sockets',
    app: { provider: { accessTokenSeconds: 3600 } },
    prepare: (app) => app.site.connectSrc.push(app.api.origin.replace('http', 'ws')),
    capabilities,
  },
]
