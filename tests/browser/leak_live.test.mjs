// No token can be found in a page that uses sockets, event sources or a key in escrow. The tests cover each place in
// which a socket can send its token. leak.test.mjs shows that the detector works in each place.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, signIn, startApp } from '../support/app.mjs'
import { openWithEscrow, serveEscrow } from '../support/escrow.mjs'
import { HEAP_ARGS } from '../support/heap.mjs'
import { collect, record, search } from '../support/leak.mjs'

const time = { timeout: 120_000 }

const WAYS = {
  protocol: { token: 'protocol', prefix: 'bearer.' },
  message: { token: 'message', message: '{"token":"{token}"}' },
  query: { token: 'query' },
}

let app

before(async () => {
  app = await startApp({
    config: { inspect: true, session: { persist: 'escrow' } },
    extendedLifetime: false,
    launch: { args: HEAP_ARGS },
  })
  app.site.connectSrc.push(app.api.origin.replace('http', 'ws'))
  serveEscrow(app)
  app.api.on('news', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.end('retry: 10\nid: 1\ndata: x\n\n')
  })
})
after(() => app?.close())

/** Returns the secrets without authorization codes, which arrive in the URL. leak.test.mjs searches for codes. */
const tokens = () => app.ledger.secrets().filter(({ kind }) => kind !== 'authorization_code')

/**
 * Uses a socket, and stores everything that the page can read from the socket and its events. This function runs in the
 * page.
 */
function converse([url, protocols]) {
  globalThis.kept ??= []
  return new Promise((resolve) => {
    const socket = auth.webSocket(url, protocols)
    for (const type of ['open', 'message', 'error', 'close']) {
      socket.addEventListener(type, (event) => {
        kept.push(
          event,
          event.data,
          event.error,
          event.error?.stack,
          event.reason,
          socket.protocol,
          socket.url,
        )
        if (type === 'open') socket.send('hello')
        if (type === 'message') socket.close(4000, 'enough')
        if (type === 'close') resolve(event.code)
      })
    }
  })
}

/** Listens to a source up to its second error, and stores its events. This function runs in the page. */
function listenTo(url) {
  globalThis.kept ??= []
  let errors = 0
  return new Promise((resolve) => {
    const source = auth.eventSource(url)
    source.onmessage = (event) => kept.push(event, event.data)
    source.onerror = (event) => {
      kept.push(event, event.error, event.error?.stack)
      if (++errors < 2 && source.readyState !== 2) return
      source.close()
      resolve(errors)
    }
  })
}

for (const [way, webSocket] of Object.entries(WAYS)) {
  // claim: script-1
  test(`no token is in a page with sources and sockets, token in the ${way}`, time, async () => {
    const [rule] = app.config.apis
    app.setConfig({ apis: [{ ...rule, webSocket }] })
    const context = await app.browser.newContext()
    const log = await record(context)
    const page = await openWithEscrow(app, context)
    await signIn(page)
    await page.evaluate(() => auth.on('trace', (event) => changes.push(event)))

    const live = `${app.api.url.replace('http', 'ws')}live/`
    const codes = []
    for (const given of [[live + way], [`${live + way}?choose=token`, ['own']], [`${live}no/where`]]) {
      codes.push(await page.evaluate(converse, given))
    }
    assert.deepEqual([codes[0], codes[2]], [4000, 1006])
    assert.ok(
      app.api.sockets.some(({ claims }) => claims),
      'a socket opened with a token',
    )
    assert.ok(await page.evaluate(listenTo, `${app.api.url}news`))
    assert.ok(await page.evaluate(listenTo, `${app.api.url}redirect`))

    await page.goto(`${app.site.origin}/?again`)
    await booted(page)
    assert.equal(await page.evaluate(() => auth.resumed), 'escrow')
    assert.equal(await page.evaluate(converse, [live + way]), 4000)
    assert.deepEqual(search(await collect(page, log), tokens()), [])

    // Control experiment: the search finds a token that an API sends in an event.
    const { value } = app.ledger.newest('access_token')
    await page.evaluate((token) => {
      globalThis.planted = new MessageEvent('message', { data: token })
    }, value)
    const [found] = search(await collect(page, log), tokens())
    assert.equal(found?.kind, 'access_token')
    await context.close()
  })
}
