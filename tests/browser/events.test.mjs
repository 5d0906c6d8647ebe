// auth.eventSource behaves like EventSource: it reads the same events from a stream as the browser's own EventSource.
// It also sends a token. tests/engines/capabilities/live.mjs tests a source that reconnects with the next token.
import assert from 'node:assert/strict'
import { build } from 'esbuild'
import { after, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ACCOUNTS } from '../support/accounts.mjs'
import { booted, giveConsent, signIn, startApp, startLogin } from '../support/app.mjs'
import { comeBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { leftOut } from '../support/combinations.mjs'
import { played } from '../support/retries.mjs'

const time = { timeout: 40_000 }

let app, page, parse

before(async () => {
  app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
  app.setConfig({ apis: app.config.apis.map((rule) => ({ ...rule, credentials: 'include' })) })
  page = await app.open()
  await signIn(page)
  await page.evaluate(prepare)
  parse = await loadParser()
})
after(() => app?.close())
beforeEach(() => app.api.clear())

/** Bundles and imports only the stream parser, which does not need a browser. */
async function loadParser() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../../pkg/src/page/streaming/event-stream.ts', import.meta.url))],
    format: 'esm',
    bundle: true,
    write: false,
  })
  const code = Buffer.from(outputFiles[0].contents).toString('base64')
  return (await import(`data:text/javascript;base64,${code}`)).eventStream
}

/** This function runs in the page. */
function prepare() {
  globalThis.make = {
    plain: (url, init) => new EventSource(url.replace('/v1/on/', '/open/'), init),
    vault: (url, init) => auth.eventSource(url, init),
  }
  /** Resolves with a source's events up to the first error. The source is closed after the error. */
  globalThis.watch = (source, types = []) =>
    new Promise((resolve) => {
      const said = []
      const note = ({ type, data, lastEventId, origin, constructor }) =>
        said.push([type, data, lastEventId, origin, constructor.name, source.readyState])
      source.addEventListener('open', () => said.push(['open', source.readyState]))
      for (const type of ['message', ...types]) source.addEventListener(type, note)
      source.addEventListener('error', () => {
        said.push(['error', source.readyState])
        source.close()
        resolve([...said, source.readyState])
      })
    })
  globalThis.when = (target, type) =>
    new Promise((resolve) => target.addEventListener(type, resolve, { once: true }))
}

const url = (name) => `${app.api.url}on/${name}`

/** Serves a stream at the route `name`. Sends these pieces one after the other, and then calls `after`. */
function stream(name, pieces, after = (response) => response.end()) {
  app.api.on(name, async ({ response, request }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    for (const piece of pieces) {
      await new Promise((resolve) => response.write(piece, resolve))
    }
    after(response, request)
  })
}

/** Unusual event streams, each as a string or as bytes. `types` are the event types besides `message`. */
const STREAMS = {
  'one event': { text: 'data: hello\n\n' },
  'two events': { text: 'data: a\n\ndata: b\n\n' },
  'several lines of data': { text: 'data: a\ndata: b\ndata:\ndata: c\n\n' },
  'only one leading space is removed': { text: 'data:a\n\ndata: b\n\ndata:  c\n\ndata:\td\n\n' },
  'a colon in the data': { text: 'data: a: b:c\n\n' },
  'data without a colon': { text: 'data\n\ndata\ndata\n\n' },
  'no data, no event': { text: 'event: x\n\ndata: a\n\n', types: ['x'] },
  'an empty line of data is no data': { text: 'data:\n\ndata: a\n\n' },
  comments: { text: ': one\n:two\n:\ndata: a\n: three\ndata: b\n\n:end\n\n' },
  'a named event': { text: 'event: x\ndata: a\n\ndata: b\n\n', types: ['x'] },
  'the last event name counts': { text: 'event: x\nevent: y\ndata: a\n\n', types: ['x', 'y'] },
  'an empty name is ignored': { text: 'event: x\nevent:\ndata: a\n\n', types: ['x'] },
  'event names that the interface uses': {
    text: 'event: open\ndata: a\n\nevent: message\ndata: b\n\n',
    types: [],
  },
  'an id': { text: 'id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n' },
  'an id without data': { text: 'id: 7\n\ndata: a\n\n' },
  'an id is reset': { text: 'id: 1\ndata: a\n\nid\ndata: b\n\nid:\ndata: c\n\n' },
  'an id with NUL is ignored': { text: 'id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n' },
  'an id that is not ASCII': { text: 'id: ü🎉\ndata: a\n\n' },
  'unknown fields': { text: 'data: a\nDATA: b\n data: c\ndatax: d\nfoo\nfoo: bar\n\n' },
  'an invalid retry': { text: 'retry: x\nretry: -1\nretry: 1.5\nretry: 1e3\nretry:\ndata: a\n\n' },
  'lines end with CR': { text: 'data: a\rdata: b\r\rdata: c\r\r' },
  'lines end with CRLF': { text: 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n' },
  'lines end with all of them': { text: 'data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r' },
  'CR LF LF': { text: 'data: a\r\n\ndata: b\r\r\n' },
  'other line terminators do not end a line': { text: 'data: a\u2028b\u0085c\u000bd\n\n' },
  'NUL in data': { text: 'data: a\0b\n\n' },
  'a byte order mark': { text: '\ufeffdata: a\n\n' },
  'two byte order marks': { text: '\ufeff\ufeffdata: a\n\ndata: b\n\n' },
  'a byte order mark later': { text: 'data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n' },
  'an incomplete event is dropped': { text: 'data: a\n\ndata: b\n' },
  'an unfinished event with an unfinished line': { text: 'data: a\n\ndata: b' },
  nothing: { text: '' },
  'only empty lines': { text: '\n\n\r\r\n' },
  'characters of several bytes': { text: 'data: grüße 🎉 日本\n\n' },
  'invalid UTF-8': {
    bytes: [...Buffer.from('data: a'), 0xff, 0xc3, 0x28, 0xe2, 0x82, ...Buffer.from('\n\n')],
  },
  'an incomplete character': { bytes: [...Buffer.from('data: a\n\ndata: '), 0xf0, 0x9f] },
  'a long line': { text: `data: ${'x'.repeat(300_000)}\n\n` },
}

for (const [name, { text, bytes = Buffer.from(text), types = [] }] of Object.entries(STREAMS)) {
  leftOut(`${name}: as the browser's own`, time, async () => {
    stream('case', [Buffer.from(bytes)])
    const outcome = (which) =>
      page.evaluate(
        ([whose, address, named]) => watch(make[whose](address), named),
        [which, url('case'), types],
      )
    const plain = await outcome('plain')
    assert.equal(plain[0][0], 'open', 'the control: the browser’s own reads it')
    assert.deepEqual(await outcome('vault'), plain)
  })

  leftOut(`${name}: in chunks of any size`, () => {
    const read = (pieces) => {
      const said = []
      const take = parse(
        { event: (...event) => said.push(event), retry: (delay) => said.push(delay) },
        'before',
      )
      for (const piece of pieces) take(piece)
      return said
    }
    const data = Uint8Array.from(bytes)
    const whole = read([data])
    const ends = data.length > 1000 ? [1, 6, 1000, data.length - 1] : [...data.keys()]
    for (const end of ends) {
      assert.deepEqual(read([data.subarray(0, end), data.subarray(end)]), whole, `cut at ${end}`)
    }
    if (data.length > 1000) return
    assert.deepEqual(read([...data.keys()].map((at) => data.subarray(at, at + 1))), whole, 'byte by byte')
  })
}

/** Responses that are not an event stream, or that stop reconnecting. */
const ANSWERS = {
  'status 204, which stops reconnecting': (response) => response.writeHead(204).end(),
  'status 205': (response) => response.writeHead(205).end(),
  'status 404': (response) => response.writeHead(404, { 'Content-Type': 'text/event-stream' }).end(),
  'status 500': (response) =>
    response.writeHead(500, { 'Content-Type': 'text/event-stream' }).end('data: a\n\n'),
  'status 503': (response) => response.writeHead(503, { 'Content-Type': 'text/event-stream' }).end(),
  'no type': (response) => response.writeHead(200).end('data: a\n\n'),
  'another type': (response) => response.writeHead(200, { 'Content-Type': 'text/plain' }).end('data: a\n\n'),
  'a type that starts like it': (response) =>
    response.writeHead(200, { 'Content-Type': 'text/event-streams' }).end('data: a\n\n'),
  'a type with a parameter': (response) =>
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' }).end('data: a\n\n'),
  'an uppercase type': (response) =>
    response.writeHead(200, { 'Content-Type': 'TEXT/Event-Stream;x=y' }).end('data: a\n\n'),
  'a connection that breaks immediately': (response) => response.destroy(),
}

for (const [name, act] of Object.entries(ANSWERS)) {
  leftOut(`${name}: as the browser's own`, time, async () => {
    app.api.on('answer', ({ response }) => act(response))
    const outcome = (which) =>
      page.evaluate(([whose, address]) => watch(make[whose](address)), [which, url('answer')])
    assert.deepEqual(await outcome('vault'), await outcome('plain'))
  })
}

/**
 * Cases for the other members of the interface `EventSource`. Each case is code that runs with `make` and with the URL
 * of a stream that stays open.
 */
const INTERFACE = {
  'its constants': `(() => {
    const source = make(url)
    return when(source, 'open').then(() => {
      source.close()
      return [source.CONNECTING, source.OPEN, source.CLOSED, source.readyState, source.withCredentials]
    })
  })()`,
  withCredentials: `(async () => {
    const source = make(url, { withCredentials: true })
    await when(source, 'open')
    source.close()
    return source.withCredentials
  })()`,
  'it is connecting at first': `(() => { const source = make(url); const { readyState } = source; source.close(); return [readyState, source.readyState] })()`,
  'closed immediately, it fires nothing': `(async () => {
    const source = make(url)
    const said = []
    for (const type of ['open', 'message', 'error']) source.addEventListener(type, () => said.push(type))
    source.close()
    const other = make(url)
    await when(other, 'message')
    other.close()
    return [said, source.readyState]
  })()`,
  'closed by a listener, it fires nothing more': `(async () => {
    const source = make(url)
    const said = []
    source.onmessage = ({ data }) => { said.push(data); source.close() }
    await when(source, 'message')
    const other = make(url)
    await when(other, 'message')
    other.close()
    return [said, source.readyState]
  })()`,
  handlers: `(async () => {
    const source = make(url)
    const said = []
    source.onopen = function () { said.push(this === source) }
    source.onmessage = ({ data, target }) => said.push(data, target === source)
    await when(source, 'message')
    source.onmessage = null
    source.close()
    return [said, source.onmessage, typeof source.onopen]
  })()`,
}

for (const [name, code] of Object.entries(INTERFACE)) {
  leftOut(`${name}: as the browser's own`, time, async () => {
    stream('stays', ['data: first\n\ndata: second\n\n'], () => {})
    const outcome = (which) =>
      page.evaluate(`(async (make, url) => await (${code}))(make.${which}, '${url('stays')}')`)
    assert.deepEqual(await outcome('vault'), await outcome('plain'))
  })
}

test('it requests a stream with the token, bypassing caches', time, async () => {
  stream('asks', ['data: a\n\n'], () => {})
  await page.evaluate(async (address) => {
    const source = auth.eventSource(address)
    await when(source, 'message')
    source.close()
  }, url('asks'))
  const [{ headers, claims, closed }] = app.api.requests
  assert.ok(claims.sub)
  assert.equal(headers.accept, 'text/event-stream')
  assert.equal(headers['cache-control'], 'no-cache')
  assert.equal('last-event-id' in headers, false)
  // `close()` ends the connection.
  await closed
})

// claim: everyday-13
test('it reconnects after the stream’s delay, with the last event ID', time, async () => {
  let count = 0
  app.api.on('again', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.end(++count < 3 ? `retry: 10\nid: ü${count}\ndata: ${count}\n\n` : 'data: last\n\n')
  })
  const said = await page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const said = []
        const source = auth.eventSource(address)
        source.onopen = () => said.push('open')
        source.onerror = () => said.push(`error ${source.readyState}`)
        source.onmessage = ({ data, lastEventId }) => {
          said.push(`${data} ${lastEventId}`)
          if (data !== 'last') return
          source.close()
          resolve(said)
        }
      }),
    url('again'),
  )
  assert.deepEqual(said, ['open', '1 ü1', 'error 0', 'open', '2 ü2', 'error 0', 'open', 'last ü2'])
  const ids = app.api.requests.map(({ headers }) => headers['last-event-id'])
  const sent = ids.map((id) => id && Buffer.from(id, 'latin1').toString())
  assert.deepEqual(sent, [undefined, 'ü1', 'ü2'])
})

/**
 * Lets a source reconnect `count` times without waiting. Resolves with the delays in milliseconds for which it would have
 * waited.
 */
const delays = (name, count) =>
  page.evaluate(
    ([address, count]) =>
      new Promise((resolve) => {
        const source = auth.eventSource(address)
        const { setTimeout: later } = globalThis
        const delays = []
        // The source sets its timer right after this event.
        source.onerror = () => {
          globalThis.setTimeout = (run, delay) => {
            globalThis.setTimeout = later
            delays.push(delay)
            if (delays.length < count) return later(run)
            source.close()
            resolve(delays)
          }
        }
      }),
    [url(name), count],
  )

leftOut('a delay beyond the maximum of timers is capped', time, async () => {
  for (const retry of ['2147483648', '99999999999', '9'.repeat(400)]) {
    stream('hasty', [`retry: ${retry}\ndata: x\n\n`])
    assert.deepEqual(await delays('hasty', 1), [2 ** 31 - 1], retry)
  }
})

leftOut('retry: 0 still waits after a failure', time, async () => {
  let count = 0
  app.api.on('hasty', ({ response }) => {
    if (count++) return response.destroy()
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('retry: 0\ndata: x\n\n')
  })
  const [afterStream, afterFailure] = await delays('hasty', 2)
  assert.equal(afterStream, 0)
  assert.ok(afterFailure >= 1000, `${afterFailure} ms`)
})

leftOut('an oversized event ID ends only its source', time, async () => {
  app.api.on('named', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.end(`retry: 1\nid: ${'x'.repeat(1 << 20)}\ndata: x\n\n`)
  })
  const said = await page.evaluate(
    async ([address, slow]) => {
      const other = auth.fetch(slow).then(({ status }) => status)
      const source = auth.eventSource(address)
      const error = await new Promise((resolve) => {
        source.onerror = ({ error }) => error && resolve(error)
      })
      return [error.name, source.readyState, await other]
    },
    [url('named'), `${app.api.url}slow?ms=1500`],
  )
  assert.deepEqual(said, ['TypeError', 2, 200])
})

leftOut('it reconnects after a network failure', time, async () => {
  let count = 0
  app.api.on('fails', ({ response }) => {
    if (++count === 1) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      return response.write('retry: 10\n\n', () => response.destroy())
    }
    // A browser may repeat a failed request by itself, once for each idle connection.
    if (count < 6) return response.destroy()
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: there\n\n')
  })
  const outcome = await page.evaluate(async (address) => {
    const source = auth.eventSource(address)
    const errors = []
    source.onerror = ({ error }) => errors.push([error?.name, source.readyState])
    const { data } = await when(source, 'message')
    source.close()
    return [data, errors]
  }, url('fails'))
  assert.equal(outcome[0], 'there')
  assert.ok(outcome[1].length >= 2)
  for (const error of outcome[1]) assert.deepEqual(error, ['TypeError', 0])
})

leftOut('a rejection by the vault is final, with a reason', time, async () => {
  const outcome = await page.evaluate(async () => {
    const source = auth.eventSource('https://elsewhere.example/')
    const { error } = await when(source, 'error')
    return [error.code, source.readyState]
  })
  assert.deepEqual(outcome, ['url_not_allowed', 2])
})

leftOut('a redirect is final, and is not followed', time, async () => {
  app.api.on('moved', ({ response }) => response.writeHead(302, { Location: '/v1/me' }).end())
  const outcome = await page.evaluate(async (address) => {
    const source = auth.eventSource(address)
    const { error } = await when(source, 'error')
    return [error.code, source.readyState]
  }, url('moved'))
  assert.deepEqual(outcome, ['redirect_blocked', 2])
  assert.equal(app.api.requests.length, 1)
})

leftOut('an invalid URL is refused immediately', time, async () => {
  const name = await page.evaluate(() => {
    try {
      auth.eventSource('http://[')
    } catch (error) {
      return error.name
    }
  })
  assert.equal(name, 'TypeError')
})

leftOut('closing the client ends it', time, async () => {
  stream('open', ['data: a\n\n'], () => {})
  const other = await app.open('/', page.context())
  await booted(other)
  await other.evaluate(prepare)
  const outcome = await other.evaluate(async (address) => {
    const source = auth.eventSource(address)
    await when(source, 'message')
    const failed = when(source, 'error')
    auth.close()
    const { error } = await failed
    return [error.code, source.readyState]
  }, url('open'))
  assert.deepEqual(outcome, ['closed', 2])
  const [{ closed }] = app.api.requests
  await closed
  await other.close()
})

leftOut('a change of user reconnects it, and a logout ends it', time, async () => {
  stream('mine', ['data: a\n\n'], () => {})
  const context = await app.browser.newContext()
  const tab = await app.open('/', context)
  await signIn(tab)
  await tab.evaluate(prepare)
  const other = await app.open('/', context)
  const heard = (type) =>
    tab.evaluate(async (awaited) => {
      const { error } = await when(source, awaited)
      return [error?.code, source.readyState]
    }, type)
  await tab.evaluate(async (address) => {
    globalThis.source = auth.eventSource(address)
    await when(source, 'message')
  }, url('mine'))

  const again = heard('message')
  await startLogin(other, { prompt: 'login' })
  await giveConsent(other, ACCOUNTS[1])
  await again
  const users = app.api.requests.map(({ claims }) => claims.sub)
  assert.deepEqual(users, [ACCOUNTS[0].username, ACCOUNTS[1].username])
  await app.api.requests[0].closed

  const ended = heard('error')
  await other.waitForURL(/\/callback/)
  await booted(other)
  await other.evaluate(() => auth.logout())
  assert.deepEqual(await ended, ['login_required', 2])
  await app.api.requests[1].closed
  assert.equal(app.api.requests.length, 2, 'no second request was sent')
  await context.close()
})

leftOut('sources and sockets report a missing streaming.js', time, async () => {
  const other = await app.open('/empty', page.context())
  await other.route('**/streaming.js', (route) => route.fulfill({ status: 404 }))
  await other.goto(`${app.site.origin}/`)
  await booted(other)
  const outcome = await other.evaluate(
    (address) =>
      Promise.all(
        [auth.eventSource(address), auth.webSocket(address)].map(
          (shell) =>
            new Promise((resolve) => {
              shell.onerror = ({ error }) => resolve([error.name, shell.readyState])
            }),
        ),
      ),
    url('case'),
  )
  assert.deepEqual(outcome, [
    ['TypeError', 2],
    ['TypeError', 2],
  ])
  await other.close()
})

leftOut(
  'a restored page has its source again, but not its socket',
  time,
  played(async () => {
    const cached = await startApp({ launch: WITH_CACHE, provider: { accessTokenSeconds: 3600 } })
    try {
      const live = `${cached.api.url.replace('http', 'ws')}live/query`
      cached.site.connectSrc.push(new URL(live).origin)
      cached.setConfig({ apis: [{ url: cached.api.url, webSocket: { token: 'query' } }] })
      cached.api.on('stays', ({ response }) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.write('retry: 10\ndata: here\n\n')
      })
      const tab = await cached.open()
      await signIn(tab)
      await tab.evaluate(prepare)
      await tab.evaluate(
        async ([stream, socket]) => {
          const said = []
          const source = auth.eventSource(stream)
          source.onerror = ({ error }) => said.push(`source ${error.code} ${source.readyState}`)
          await when(source, 'message')
          const talk = auth.webSocket(socket)
          await when(talk, 'open')
          talk.onerror = ({ error }) => said.push(`socket ${error.code}`)
          talk.onclose = ({ code }) => said.push(`socket ${code}`)
          globalThis.back = when(source, 'message').then(() => said)
        },
        [`${cached.api.url}on/stays`, live],
      )
      await mark(tab)
      await tab.goto(`${cached.site.origin}/empty`)
      // Open streams are closed when the browser leaves the page, and not only when the user comes back.
      await Promise.all([cached.api.requests[0].closed, cached.api.sockets.at(-1).closed])
      await comeBack(tab)
      const said = await tab.evaluate(() => back)
      assert.deepEqual(said.sort(), ['socket 1006', 'socket page_left', 'source page_left 0'])
    } finally {
      await cached.close()
    }
  }),
)
