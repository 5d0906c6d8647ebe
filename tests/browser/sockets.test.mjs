// `auth.webSocket` behaves like `WebSocket`. Each row of `ROWS` and `SERVED` runs twice in one page: with the page's
// own WebSocket, to which the test gives the vault's access token, and with `auth.webSocket`. Both runs must have the
// same result. The page must not see the token that `auth.webSocket` sends.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { collect, record, search } from '../support/leak.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 30_000 }
const WAYS = {
  protocol: { token: 'protocol', prefix: 'bearer.' },
  message: { token: 'message', message: '{"token":"{token}"}' },
  query: { token: 'query' },
}

let app, page, log, live, nobody

before(async () => {
  app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
  live = `${app.api.url.replace('http', 'ws')}live/`
  nobody = `${await nowhere()}/`.replace('http', 'ws')
  app.site.connectSrc.push(new URL(live).origin, nobody)
  app.site.pageCsp += ` ${new URL(live).origin} ${nobody}`
  app.setConfig({ apis: rules() })
  const context = await app.browser.newContext()
  log = await record(context)
  page = await app.open('/', context)
  await signIn(page)
  await page.evaluate(prepare)
})

after(() => app?.close())

beforeEach(() => {
  app.api.sockets.length = 0
})

/** Returns `apis` that also allows sockets below `/v1/live/` and at an origin without a server. */
function rules() {
  const http = live.replace('ws', 'http')
  return [
    ...app.config.apis,
    { url: http, webSocket: WAYS.query },
    { url: nobody.replace('ws', 'http'), webSocket: WAYS.query },
  ]
}

/**
 * Returns the sockets that reached the API with a valid token. If the token is in the query, the vault first tries the
 * URL without the token, and that handshake is left out.
 */
const admitted = () => app.api.sockets.filter(({ claims }) => claims)

/** Resolves with an origin where no server listens. */
async function nowhere() {
  const server = await listen({ handler() {} })
  await server.close()
  return server.origin
}

/** Defines the two ways to create a socket, and functions that record its events. This function runs in the page. */
function prepare() {
  globalThis.make = {
    plain: (token) => (url, protocols) => {
      const address = new URL(url)
      address.searchParams.set('access_token', token)
      return new WebSocket(address, protocols)
    },
    vault: () => auth.webSocket,
  }
  const text = async (data) => {
    if (typeof data === 'string') return data.length > 100 ? `${data.length} units` : data
    const kind = Object.prototype.toString.call(data)
    const bytes = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data)
    return `${kind} ${bytes.length > 20 ? `${bytes.length} bytes` : bytes.join()}`
  }
  /**
   * Resolves when the socket has closed or `enough` messages have arrived, with the socket's events so far in order.
   */
  globalThis.watch = (socket, enough = Infinity) => {
    const said = []
    return new Promise((resolve) => {
      const done = async () => resolve(await Promise.all(said))
      let count = 0
      socket.addEventListener('open', ({ type }) => said.push(`${type}, state ${socket.readyState}`))
      socket.addEventListener('message', ({ data, origin }) => {
        const { readyState } = socket
        said.push(text(data).then((shown) => `message ${shown} of ${origin}, state ${readyState}`))
        if (++count === enough) done()
      })
      socket.addEventListener('error', ({ type }) => said.push(`${type}, state ${socket.readyState}`))
      socket.addEventListener('close', ({ code, reason, wasClean }) => {
        said.push(`close ${code} '${reason}' ${wasClean}, state ${socket.readyState}`)
        done()
      })
    })
  }
  globalThis.opened = (socket) =>
    new Promise((resolve, reject) => {
      socket.addEventListener('open', () => resolve(socket))
      socket.addEventListener('close', reject)
    })
  globalThis.nameOf = (action) => {
    try {
      action()
      return 'it succeeded'
    } catch (error) {
      return [error.name, error instanceof DOMException, error.code]
    }
  }
  /** Resolves with the next event of this type. */
  globalThis.when = (socket, type) =>
    new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }))
}

/**
 * Returns the expression of a row of `ROWS`. The expression runs in the page. It opens a socket, runs the code
 * `before`, sends the value of `send`, and resolves with the events up to the server's echo.
 */
const echo = (send, before = '') => `(async () => {
  const socket = await opened(make(url))
  ${before}
  const said = watch(socket, 1)
  socket.send(${send})
  return said
})()`

const closed = (action, query = '') => `(async () => {
  const socket = await opened(make(url + '${query}'))
  const said = watch(socket)
  ${action}
  return [socket.readyState, await said]
})()`

const ROWS = {
  'a text': echo(`'hello'`),
  'an empty text': echo(`''`),
  'a string that is not ASCII': echo(`'grüße 🎉'`),
  'half a character': echo(`'a\\ud800b'`),
  'a string with NUL': echo(`'a\\0b'`),
  'a number, which becomes a string': echo('42'),
  'an object, which becomes a string': echo(`{ a: 1 }`),
  'an ArrayBuffer, as a Blob': echo('Uint8Array.of(1, 2, 3).buffer'),
  'an ArrayBuffer, as one': echo('Uint8Array.of(1, 2, 3).buffer', `socket.binaryType = 'arraybuffer'`),
  'an empty ArrayBuffer': echo('new ArrayBuffer(0)', `socket.binaryType = 'arraybuffer'`),
  'a part of an ArrayBuffer': echo(
    'Uint8Array.of(1, 2, 3, 4).subarray(1, 3)',
    `socket.binaryType = 'arraybuffer'`,
  ),
  'a DataView': echo(
    'new DataView(Uint8Array.of(1, 2, 3, 4).buffer, 2)',
    `socket.binaryType = 'arraybuffer'`,
  ),
  'a Blob': echo(`new Blob(['abc'])`, `socket.binaryType = 'arraybuffer'`),
  'five megabytes': echo('new Uint8Array(5_000_000).fill(97)', `socket.binaryType = 'arraybuffer'`),
  'a million characters': echo(`'ü'.repeat(1_000_000)`),
  'an ArrayBuffer stays the caller’s': `(async () => {
    const socket = await opened(make(url))
    const { buffer } = Uint8Array.of(1, 2, 3)
    socket.send(buffer)
    const size = buffer.byteLength
    await when(socket, 'message')
    return size
  })()`,
  'data that is changed after it was sent': `(async () => {
    const socket = await opened(make(url))
    socket.binaryType = 'arraybuffer'
    const bytes = Uint8Array.of(1, 2, 3)
    const said = watch(socket, 1)
    socket.send(bytes)
    bytes[0] = 9
    return said
  })()`,
  'five hundred messages of two kinds in order': `(async () => {
    const socket = await opened(make(url))
    socket.binaryType = 'arraybuffer'
    const said = watch(socket, 500)
    for (let i = 0; i < 500; i++) socket.send(i % 2 ? String(i) : Uint8Array.of(i / 2))
    return said
  })()`,
  'messages before the first handler are lost': `(async () => {
    const socket = make(url + '?quiet')
    await when(socket, 'open')
    return [socket.readyState, socket.protocol, socket.extensions, socket.bufferedAmount, socket.binaryType]
  })()`,
  'its constants': `(async () => {
    const socket = await opened(make(url))
    return [socket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED]
  })()`,
  'its address': `(async () => {
    const socket = await opened(make(url + '?a=1'))
    const shown = new URL(socket.url)
    shown.searchParams.delete('access_token')
    return shown.href
  })()`,
  'an invalid binaryType': `(async () => {
    const socket = await opened(make(url))
    const before = socket.binaryType
    socket.binaryType = 'text'
    return [before, socket.binaryType]
  })()`,
  'it is connecting at first': `[make(url).readyState]`,
  'it cannot send before it is open': `(async () => {
    const socket = make(url)
    await Promise.resolve()
    return nameOf(() => socket.send('early'))[0] !== 'it succeeded'
  })()`,
  'handlers, and listeners in their order': `(async () => {
    const socket = await opened(make(url))
    const said = []
    socket.addEventListener('message', () => said.push('before'))
    socket.onmessage = function (event) { said.push(this === socket && event.target === socket) }
    socket.addEventListener('message', () => said.push('after'))
    socket.onmessage = () => said.push('replaced')
    socket.send('x')
    await when(socket, 'message')
    await Promise.resolve()
    socket.onmessage = null
    socket.send('y')
    await when(socket, 'message')
    await Promise.resolve()
    return [said, socket.onmessage, typeof socket.onopen]
  })()`,
  'handlers that were set immediately': `new Promise((resolve) => {
    const said = []
    const socket = make(url)
    socket.onopen = () => { said.push('open'); socket.send('x') }
    socket.onmessage = ({ data }) => { said.push(data); socket.close(1000, 'done') }
    socket.onerror = () => said.push('error')
    socket.onclose = ({ code, reason }) => resolve([...said, code, reason])
  })`,
  'close()': closed('socket.close()'),
  'close(1000)': closed('socket.close(1000)'),
  'close with a reason': closed(`socket.close(4321, 'grüße')`),
  'close(3000)': closed(`socket.close(3000)`),
  'close with values that become a number and a string': closed(`socket.close('4321', 42)`),
  'close twice': closed(`socket.close(4001, 'first'); socket.close(4002, 'second')`),
  'close with a reserved code': closed(`said.code = nameOf(() => socket.close(1001)); socket.close()`),
  'codes and reasons that scripts may not send': `(async () => {
    const socket = await opened(make(url))
    return [
      ...[999, 1001, 1006, 2999, 5000].map((code) => nameOf(() => socket.close(code))),
      nameOf(() => socket.close(1000, 'x'.repeat(124))),
      nameOf(() => socket.close(1000, 'ü'.repeat(62))),
      socket.readyState,
    ]
  })()`,
  'a reason of 123 bytes': closed(`socket.close(1000, 'x'.repeat(123))`),
  'data sent after close() is dropped': `(async () => {
    const socket = await opened(make(url))
    const said = watch(socket)
    socket.close()
    socket.send('12345')
    const waiting = socket.bufferedAmount
    return [waiting, await said, socket.bufferedAmount, nameOf(() => socket.send('more'))]
  })()`,
  'messages just before close() arrive': `(async () => {
    const socket = await opened(make(url + '?quiet'))
    const said = watch(socket)
    for (let i = 0; i < 50; i++) socket.send('x'.repeat(1000))
    socket.close(1000)
    return said
  })()`,
  'close() while it connects': `(async () => {
    const socket = make(url)
    const said = watch(socket)
    socket.close()
    return [socket.readyState, await said]
  })()`,
  'close() when it opens': `(async () => {
    const socket = make(url)
    const said = watch(socket)
    socket.onopen = () => socket.close(4000)
    return said
  })()`,
  'a rejected handshake': `watch(make(url.replace('live', 'dead') + '?'))`,
  'a server that is not there': `watch(make(nobody))`,
  'a sub-protocol of the page': `(async () => (await opened(make(url, 'chat'))).protocol)()`,
  'sub-protocols of the page': `(async () => (await opened(make(url, ['log', 'chat']))).protocol)()`,
  'a server that chooses none of the sub-protocols': `watch(make(url + '?choose=none', ['chat']))`,
  'bufferedAmount falls to zero': `(async () => {
    const socket = await opened(make(url + '?quiet'))
    socket.send('ü'.repeat(500_000))
    const atOnce = socket.bufferedAmount
    while (socket.bufferedAmount) await new Promise((resolve) => setTimeout(resolve))
    return atOnce
  })()`,
}

function run(code, which) {
  const { value: token } = app.ledger.newest('access_token')
  return page.evaluate(
    `(async (make, url, nobody) => await (${code}))(make.${which}('${which === 'plain' ? token : ''}'), '${live}query', '${nobody}')`,
  )
}

for (const [name, code] of Object.entries(ROWS)) {
  test(name, time, async () => {
    const plain = await run(code, 'plain')
    assert.deepEqual(await run(code, 'vault'), plain)
  })
}

/** Rows in which the server acts on each socket after it has opened. */
const SERVED = {
  'the server closes': ({ socket }) => socket.close(4321, 'grüße'),
  'the server closes without a code': ({ socket }) => socket.close(),
  'the connection breaks': ({ socket }) => socket.terminate(),
  'the server sends, and closes': ({ socket }) => {
    for (let i = 0; i < 100; i++) socket.send(i % 2 ? `message ${i}` : Buffer.from([i]))
    socket.close(1000)
  },
  'the server sends an invalid frame': ({ socket }) => void socket._socket.write(Buffer.from([0x83, 0])),
}

for (const [name, act] of Object.entries(SERVED)) {
  test(name, time, async () => {
    const outcome = async (which) => {
      const watched = run(
        `(async () => { const socket = await opened(make(url)); globalThis.said = watch(socket) })()`,
        which,
      )
      await watched
      act(admitted().at(-1))
      return page.evaluate(() => said)
    }
    assert.deepEqual(await outcome('vault'), await outcome('plain'))
  })
}

test('its url is the page’s, without the token', time, async () => {
  const url = await run(`(async () => (await opened(make(url + '?a=1'))).url)()`, 'vault')
  assert.equal(url, `${live}query?a=1`)
  const [{ path }] = admitted()
  assert.match(path, /\?a=1&access_token=ey/)
})

/**
 * Resolves with a signed-in page that has its own vault (`other`), and with the records of `record()` (`recorded`). The
 * API's entry in `apis` has this `webSocket`.
 */
async function withRule(webSocket, more = {}) {
  app.setConfig({ apis: [{ url: app.api.url, webSocket }], ...more })
  const context = await app.browser.newContext()
  const recorded = await record(context)
  const other = await app.open('/', context)
  await signIn(other)
  await other.evaluate(prepare)
  return { other, recorded }
}

for (const [way, rule] of Object.entries(WAYS)) {
  test(`by ${way}: the API gets a valid token, and the page gets none`, time, async () => {
    const { other, recorded } = await withRule(rule)
    const said = await other.evaluate(async (url) => {
      const socket = auth.webSocket(url)
      const said = watch(socket)
      await opened(socket)
      socket.send('hello')
      await when(socket, 'message')
      globalThis.kept = socket
      socket.close(1000)
      return [socket.protocol, await said]
    }, live + way)
    const { origin } = new URL(live)
    assert.deepEqual(said, [
      '',
      ['open, state 1', `message hello of ${origin}, state 1`, "close 1000 '' true, state 3"],
    ])
    const [{ claims, messages }] = admitted()
    assert.ok(claims.sub)
    assert.deepEqual(messages, ['hello'])
    const secrets = [{ kind: 'access_token', value: app.ledger.newest('access_token').value }]
    assert.deepEqual(search(await collect(other, recorded), secrets), [])
    await other.context().close()
  })
}

// claim: api-8
test('a chosen sub-protocol with the token is hidden from the page', time, async () => {
  const { other, recorded } = await withRule(WAYS.protocol)
  const outcome = await other.evaluate(async (url) => {
    const socket = await opened(auth.webSocket(url, ['chat']))
    return [socket.protocol, Object.keys(socket)]
  }, `${live}protocol?choose=token`)
  assert.equal(outcome[0], '')
  const [{ socket, protocols }] = admitted()
  // Control experiment: the server really chose the sub-protocol that contains the token.
  assert.match(socket.protocol, /^bearer\.ey/)
  assert.deepEqual([protocols[0], protocols.length], ['chat', 2])
  const secrets = [{ kind: 'access_token', value: app.ledger.newest('access_token').value }]
  assert.deepEqual(search(await collect(other, recorded), secrets), [])
  await other.context().close()
})

test('a message with the token closes it with code 4010', time, async () => {
  const { other, recorded } = await withRule(WAYS.query)
  const secrets = [{ kind: 'access_token', value: app.ledger.newest('access_token').value }]
  for (const write of [String, btoa, Buffer.from]) {
    const { length } = admitted()
    await other.evaluate(async (url) => {
      const socket = auth.webSocket(url)
      globalThis.said = watch(socket)
      await opened(socket)
      socket.send('hello')
      await when(socket, 'message')
    }, `${live}query`)
    admitted()[length].socket.send(write(`You are ${secrets[0].value}.`))
    const said = await other.evaluate(() => said)
    assert.equal(said.at(-1), "close 4010 'token_reflected' true, state 3")
    assert.equal(said.filter((line) => line.startsWith('message')).length, 1)
  }
  assert.deepEqual(search(await collect(other, recorded), secrets), [])
  await other.context().close()
})

// claim: api-4
test('a message with an earlier or a later token closes it, too', time, async () => {
  const { other, recorded } = await withRule(WAYS.query)
  const open = async () => {
    const { length } = admitted()
    await other.evaluate(async (url) => {
      const socket = auth.webSocket(url)
      globalThis.said = watch(socket)
      await opened(socket)
    }, `${live}query`)
    return admitted()[length].socket
  }
  const reflected = "close 4010 'token_reflected' true, state 3"
  for (const write of [String, btoa, Buffer.from]) {
    const former = app.ledger.newest('access_token')
    const socket = await open()
    // The API refuses the token once, and the vault gets another one.
    const { value } = await call(other, `${app.api.url}reject-once/${write.name}`)
    assert.equal(value?.status, 200)
    const later = app.ledger.newest('access_token')
    assert.notEqual(later.value, former.value)
    socket.send('harmless')
    socket.send(write(`You are ${later.value}.`))
    // After the events `open` and `message`.
    assert.deepEqual((await other.evaluate(() => said)).slice(2), [reflected])
    const next = await open()
    next.send(write(`You were ${former.value}.`))
    assert.deepEqual((await other.evaluate(() => said)).slice(1), [reflected])
  }
  const secrets = app.ledger.tokens('access_token')
  assert.deepEqual(search(await collect(other, recorded), secrets), [])
  await other.context().close()
})

test("a control: with reflection: 'allow' the page gets that message", time, async () => {
  const apis = [{ url: app.api.url, webSocket: WAYS.query, reflection: 'allow' }]
  const { other } = await withRule(WAYS.query, { apis })
  const { value } = app.ledger.newest('access_token')
  const got = await other.evaluate(
    async ([url, text]) => {
      const socket = await opened(auth.webSocket(url))
      socket.send(text)
      return (await when(socket, 'message')).data
    },
    [`${live}query`, value],
  )
  assert.equal(got, value)
  await other.context().close()
})

test('closing a page closes its sockets', time, async () => {
  const { other } = await withRule(WAYS.query)
  const tab = await app.open('/', other.context())
  await booted(tab)
  await tab.evaluate(prepare)
  await tab.evaluate((url) => opened(auth.webSocket(url)), `${live}query`)
  await tab.close()
  await admitted()[0].closed
  await other.context().close()
})

test('leaving a page closes its sockets', time, async () => {
  const { other } = await withRule(WAYS.query)
  await other.evaluate((url) => opened(auth.webSocket(url)), `${live}query`)
  await other.goto(`${app.site.origin}/empty`)
  await admitted()[0].closed
  await other.context().close()
})

test('a limit closes it with code 4009', time, async () => {
  const said = await run(
    `(async () => {
      const socket = await opened(make(url))
      const said = watch(socket)
      // The recorder sends each byte to the test as JSON, which would write a zero as six characters.
      socket.send(new Uint8Array(16 * 1024 * 1024 + 1).fill(97))
      return said
    })()`,
    'vault',
  )
  assert.deepEqual(said, ["close 4009 'limit_exceeded' true, state 3"])
  assert.equal((await admitted()[0].closed).code, 4009)
})

// claim: api-8
test('messages of a server are limited too', time, async () => {
  await run(`(async () => { globalThis.said = watch(await opened(make(url))) })()`, 'vault')
  admitted()[0].socket.send(Buffer.alloc(16 * 1024 * 1024 + 1))
  assert.deepEqual(await page.evaluate(() => said), ["close 4009 'limit_exceeded' true, state 3"])
})

test('a socket that no rule allows fails with a reason', time, async () => {
  const outcomes = await page.evaluate(
    async (urls) =>
      Promise.all(
        urls.map(async (url) => {
          const socket = auth.webSocket(url)
          const failed = when(socket, 'error')
          const said = watch(socket)
          return [(await failed).error.code, (await said).at(-1)]
        }),
      ),
    [`${app.api.origin}/v2/live`, 'wss://elsewhere.example/v1/live', `${live}query?access_token=mine`],
  )
  for (const outcome of outcomes)
    assert.deepEqual(outcome, ['url_not_allowed', "close 1006 '' false, state 3"])
  assert.equal(app.api.sockets.length, 0)
})

test('an invalid URL, and invalid sub-protocols', time, async () => {
  const thrown = await page.evaluate(() => nameOf(() => auth.webSocket('http://[')))
  assert.equal(thrown[0], 'TypeError')
  const failed = await page.evaluate(
    (url) =>
      Promise.all(
        [['a', 'a'], ['a b'], ''].map(
          async (names) => (await when(auth.webSocket(url, names), 'error')).error?.name,
        ),
      ),
    `${live}query`,
  )
  assert.deepEqual(failed, ['SyntaxError', 'SyntaxError', 'SyntaxError'])
})

/**
 * An array of arrays, in which each array contains the next array twice. It takes few bytes, but its string would take
 * half a gigabyte.
 */
const NESTED = `(() => {
  let list = []
  for (let depth = 0; depth < 28; depth++) list = [list, list]
  return list
})()`

/**
 * Code that creates data which script of a page may send on a socket's port. The package itself would never send such
 * data.
 */
const GARBAGE = {
  nothing: 'undefined',
  null: 'null',
  'a text': "'close'",
  true: 'true',
  'an empty list': '[]',
  'an empty array': '[undefined]',
  'an array of null': '[null]',
  'an array of an object': '[{}]',
  'an object with a size': '[{ size: 1 }]',
  'an invalid number': '[NaN]',
  'a map': '[new Map()]',
  'an array that contains itself': '(() => { const list = []; list.push(list); return list })()',
  'endlessly nested arrays': `[${NESTED}]`,
  'nested arrays with a size': `[Object.assign(${NESTED}, { size: 1, byteLength: 1 })]`,
  'a code made of arrays': `{ code: ${NESTED} }`,
  'a reason made of arrays': `{ code: 4000, reason: ${NESTED} }`,
  // The platform would convert each of these views to a valid value.
  'a code that is a view of a buffer': '{ code: Uint16Array.of(4000) }',
  'a reason that is a view of a buffer': '{ code: 4000, reason: new Uint8Array(4) }',
  'an invalid code': "{ code: 'x', reason: {} }",
  'a reserved code': '{ code: 1006 }',
  'a reason that is too long': "{ code: 4000, reason: 'x'.repeat(1000) }",
}

/**
 * Opens a socket without the package, and sends `garbage` on the socket's port. If `payload` is not `port`, it is sent
 * in place of the port. Resolves with the messages that the page gets. This function runs in a page.
 */
const raw = async ({ url, garbage, payload = 'port' }) => {
  // The code is compiled now, because the page's policy forbids this in later tasks.
  const make = new Function(`return ${payload === 'port' ? garbage : payload}`)
  const { port1, port2 } = new MessageChannel()
  const own = new MessageChannel()
  create.shared().port.postMessage('strongroom', [port2])
  const heard = []
  const said = new Promise((resolve) => {
    port1.onmessage = ({ data: [text] }) =>
      text[0] === '{' && JSON.parse(text).id === 7 && resolve(JSON.parse(text))
    own.port1.onmessage = ({ data }) => {
      // The data did not close the socket, and this is the server's echo.
      if (Array.isArray(data)) return
      heard.push(typeof data === 'object' ? data?.code : JSON.parse(data).t)
      if (typeof data === 'object') return resolve(heard)
      own.port1.postMessage(make())
      own.port1.postMessage({ code: 1000 })
    }
  })
  port1.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
  const message = JSON.stringify({ t: 'socket', id: 7, url, protocols: [] })
  if (payload === 'port') port1.postMessage([message, own.port2], [own.port2])
  else port1.postMessage([message, make()])
  return payload === 'port' ? said : null
}

test('malformed messages on a port affect only that socket', time, async () => {
  const empty = await app.open('/empty', page.context())
  const said = {}
  for (const [name, garbage] of Object.entries(GARBAGE)) {
    const start = performance.now()
    said[name] = await empty.evaluate(raw, { url: `${live}query`, garbage })
    assert.ok(performance.now() - start < 4000, `${name} kept the vault busy`)
  }
  for (const [name, [first, code]] of Object.entries(said)) {
    assert.equal(first, 'socket', name)
    assert.ok([1000, 1005, 4009].includes(code), `${name}: ${code}`)
  }
  for (const payload of ['undefined', 'null', '{}', 'new Blob()', "'x'", '{ postMessage: 1 }']) {
    await empty.evaluate(raw, { url: `${live}query`, payload })
  }
  assert.deepEqual(await page.evaluate(() => failures), [])
  const outcome = await run(ROWS['a text'], 'vault')
  assert.deepEqual(outcome, await run(ROWS['a text'], 'plain'))
  await empty.close()
})

test('a page without sockets does not load their code', time, async () => {
  app.site.requests.length = 0
  const other = await app.open('/', await app.browser.newContext())
  await booted(other)
  assert.equal(app.site.requests.filter(({ path }) => path.endsWith('/streaming.js')).length, 0)
  await other.evaluate(() => auth.webSocket('ws://127.0.0.1:1/').close())
  await other.waitForFunction(() =>
    performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/streaming.js')),
  )
  await other.context().close()
})
