// Script of the same origin, a damaged profile or a failing platform may disturb the vault. An attacker must achieve no
// more than an error for its own request.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { expandMessage } from '../../pkg/dist/error-messages.js'
import { booted, call, signIn, signInByPopup, startApp, startLogin } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

/** Lifetime of an access token in seconds. */
const LIFETIME = 4

const apps = {}

before(async () => {
  const options = { provider: { accessTokenSeconds: LIFETIME } }
  const [shared, dedicated] = await Promise.all([
    startApp(options),
    // With dedicated workers, the page that returns from a login by redirect has another vault, which must read the
    // login from the store.
    startApp({ kind: 'dedicated', ...options }),
  ])
  Object.assign(apps, { shared, dedicated })
})
after(() => Promise.all(Object.values(apps).map((each) => each.close())))
afterEach(() => {
  for (const each of Object.values(apps)) {
    each.setConfig({})
    each.provider.settings.accessTokenSeconds = LIFETIME
  }
})

// Storage

/** Opens the vault's database, which may be new, and changes it. This function runs in a page. */
const change = ({ version, upgrade, use }) => {
  // The code is compiled now, because the page's policy forbids this in later tasks.
  const upgrading = new Function('db', upgrade ?? '')
  const using = new Function('db', `return (async () => { ${use ?? ''} })()`)
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('strongroom', version)
    opening.onupgradeneeded = () => upgrading(opening.result)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = async () => {
      await using(opening.result)
      opening.result.close()
      resolve()
    }
  })
}

const STORES = "db.createObjectStore('logins', { keyPath: 'name' }); db.createObjectStore('keys')"

const seal = (key) => ({
  version: 1,
  upgrade: STORES,
  use: `const key = ${key}
    const store = db.transaction('keys', 'readwrite').objectStore('keys')
    await new Promise((resolve) => { store.put(key, 'seal').onsuccess = resolve })`,
})

const generated = (usages, algorithm = "{ name: 'AES-GCM', length: 256 }") =>
  `await crypto.subtle.generateKey(${algorithm}, false, ${JSON.stringify(usages)})`

const DAMAGES = {
  'the database has another version': { version: 7, upgrade: STORES },
  'the object stores are missing': { version: 1 },
  'one object store is missing': { version: 1, upgrade: "db.createObjectStore('keys')" },
  'the logins have no names': {
    version: 1,
    upgrade: "db.createObjectStore('logins'); db.createObjectStore('keys')",
  },
  'the records are null': {
    version: 1,
    upgrade: "db.createObjectStore('logins').put(null, 'x'); db.createObjectStore('keys')",
  },
  'the key is a string': seal("'x'"),
  'the key is an object': seal("{ usages: ['encrypt', 'decrypt'] }"),
  'the key has another algorithm': seal(
    generated(['encrypt', 'decrypt'], "{ name: 'AES-CBC', length: 256 }"),
  ),
  'the key cannot decrypt': seal(generated(['encrypt'])),
}

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`a login by redirect repairs the store: ${name}`, time, async () => {
    const app = apps.dedicated
    const empty = await app.open('/empty')
    await empty.evaluate(change, damage)
    const page = await app.open('/', empty.context())
    assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  })
}

/** Lets the worker's file run this code before it imports the vault, which opens the database. */
function breakWorker(app, code, config = app.config) {
  app.site.files['/breaks.js'] = code
  app.setWorker(
    `import '/breaks.js'\nimport { vault } from '/strongroom/worker.js'\nvault(${JSON.stringify(config)})`,
  )
}

leftOut('storage_unavailable: a store that cannot be repaired', time, async () => {
  const app = apps.dedicated
  breakWorker(app, "Object.defineProperty(self, 'indexedDB', { value: undefined })")
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'storage_unavailable')
})

leftOut('storage_unavailable: the database never opens', time, async () => {
  const app = apps.dedicated
  const config = { ...app.config, requestTimeout: 1 }
  breakWorker(app, 'IDBFactory.prototype.open = () => ({})', config)
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'storage_unavailable')
})

leftOut('after a login without a database, the next one opens it again', time, async () => {
  const app = apps.dedicated
  const config = { ...app.config, requestTimeout: 1 }
  const once = `const { open } = IDBFactory.prototype
IDBFactory.prototype.open = () => { IDBFactory.prototype.open = open; return {} }`
  breakWorker(app, once, config)
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'storage_unavailable')
  await startLogin(page)
})

leftOut('script can delete the database that a vault has open', time, async () => {
  const app = apps.dedicated
  const page = await app.open()
  await booted(page)
  // The navigation to the provider gets a 204, so the page stays open and its worker stays alive.
  const stay = (route) =>
    route.request().isNavigationRequest() ? route.fulfill({ status: 204 }) : route.continue()
  await page.route(`${app.provider.issuer}/**`, stay)
  const left = page.waitForRequest((request) => request.isNavigationRequest())
  await page.evaluate(() => void auth.login().catch(() => {}))
  await left
  const outcome = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const deleting = indexedDB.deleteDatabase('strongroom')
        deleting.onsuccess = () => resolve('deleted')
        setTimeout(resolve, 5000, 'blocked')
      }),
  )
  assert.equal(outcome, 'deleted')
})

leftOut('thousands of records do not prevent a login', time, async () => {
  const app = apps.dedicated
  const page = await app.open()
  await startLogin(page)
  const other = await app.open('/empty', page.context())
  await other.evaluate(change, {
    use: `const store = db.transaction('logins', 'readwrite').objectStore('logins')
      for (let i = 0; i < 5000; i++) store.put({ name: '!' + i, expiresAt: i % 2 ? 'x' : 1e15 })
      await new Promise((resolve) => { store.transaction.oncomplete = resolve })`,
  })
  const next = await app.open('/', page.context())
  assert.deepEqual(await signIn(next), { value: { returnTo: '/' } })
})

// Messages

/** Returns a worker file. Its worker reports the size of the core's memory on the channel `memory`. */
const measured = (config) => `import { vault } from '/strongroom/worker.js'
const { Instance } = WebAssembly
let memory
WebAssembly.Instance = function (...args) {
  const instance = new Instance(...args)
  memory = instance.exports.memory
  return instance
}
const channel = new BroadcastChannel('memory')
channel.onmessage = () => channel.postMessage(memory.buffer.byteLength)
vault(${JSON.stringify(config)})`

/** Sends a message to the vault as a page would, and resolves with the response. This function runs in the page. */
const send = async (make) => {
  const { port1, port2 } = new MessageChannel()
  create.shared().port.postMessage('strongroom', [port2])
  const answered = new Promise((resolve) => {
    // The first message is the name of the worker's lock and not a response. This name is a string, and a response
    // is an array.
    port1.onmessage = ({ data }) => Array.isArray(data) && resolve(JSON.parse(data[0]))
  })
  port1.postMessage(new Function(`return ${make}`)())
  return answered
}

/** Resolves with the size of the core's memory. This function runs in the page. */
const measure = () =>
  new Promise((resolve) => {
    const channel = new BroadcastChannel('memory')
    channel.onmessage = ({ data }) => resolve(data)
    channel.postMessage('')
  })

// claim: script-25
test('vault_crashed: entropy fails at any point', time, async () => {
  const app = apps.shared
  app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
new BroadcastChannel('entropy').onmessage = ({ target }) => {
  crypto.getRandomValues = () => { throw new DOMException('none', 'OperationError') }
  target.postMessage('gone')
}`)
  const page = await app.open()
  await booted(page)
  const codes = await page.evaluate(async () => {
    const channel = new BroadcastChannel('entropy')
    channel.postMessage('')
    await new Promise((resolve) => (channel.onmessage = resolve))
    // The core needs random bytes when the metadata have arrived. The platform calls the core at that time, and no call
    // of the page waits for the result.
    const outcomes = [await settle(auth.login()), await settle(auth.fetch('/'))]
    return outcomes.map(({ error }) => error.code)
  })
  assert.deepEqual(codes, ['vault_crashed', 'vault_crashed'])
})

// claim: script-3
test('message_invalid: an oversized string is not copied into the core', time, async () => {
  const app = apps.shared
  app.setWorker(measured(app.config))
  const page = await app.open()
  await booted(page)
  const before = await page.evaluate(measure)
  for (const text of ["'\\u20ac'.repeat(20 << 20)", "'a'.repeat(60 << 20)", "'x' + ' '.repeat(131072)"]) {
    const { t, code, message } = await page.evaluate(send, `[${text}]`)
    assert.deepEqual({ t, code }, { t: 'error', code: 'message_invalid' })
    assert.match(expandMessage(message), /longer than 131072 bytes/)
  }
  const growth = (await page.evaluate(measure)) - before
  assert.ok(growth < 4 << 20, `the core's memory grew by ${growth} bytes`)
})

const MESSAGES = {
  'a string of its own': "'{}'",
  nothing: 'undefined',
  'an empty list': '[]',
  'an array in an array': `[['{"t":"hello","version":1}']]`,
  'a body without a message': '[undefined, new Blob()]',
  'an array that contains itself': '{ const list = []; list.push(list, list); return list }',
  'invalid numbers': '[NaN, Infinity]',
  'a surrogate': "['\\ud800']",
  'an object that looks like a stream': '[{}, { getReader: 1, buffer: 1, then: 1 }]',
}

for (const [name, make] of Object.entries(MESSAGES)) {
  test(`message_invalid: ${name}`, time, async () => {
    const page = await apps.shared.open()
    await booted(page)
    const code = make.startsWith('{') ? `(() => ${make})()` : make
    assert.equal((await page.evaluate(send, code)).code, 'message_invalid')
    assert.equal((await call(page, `${apps.shared.api.url}orders`)).error.code, 'login_required')
  })
}

/** Values that would take long, or much memory, as strings. Each value is made in the page. */
const LONG_AS_STRINGS = {
  // Each level contains the next level twice.
  'nested arrays':
    '(() => { let list = []; for (let i = 0; i < 28; i++) list = [list, list]; return list })()',
  'a long number': '3n ** 3000000n',
  'a String object': "new String('a'.repeat(2 ** 27))",
}

/** Sends a call with the body that this code makes. This function runs in the page. */
const sendBody = async ([url, source]) => {
  // The code is compiled now, because the page's policy forbids this in later tasks.
  const body = new Function(`return ${source}`)()
  const { port1, port2 } = new MessageChannel()
  create.shared().port.postMessage('strongroom', [port2])
  const answered = new Promise((resolve) => {
    port1.onmessage = ({ data: [text] }) => text?.includes('"id":7') && resolve(JSON.parse(text))
  })
  port1.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
  const message = { t: 'fetch', id: 7, url, method: 'POST', headers: [] }
  port1.postMessage([JSON.stringify(message), body])
  const { status } = await answered
  return status
}

for (const [what, source] of Object.entries(LONG_AS_STRINGS)) {
  leftOut(`${what} as a body is dropped, and not made a string`, time, async () => {
    const app = apps.shared
    app.setConfig({})
    app.provider.settings.accessTokenSeconds = 60
    const page = await app.open()
    await signInByPopup(page)
    app.api.requests.length = 0
    // The API refuses an order without a body.
    assert.equal(await page.evaluate(sendBody, [`${app.api.url}orders`, source]), 422)
    assert.deepEqual(
      app.api.requests.map(({ bytes }) => bytes),
      [0],
    )
  })
}

// The platform

/**
 * Returns code that the worker imports before strongroom. For URLs of the API, the worker's `fetch` then throws
 * synchronously, and the code reports the depth of the call stack.
 */
const failing = ({ api }) => `
Error.stackTraceLimit = Infinity
const { fetch } = self
const channel = new BroadcastChannel('depths')
self.fetch = (url, init) => {
  if (!String(url).startsWith('${api.url}')) return fetch(url, init)
  const error = new Error('no')
  channel.postMessage(error.stack.split('\\n').length)
  throw error
}`

leftOut('many simultaneous failures do not grow the stack', time, async () => {
  const app = apps.shared
  app.site.files['/failing.js'] = failing(app)
  app.setWorker(`import '/failing.js'
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})`)
  const page = await app.open()
  await page.evaluate(() => {
    globalThis.depths = []
    globalThis.channel = new BroadcastChannel('depths')
    channel.onmessage = ({ data }) => depths.push(data)
  })
  const { value } = await signInByPopup(page)
  assert.equal(value.claims.sub, 'alice')
  await app.ledger.accessTokenExpired()
  // All calls wait for one refresh, and then start at the same time.
  const codes = await page.evaluate(async (url) => {
    const outcomes = Array.from({ length: 400 }, () => settle(auth.fetch(url)))
    return (await Promise.all(outcomes)).map(({ error }) => error?.code ?? error?.name)
  }, `${app.api.url}orders`)
  assert.equal(new Set(codes).size, 1, `${[...new Set(codes)]}`)
  assert.notEqual(codes[0], 'vault_crashed')
  await page.waitForFunction(() => depths.length >= 400, null, { polling: 20 })
  const depths = await page.evaluate(() => depths)
  assert.equal(depths.length, 400)
  assert.equal(Math.max(...depths), Math.min(...depths))
})

// In the following tests, a page sends random messages on a second port. The seed determines all messages.

/**
 * Sends `hello` on another port and then `count` random messages. Resolves with the responses. This function runs in a
 * page.
 */
const sendAtRandom = async ({ seed, count, apiUrl }) => {
  let state = seed
  const below = (n) => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
  const one = (list) => list[below(list.length)]
  const odd = (depth = 0) =>
    one([
      () => undefined,
      () => null,
      () => below(3) === 0,
      () => below(2 ** 31) - 2 ** 30,
      // Fractions are left out. A page sends a fraction to name its lock, and the vault would consider the page closed
      // when that lock is free.
      () => one([NaN, Infinity, -0, 2 ** 53, 1e300, 10n]),
      () => one(['', '\0', '\u0001!', '\ud800', '{}', 'a'.repeat(below(3000)), '[['.repeat(100)]),
      () => one([new Date(), /x/, new Error('x'), new Map([[1, 2]]), new Set([1]), new Blob(['x'])]),
      () => new Uint8Array(below(100)),
      () => new ArrayBuffer(below(100)),
      () => (depth > 3 ? [] : Array.from({ length: below(5) }, () => odd(depth + 1))),
      () =>
        depth > 3 ? {} : Object.fromEntries(Array.from({ length: below(4) }, (_, i) => [i, odd(depth + 1)])),
    ])()
  // All message types except those with which a page may end the session or this port.
  const types =
    'login cancel callback fetch fetch fetch socket abort active visible hidden online offline inspect device more x'.split(
      ' ',
    )
  const members = {
    id: () => one([0, 1, 2, below(50), -1, 2 ** 53, '1', null]),
    url: () =>
      one([apiUrl, `${apiUrl}me`, 'https://x.test/', 'https://y.test/', '', 'x'.repeat(9000), odd()]),
    method: () => one(['GET', 'GET', 'GET', 'POST', 'CONNECT', '', odd()]),
    headers: () => one([[], [], [], [['a', 'b']], [['authorization', 'x']], [['a']], odd()]),
    mode: () => one(['silent', 'iframe', odd()]),
    cache: () => one(['no-store', 'no-store', 'x', odd()]),
    keepalive: () => one([true, false, odd()]),
    protocols: () => odd(),
    background: () => one([true, false, odd()]),
  }
  const text = () => {
    const message = { t: one(types) }
    for (const [name, value] of Object.entries(members)) if (below(4)) message[name] = value()
    const json = JSON.stringify(message, (_, value) => (typeof value === 'bigint' ? 1 : value))
    const cut = below(json.length)
    return one([json, json, json, json.slice(0, cut), `${json.slice(0, cut)}${odd()}${json.slice(cut)}`])
  }
  const { port1: port, port2 } = new MessageChannel()
  const answers = []
  let isOver
  const over = new Promise((resolve) => (isOver = resolve))
  port.onmessage = ({ data }) => {
    answers.push(data)
    if (/"id":999999\b/.test(data?.[0])) isOver()
  }
  create.shared().port.postMessage('strongroom', [port2])
  port.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
  for (let i = 0; i < count; i++) {
    try {
      port.postMessage(one([() => [text(), odd()], () => [text()], () => odd(), () => [odd(), odd()]])())
    } catch (error) {
      // Some values cannot be cloned.
      if (error.name !== 'DataCloneError') throw error
    }
  }
  // The response to this message comes last, because a port keeps the order of messages.
  port.postMessage([JSON.stringify({ t: 'inspect', id: 999_999 })])
  await over
  return JSON.stringify(answers)
}

for (const seed of ALL ? [1, 2, 3, 4] : [1, 2]) {
  test(`a thousand random messages, seed ${seed}, do not affect another page`, time, async () => {
    const app = apps.shared
    const page = await app.open()
    await signIn(page)
    const other = await app.open('/empty', page.context())
    const answers = await other.evaluate(sendAtRandom, { seed, count: 1000, apiUrl: app.api.url })
    assert.match(answers, /message_invalid/)
    assert.match(answers, /url_not_allowed/)
    assert.doesNotMatch(answers, /vault_crashed/)
    for (const kind of ['access_token', 'refresh_token']) {
      const { value } = app.ledger.newest(kind)
      assert.ok(!answers.includes(value), 'an answer contains a token')
    }
    assert.deepEqual(await page.evaluate(() => failures), [])
    assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
    await page.context().close()
  })
}
