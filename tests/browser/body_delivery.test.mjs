// The length of a response tells a page nothing about a token in its body (BREACH): where bodies are searched for the
// token, no Content-Length crosses to the page before the whole body has been searched.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { call, signIn, startApp } from '../support/app.mjs'
import { mostly } from '../support/retries.mjs'

const time = { timeout: 30_000 }

/** `MAX_WHOLE` of src/rules/egress/body_delivery.rs: the length of the longest body that crosses with its head. */
const MAX_WHOLE = 64 * 1024

/** `TIME_LIMIT_MS` of src/rules/egress/body_delivery.rs: the time for which a head waits for the end of its body. */
const TIME_LIMIT_MS = 30

const open = []
after(() => Promise.all(open.map((app) => app.close())))

/** Starts an app whose API compresses its responses. */
async function start(options) {
  const app = await startApp({ provider: { accessTokenSeconds: 3600 }, ...options })
  open.push(app)
  const compressed = (request, response, text, headers) => {
    const body = gzipSync(text)
    const coding = { 'Content-Encoding': 'gzip', 'Content-Length': body.length }
    response.writeHead(200, { 'Content-Type': 'text/plain', ...coding, ...headers })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
  app.api.on('echo', ({ request, response, url, entry }) =>
    compressed(request, response, JSON.stringify({ query: url.search, sent: entry.authorization })),
  )
  // The body of `later` never ends: the call that gets it ends when the vault drops the response.
  app.api.on('echo-ends', ({ response, url, entry }) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' })
    response.write(entry.authorization)
    if (url.searchParams.get('when') === 'at-once') response.end()
  })
  app.api.on('size', ({ request, response, url }) =>
    compressed(request, response, 'x'.repeat(url.searchParams.get('size'))),
  )
  app.api.on('finite-stream', ({ request, response }) =>
    compressed(request, response, 'data: 1\n\n', { 'Content-Type': 'text/event-stream' }),
  )
  app.api.on('empty', ({ response }) => response.writeHead(200, { 'Content-Length': 0 }).end())
  return app
}

/** Opens a page that records every message that the vault sends to it, and signs in. */
async function visit(app) {
  const context = await app.browser.newContext()
  await context.addInitScript(() => {
    globalThis.received = []
    const own = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage')
    Object.defineProperty(MessagePort.prototype, 'onmessage', {
      ...own,
      set(listener) {
        own.set.call(this, (event) => {
          received.push(event.data)
          listener(event)
        })
      },
    })
  })
  const page = await app.open('/', context)
  await signIn(page)
  return page
}

/**
 * Calls the API. Resolves with what the page gets: the length that it is told, the bytes, and the names of the kinds of
 * messages, in order.
 */
const see = (page, url, init) =>
  page.evaluate(
    async ([address, options]) => {
      received.length = 0
      const start = performance.now()
      let waited, told
      const seen = await settle(
        auth.fetch(address, options).then(async (response) => {
          waited = performance.now() - start
          told = response.headers.get('content-length')
          return { bytes: (await response.arrayBuffer()).byteLength }
        }),
      )
      const kinds = received
        .filter((data) => Array.isArray(data))
        .map(([head, payload]) => {
          if (typeof head !== 'string') return payload ? 'chunk' : 'end'
          return JSON.parse(head).t + (payload?.[1] ? ' with body' : '')
        })
      return { ...seen.value, waited, told, code: seen.error?.code, kinds, all: JSON.stringify(received) }
    },
    [url, init],
  )

/** The same for a body that must arrive with its head: on a busy machine, a body may be later than the head waits. */
const seeWhole = (page, url) =>
  mostly(
    () => see(page, url),
    ({ kinds }) => kinds.length === 1,
  )

const MODES = {
  'shared worker': {},
  'dedicated worker': { kind: 'dedicated' },
  'vault origin': { vaultOrigin: true },
}

for (const [mode, options] of Object.entries(MODES)) {
  describe(mode, () => {
    let app, page
    before(async () => {
      app = await start(options)
      page = await visit(app)
    })
    const on = (path) => `${app.api.url}on/${path}`

    // claim: api-5
    test('a response with the token shows the same for every guess', time, async () => {
      const { value: token } = app.ledger.newest('access_token')
      const looks = []
      for (const guess of [token.slice(0, 40), token.slice(40, 80), 'x'.repeat(40)]) {
        const { all, code, told, kinds } = await see(page, on(`echo?q=${guess}`))
        assert.equal(code, 'token_reflected')
        assert.deepEqual([told, kinds], [null, ['head', 'error']])
        looks.push(all.replace(/\\"id\\":\d+/g, '').replaceAll(guess, ''))
      }
      assert.equal(new Set(looks).size, 1, looks.join('\n'))
    })

    // claim: api-5
    test('a body with the token fails in the same way, whether or not it has ended', time, async () => {
      const looks = []
      for (const ends of ['at-once', 'later']) {
        const { all, code, told, waited, kinds } = await see(page, on(`echo-ends?when=${ends}`))
        assert.deepEqual([code, told, kinds], ['token_reflected', null, ['head', 'error']])
        assert.ok(waited >= TIME_LIMIT_MS, `${waited} ms`)
        looks.push(all.replace(/\\"id\\":\d+/g, '').replaceAll(ends, ''))
      }
      assert.equal(looks[0], looks[1])
    })

    test('a short body and its head are one message, with Content-Length', time, async () => {
      const { told, bytes, kinds } = await seeWhole(page, on('size?size=1000'))
      assert.deepEqual([bytes, kinds], [1000, ['head with body']])
      assert.ok(told > 0 && told < 100, told)
    })
  })
}

describe('head and body', () => {
  let app, page
  before(async () => {
    app = await start({})
    page = await visit(app)
  })
  const on = (path) => `${app.api.url}on/${path}`

  test('a body of 64 KB crosses with its head', time, async () => {
    const { told, bytes, kinds } = await seeWhole(page, on(`size?size=${MAX_WHOLE}`))
    assert.deepEqual([bytes, kinds], [MAX_WHOLE, ['head with body']])
    assert.ok(told)
  })

  test('the head of a longer body crosses alone, without Content-Length', time, async () => {
    const { told, bytes, kinds } = await see(page, on(`size?size=${MAX_WHOLE + 1}`))
    assert.deepEqual([told, bytes], [null, MAX_WHOLE + 1])
    assert.deepEqual([...new Set(kinds)], ['head', 'chunk', 'end'])
  })

  test('the head of an event stream crosses alone, without Content-Length', time, async () => {
    const { told, bytes, kinds } = await see(page, on('finite-stream'))
    assert.deepEqual([told, bytes, kinds], [null, 9, ['head', 'chunk', 'end']])
  })

  test('an empty body crosses with its head', time, async () => {
    const { told, bytes, kinds } = await seeWhole(page, on('empty'))
    assert.deepEqual([told, bytes, kinds], [null, 0, ['head with body']])
  })

  test('an abort ends a body that has arrived but is not read', time, async () => {
    const { error } = await page.evaluate(
      (address) =>
        settle(
          (async () => {
            const controller = new AbortController()
            const response = await auth.fetch(address, { signal: controller.signal })
            controller.abort()
            return response.text()
          })(),
        ),
      on('size?size=10'),
    )
    assert.equal(error?.name, 'AbortError')
  })

  test('progress of a body that crosses with its head is one report', time, async () => {
    const read = (address) =>
      page.evaluate(async (address) => {
        const reports = []
        const response = await auth.fetch(address, { onProgress: (progress) => reports.push(progress) })
        await response.text()
        return reports
      }, address)
    const reports = await mostly(
      () => read(`${app.api.url}bytes?size=1000`),
      ([{ total }]) => total,
    )
    assert.deepEqual(reports, [{ type: 'download', loaded: 1000, total: 1000 }])
  })

  test('a connection that breaks after the head rejects the read, not the call', time, async () => {
    const [status, { error }] = await page.evaluate(async (address) => {
      const response = await auth.fetch(address)
      return [response.status, await settle(response.text())]
    }, `${app.api.url}broken`)
    assert.deepEqual([status, error?.isTypeError], [200, true])
  })
})

for (const [name, version] of Object.entries({ 'an older page': 0, 'a newer page': 2 })) {
  test(`message_invalid: ${name} connects to this worker`, time, async () => {
    const app = await start({})
    const file = '/strongroom/index.js'
    const text = String(app.site.files[file])
    app.site.files[file] = text.replace(/version:1\b/, `version:${version}`)
    assert.notEqual(app.site.files[file], text)
    const page = await app.open('/empty')
    const { error } = await page.evaluate(() => settle(connect(create.shared)))
    assert.equal(error?.code, 'message_invalid')
    assert.match(error.message, /different versions of strongroom/)
  })
}

for (const reflection of ['headers', 'allow']) {
  // claim: api-5
  test(`control: with reflection '${reflection}' the length depends on the guess`, time, async () => {
    const app = await start({})
    app.setConfig({ apis: [{ url: app.api.url, methods: ['GET', 'HEAD'], reflection }] })
    const page = await visit(app)
    const { value: token } = app.ledger.newest('access_token')
    for (const method of ['GET', 'HEAD']) {
      const lengths = []
      for (const guess of [token.slice(40, 80), [...token.slice(40, 80)].reverse().join('')]) {
        const { told } = await see(page, `${app.api.url}on/echo?q=${guess}`, { method })
        lengths.push(Number(told))
      }
      assert.ok(lengths[0] > 0 && lengths[0] < lengths[1], `${method}: ${lengths}`)
    }
  })
}

test('a session continues after a refused response', time, async () => {
  const app = await start({})
  const page = await visit(app)
  await see(page, `${app.api.url}on/echo`)
  assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
})
