// Tests which pages may use the vault's frame and its callback page, and how all other pages are rejected. The headers
// and the scripts protect the frame and the callback page independently. A test of the headers removes the scripts'
// protection, and a test of the scripts removes the headers.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { booted, giveConsent, startApp, startLogin } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { listen } from '../support/listen.mjs'
import { startSite } from '../support/site.mjs'
import { played, told } from '../support/retries.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }

/**
 * The time limit in seconds for attempts to connect that must fail with `frame_blocked`. The vault's origin responds
 * within this time, even on a slow machine.
 */
const BLOCKED = 10

let app
/**
 * `sibling` is another origin of the app's site, `stranger` is an origin of another site, and `silent` is a server that
 * never responds.
 */
let sibling
let stranger
let silent
let frame

before(async () => {
  app = await startApp({ vaultOrigin: true })
  frame = `${app.vault.origin}/frame.html`
  app.site.pageCsp = app.site.pageCsp.replace('frame-src', "frame-src 'self'")
  const { files, routes } = app.site
  const start = async (host) => {
    const site = await startSite({ host, files, routes })
    site.pageCsp = ''
    return site
  }
  sibling = await start('other.strongroom.localhost')
  stranger = await start('evil.localhost')
  silent = await listen({ handler: () => {} })
})
after(() => Promise.all([app, sibling, stranger, silent].map((server) => server?.close())))

/** Removes the frame's own policy, so that only the frame's script can reject a page. */
const withoutPolicy = () =>
  app.vault.override('/frame.html', { headers: { 'Content-Security-Policy': null } })

/** Opens a page that loads the package but does not connect. */
async function openEmpty(origin = app.site.origin, path = '/empty.html') {
  const page = await (await app.browser.newContext()).newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(origin + path)
  await page.waitForFunction(() => globalThis.connectFrame)
  return page
}

/** Resolves with the error of `connectFrame()`, or with `{ code: 'connected' }` if there is no error. */
const attempt = async (page, url = frame, options = { timeout: 8 }) => {
  const { error } = await page.evaluate(
    ([address, given]) => settle(connectFrame(address, given).then(() => 0)),
    [url, options],
  )
  return error ?? { code: 'connected' }
}

// claim: site-6
test('an origin on the list is served', time, async () => {
  assert.equal((await attempt(await openEmpty())).code, 'connected')
})

const OTHER_ORIGINS = [
  ['another origin of the same site', () => sibling],
  ['an origin of another site', () => stranger],
]

for (const [name, site] of OTHER_ORIGINS) {
  // claim: site-6
  test(`the frame does not serve ${name}`, time, async () => {
    const release = withoutPolicy()
    try {
      const { origin } = site()
      const { code, message } = await attempt(await openEmpty(origin))
      assert.equal(code, 'origin_not_allowed')
      assert.ok(message.startsWith(`${origin} is not among the \`apps\``), message)
    } finally {
      release()
    }
  })
}

test('origin_not_allowed: an app that is not on the list', time, async () => {
  const files = app.vault.files['/frame.js'].replace(app.site.origin, 'https://www.example.com')
  const release = app.vault.override('/frame.js', { body: files })
  try {
    const { code, message } = await attempt(await openEmpty())
    assert.equal(code, 'origin_not_allowed')
    assert.match(message, /Add the origin to apps in the frame's file/)
  } finally {
    release()
  }
})

/** Adds the vault's frame without the package, and defines functions that exchange messages with the frame. */
const byHand = async (page, url = frame) =>
  page
    .evaluate((address) => {
      const element = document.createElement('iframe')
      element.src = address
      document.body.append(element)
      globalThis.target = element
      globalThis.vault = new URL(address).origin
      /** Returns a channel's port, and a record of the messages that it receives. */
      globalThis.channel = () => {
        const { port1, port2 } = new MessageChannel()
        const heard = []
        port1.onmessage = ({ data }) => heard.push(data)
        return { port: port1, far: port2, heard }
      }
      globalThis.until = async (condition) => {
        while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return new Promise((resolve) => (element.onload = resolve))
    }, url)
    .then(() => page)

// claim: site-6
test('a page with an opaque origin is refused', time, async () => {
  const release = withoutPolicy()
  try {
    const page = await openEmpty(stranger.origin)
    await page.evaluate((address) => {
      const html = `<iframe src="${address}"></iframe><script>
        onload = () => {
          const { port1, port2 } = new MessageChannel()
          port1.onmessage = ({ data }) => parent.postMessage(data, '*')
          frames[0].postMessage('strongroom frame 1', '${new URL(address).origin}', [port2])
        }
      </script>`
      const element = document.createElement('iframe')
      element.src = `data:text/html,${encodeURIComponent(html)}`
      globalThis.told = new Promise((resolve) => {
        addEventListener('message', ({ data }) => resolve(data))
      })
      document.body.append(element)
    }, frame)
    const refused = { t: 'refused', code: 'origin_not_allowed', message: 'null' }
    assert.deepEqual(await page.evaluate(() => told), refused)
  } finally {
    release()
  }
})

// claim: site-6
test('messages of other windows are ignored, even from a listed origin', time, async () => {
  Object.assign(app.site.files, {
    '/other.html': '<!doctype html><script src="/other.js"></script>',
    '/other.js': "hail = (to, origin, port) => to.postMessage('strongroom frame 1', origin, [port])",
  })
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const own = document.createElement('iframe')
    own.src = '/other.html'
    const loaded = new Promise((resolve) => (own.onload = resolve))
    document.body.append(own)
    await loaded
    const [other, mine] = [channel(), channel()]
    own.contentWindow.hail(target.contentWindow, vault, other.far)
    target.contentWindow.postMessage('strongroom frame 1', vault, [mine.far])
    await until(() => mine.heard.length)
    return [other.heard, mine.heard]
  })
  assert.deepEqual(heard, [[], [{ t: 'here' }]])
})

test('one port for each load: a second one gets no response', time, async () => {
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const [first, second] = [channel(), channel()]
    for (const { far } of [first, second])
      target.contentWindow.postMessage('strongroom frame 1', vault, [far])
    await until(() => first.heard.length)
    first.port.postMessage({ t: 'look', id: 1 })
    await until(() => first.heard.length > 1)
    return [first.heard, second.heard]
  })
  assert.deepEqual(heard, [[{ t: 'here' }, { t: 'looked', id: 1, isThere: true }], []])
})

test('malformed handshakes get no response', time, async () => {
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const post = (data, ports) => target.contentWindow.postMessage(data, vault, ports)
    const silent = [channel(), channel(), channel(), channel()]
    const [a, b, c, d] = silent.map(({ far }) => far)
    post('strongroom frame 1')
    post('strongroom frame 1', [a, b])
    post('strongroom', [c])
    post({ toString: () => 0, t: 'strongroom frame 1' }.t + ' ', [d])
    post(['strongroom frame 1'])
    const good = channel()
    post('strongroom frame 1', [good.far])
    await until(() => good.heard.length)
    return [silent.flatMap(({ heard }) => heard), good.heard]
  })
  assert.deepEqual(heard, [[], [{ t: 'here' }]])
})

// claim: origin-6
test('garbage on the port is ignored', time, async () => {
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const { port, far, heard } = channel()
    target.contentWindow.postMessage('strongroom frame 1', vault, [far])
    await until(() => heard.length)
    const id = 7
    const state = 'a'.repeat(32)
    const garbage = [
      null,
      0,
      '',
      [],
      {},
      'connect',
      new Map(),
      { t: null },
      { t: 'constructor', id },
      { t: '__proto__', id },
      { t: ['look'] },
      { t: 'lock', id },
      { t: 'lock', id, name: 7 },
      { t: 'lock', id: 'x', name: 'strongroom 0.5' },
      { t: 'callback', id },
      { t: 'callback', id, state: '../../' + state },
      { t: 'callback', id, state: `${state}; a=b` },
      { t: 'callback', id, state: { length: 32 } },
      { t: 'await', id, state: 'a'.repeat(4000) },
      { t: 'await', state },
      { t: 'connect' },
      { t: 'unlock', id: 99 },
      { t: 'forget', id: 99 },
    ]
    for (const message of garbage) port.postMessage(message)
    port.postMessage({ t: 'look', id: 1 })
    await until(() => heard.length > 1)
    return heard
  })
  assert.deepEqual(heard, [{ t: 'here' }, { t: 'looked', id: 1, isThere: true }])
})

// claim: origin-6
test('a page can request only its own lock and the worker’s', time, async () => {
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const { port, far, heard } = channel()
    target.contentWindow.postMessage('strongroom frame 1', vault, [far])
    await until(() => heard.length)
    const names = [
      'session https://id.example.com spa',
      'strongroom',
      'strongroom x',
      'strongroom 0.25',
      crypto.randomUUID(),
    ]
    names.forEach((name, id) => port.postMessage({ t: 'lock', id, name }))
    await until(() => heard.length > 2)
    return heard.slice(1).map(({ t, id }) => `${t} ${names[id].length === 36 ? 'worker' : names[id]}`)
  })
  assert.deepEqual(heard.sort(), ['granted strongroom 0.25', 'granted worker'])
})

leftOut('login_unknown: a response without a pending login', time, async () => {
  const page = await byHand(await openEmpty())
  const heard = await page.evaluate(async () => {
    const { port, far, heard } = channel()
    target.contentWindow.postMessage('strongroom frame 1', vault, [far])
    await until(() => heard.length)
    port.postMessage({ t: 'callback', id: 1, state: 'a'.repeat(32) })
    await until(() => heard.length > 1)
    return heard[1]
  })
  assert.equal(heard.code, 'login_unknown')
})

// Failures while the page connects to the frame, each with its own code.

leftOut('frame_blocked immediately if the page’s policy forbids the frame', time, async () => {
  const before = app.site.pageCsp
  app.site.pageCsp = before.replace(/frame-src .*/, "frame-src 'none'")
  try {
    const { code, message } = await attempt(await openEmpty(), frame, { timeout: 600 })
    assert.equal(code, 'frame_blocked')
    assert.match(message, /frame-src/)
  } finally {
    app.site.pageCsp = before
  }
})

/**
 * Attempts that end at their time limit, so they run side by side. Each has a frame of its own at another path.
 */
describe('frames that are not shown', { concurrency: true }, () => {
  let count = 0

  /** Serves the vault's frame at a path of its own, changed in this way. Returns its URL. */
  const frameWith = (change = {}) => {
    const path = `/frame-${count++}.html`
    app.vault.files[path] = app.vault.files['/frame.html']
    app.vault.headers[path] = app.vault.headers['/frame.html']
    app.vault.override(path, change)
    return app.vault.origin + path
  }
  const isBlocked = async (page, url) =>
    assert.equal((await attempt(page, url, { timeout: BLOCKED })).code, 'frame_blocked')

  test('a control: a frame at another path is shown', time, async () => {
    assert.equal((await attempt(await openEmpty(), frameWith(), { timeout: 30 })).code, 'connected')
  })

  for (const [name, site] of OTHER_ORIGINS) {
    // claim: site-6
    test(`the browser does not show the frame to ${name}`, time, async () => {
      await isBlocked(await openEmpty(site().origin), frame)
    })
  }

  for (const [name, change] of [
    [
      'frame-ancestors names another app',
      { headers: { 'Content-Security-Policy': "frame-ancestors 'none'" } },
    ],
    ['X-Frame-Options', { headers: { 'X-Frame-Options': 'DENY', 'Content-Security-Policy': null } }],
    ['another page is there', { body: '<p>Hello', headers: {} }],
    ['nothing is there', { status: 404, body: 'Not found', headers: {} }],
  ]) {
    test(`frame_blocked: ${name}`, time, async () => isBlocked(await openEmpty(), frameWith(change)))
  }

  for (const header of ['Cross-Origin-Embedder-Policy', 'Cross-Origin-Resource-Policy']) {
    leftOut(`frame_blocked in an isolated page: the frame is served without ${header}`, time, async () => {
      app.site.files['/isolated.html'] = app.site.files['/empty.html']
      app.site.headers['/isolated.html'] = {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      }
      const page = await openEmpty(app.site.origin, '/isolated.html')
      assert.equal(await page.evaluate(() => crossOriginIsolated), true)
      await isBlocked(page, frameWith({ headers: { [header]: null } }))
    })
  }

  leftOut('after a failure the next attempt uses a new frame', time, async () => {
    const page = await openEmpty()
    const url = frameWith({ status: 503, body: 'Busy' })
    await isBlocked(page, url)
    app.vault.override(new URL(url).pathname, {})
    assert.equal((await attempt(page, url)).code, 'connected')
    assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 1)
  })
})

leftOut('frame_timeout: no response', time, async () => {
  const before = app.site.pageCsp
  app.site.pageCsp = `${before} ${silent.origin}`
  try {
    const { code } = await attempt(await openEmpty(), `${silent.origin}/frame.html`, { timeout: 1 })
    assert.equal(code, 'frame_timeout')
  } finally {
    app.site.pageCsp = before
  }
})

const withoutWorker = played(async () => {
  const release = app.vault.override('/auth.worker.js', { status: 404, body: 'Not found' })
  try {
    const page = await openEmpty()
    assert.equal(told((await attempt(page)).code), 'worker_failed')
    release()
    assert.equal((await attempt(page)).code, 'connected')
    assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 1)
  } finally {
    release()
  }
})
leftOut('worker_failed: the worker’s file is missing', time, withoutWorker)

leftOut('config_invalid: idTokenHint is refused in a frame', time, async () => {
  app.setConfig({ idTokenHint: true })
  try {
    const page = await openEmpty()
    const { code, message } = await attempt(page)
    assert.equal(code, 'config_invalid')
    assert.match(message, /`idTokenHint` cannot be used with a vault on an origin of its own/)
  } finally {
    app.setConfig({})
  }
})

leftOut('a frame of the page’s own origin is refused', time, async () => {
  const { code } = await attempt(await openEmpty(), '/frame.html')
  assert.equal(code, 'unsupported')
})

// Invalid options of the scripts of the vault's origin.

const BAD = {
  'no list': { apps: 'https://app.example.com' },
  'an empty list': { apps: [] },
  'a path': { apps: ['https://app.example.com/'] },
  'a wildcard': { apps: ['https://*.example.com'] },
  'any origin': { apps: ['*'] },
  'no origin': { apps: ['null'] },
  'plain http': { apps: ['http://app.example.com'] },
  'a number': { apps: [7] },
  'no worker': { apps: ['https://app.example.com'], worker: null },
}
leftOut('config_invalid: an invalid list of origins', time, async () => {
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(`${app.vault.origin}/callback.html#nothing`)
  for (const [name, options] of Object.entries(BAD)) {
    const release = app.vault.override('/frame.js', {
      body: `import { vaultFrame } from '/strongroom/vault-frame.js'
        const given = ${JSON.stringify(options)}
        try { vaultFrame({ worker: () => {}, ...given }) } catch ({ code }) { globalThis.outcome = code }
        globalThis.outcome ??= 'accepted'`,
    })
    await page.goto(frame)
    await page.waitForFunction(() => globalThis.outcome)
    assert.equal(await page.evaluate(() => outcome), 'config_invalid', name)
    release()
  }
})

leftOut('config_invalid: the vault’s own origin on the list, and a second call', time, async () => {
  const page = await (await app.browser.newContext()).newPage()
  const outcomeOf = async (body) => {
    const release = app.vault.override('/frame.js', { body })
    await page.goto('about:blank')
    await page.goto(frame)
    await page.waitForFunction(() => globalThis.outcome)
    release()
    return page.evaluate(() => outcome)
  }
  const call = (apps) => `vaultFrame({ apps: ${apps}, worker: () => {} })`
  const body = (...calls) => `import { vaultFrame } from '/strongroom/vault-frame.js'
    try { ${calls.join(';')}; globalThis.outcome = 'accepted' } catch ({ code }) { globalThis.outcome = code }`
  const good = call("['https://app.example.com', 'http://localhost:3000']")
  assert.equal(await outcomeOf(body(good)), 'accepted')
  assert.equal(await outcomeOf(body(good, good)), 'config_invalid')
  assert.equal(await outcomeOf(body(call('[location.origin]'))), 'config_invalid')
})

// The callback page

/**
 * Returns the number of times that the browser fetched the script of the callback page. The script ran that many times.
 */
const callbackRuns = () => app.vault.requests.filter(({ path }) => path === '/callback.js').length

// claim: site-7
test('no frame can show the callback page', time, async () => {
  const page = await openEmpty()
  const before = callbackRuns()
  const loaded = await page.evaluate(
    (address) => {
      const element = document.createElement('iframe')
      element.src = address
      document.body.append(element)
      return new Promise((resolve) => (element.onload = () => resolve(true)))
    },
    `${app.vault.origin}/callback?code=secret&state=${'a'.repeat(32)}`,
  )
  assert.ok(loaded)
  assert.deepEqual(await page.context().cookies(app.vault.origin), [])
  assert.equal(app.vault.requests.at(-1).path, '/callback')
  assert.equal(callbackRuns(), before)
})

test('in a frame, without its policy, the callback page does nothing', time, async () => {
  const release = app.vault.override('/callback', { headers: { 'Content-Security-Policy': null } })
  try {
    const page = await openEmpty()
    const before = callbackRuns()
    await page.evaluate(
      (address) => {
        const element = document.createElement('iframe')
        element.src = address
        document.body.append(element)
        return new Promise((resolve) => (element.onload = resolve))
      },
      `${app.vault.origin}/callback?code=secret&state=${'a'.repeat(32)}`,
    )
    assert.equal(callbackRuns(), before + 1, 'it is shown there')
    assert.deepEqual(await page.context().cookies(app.vault.origin), [])
  } finally {
    release()
  }
})

/**
 * Opens the callback page directly. Resolves with the page after the redirect, its URL, and the cookies that the
 * callback page set.
 */
async function openCallback(answer, context) {
  const page = await (context ?? (await app.browser.newContext())).newPage()
  await page.goto(`${app.vault.origin}/callback${answer}`)
  await page.waitForURL(`${app.site.origin}/**`)
  const cookies = await page.context().cookies(app.vault.origin)
  return { page, url: page.url(), cookies }
}

// claim: site-7
test('an unsolicited response is login_unknown', time, async () => {
  const { page } = await openCallback(`?code=theirs&state=${'b'.repeat(32)}`)
  assert.equal((await booted(page)).error.code, 'login_unknown')
})

// claim: site-7
test('a response opened in another browser is login_unknown there', time, async () => {
  const page = await app.open()
  await startLogin(page)
  const release = app.vault.override('/callback', { body: '<p>Nobody runs here' })
  await giveConsent(page)
  await page.waitForURL(`${app.vault.origin}/callback**`)
  release()
  const answer = new URL(page.url()).search
  const elsewhere = await openCallback(answer)
  assert.equal((await booted(elsewhere.page)).error.code, 'login_unknown')
  const here = await openCallback(answer, page.context())
  assert.deepEqual(await booted(here.page), { value: { returnTo: '/' } })
})

leftOut('a response in the fragment leaves no code in the app’s URL', time, async () => {
  const state = 'c'.repeat(32)
  const { cookies, page } = await openCallback(`#code=secret&state=${state}`)
  assert.match(decodeURIComponent(cookies[0]?.value ?? ''), /^\/callback#code=secret/)
  await booted(page)
  assert.doesNotMatch(page.url(), /secret/)
})

leftOut('other requests redirect to the app without a cookie', time, async () => {
  for (const answer of [
    '',
    '?code=x&state=',
    '?state=abc',
    `?code=x&state=${'d'.repeat(200)}`,
    '?code=x&state=a%3Bb%3Dc',
    '#x',
  ]) {
    const { url, cookies, page } = await openCallback(answer)
    assert.equal(url, `${app.site.origin}/callback`, answer)
    assert.deepEqual(cookies, [], answer)
    await page.context().close()
  }
})

const STATELESS = [
  ['?error=access_denied&error_description=no', 'login_denied', /access_denied/],
  ['#error=unauthorized_client', 'callback_invalid', /no state/],
  ['?error=temporarily_unavailable', 'provider_unavailable', /temporarily_unavailable/],
  // These responses come from another issuer, or contain no error.
  ['?error=access_denied&iss=https://evil.test', 'callback_invalid', /no state/],
  ['?code=x', 'callback_invalid', /no state/],
]

leftOut('an error without state carries the provider’s code to the app', time, async () => {
  for (const [answer, code, says] of STATELESS) {
    const { page } = await openCallback(answer)
    const { error } = await booted(page)
    assert.equal(error?.code, code, answer)
    assert.match(error.message, says, answer)
    // The page has removed the response from the URL.
    assert.equal(page.url(), `${app.site.origin}/callback`)
    assert.deepEqual(await page.context().cookies(app.vault.origin), [], answer)
    await page.context().close()
  }
})

leftOut('a response too long for a cookie fails with a reason', time, async () => {
  const { page, cookies } = await openCallback(`?code=${'x'.repeat(5000)}&state=${'e'.repeat(32)}`)
  assert.deepEqual(cookies, [])
  assert.equal((await booted(page)).error.code, 'login_unknown')
})

/** Returns the number of bytes that the cookies take in a request's header. */
const bytesOf = (cookies) => cookies.reduce((sum, { name, value }) => sum + name.length + value.length, 0)

for (const [name, code, least] of [
  ['short', 'x', 8],
  ['long', 'x'.repeat(2000), 2],
]) {
  // claim: site-7
  test(`unfetched responses do not accumulate: ${name} ones`, time, async () => {
    const context = await app.browser.newContext()
    // The app's script does not run, so the app does not fetch the pending responses.
    const release = app.site.override('/page.js', { body: '' })
    try {
      const counts = []
      for (let n = 0; n < 12; n++) {
        const state = String(n).padStart(32, '0')
        const { cookies, page } = await openCallback(`?code=${code}&state=${state}`, context)
        assert.ok(bytesOf(cookies) <= 6000, `${bytesOf(cookies)}`)
        // The newest response's cookie still exists.
        assert.ok(cookies.some(({ name }) => name.endsWith(state)))
        counts.push(cookies.length)
        await page.close()
      }
      assert.equal(Math.max(...counts), least)
      assert.equal(counts.at(-1), least)
    } finally {
      release()
    }
  })
}

test('error descriptions are not stored', time, async () => {
  const state = 'f'.repeat(32)
  const prose = `error_description=${'d'.repeat(5000)}&error_uri=https%3A%2F%2Fid.example.com%2F${'u'.repeat(5000)}`
  const release = app.site.override('/page.js', { body: '' })
  try {
    for (const [answer, kept] of [
      [
        `?${prose}&error=access_denied&state=${state}&iss=i`,
        `/callback?error=access_denied&state=${state}&iss=i`,
      ],
      [`#error=access_denied&${prose}&state=${state}`, `/callback#error=access_denied&state=${state}`],
    ]) {
      const { cookies, page } = await openCallback(answer)
      assert.deepEqual(
        cookies.map(({ value }) => decodeURIComponent(value)),
        [kept],
      )
      await page.context().close()
    }
  } finally {
    release()
  }
})

/**
 * Simulates a browser that rejects cookies with the prefix `__Host-`. This function runs before the page's own script.
 */
const withoutPrefix = () => {
  const { get, set } = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
  Object.defineProperty(Document.prototype, 'cookie', {
    get,
    set(text) {
      if (!text.startsWith('__Host-')) set.call(this, text)
    },
  })
}

/** Starts the vault's origin over https, with a self-signed certificate. */
async function startSecure() {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-'))
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name))
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost'
  await promisify(execFile)('openssl', [...request.split(' '), '-keyout', key, '-out', cert])
  const options = { key: await readFile(key), cert: await readFile(cert) }
  await rm(folder, { recursive: true })
  const server = createServer(options, async ({ url }, response) => {
    const answer = await fetch(`http://127.0.0.1:${app.vault.port}${url}`)
    const names = ['content-type', 'content-security-policy']
    response.writeHead(
      answer.status,
      Object.fromEntries(names.map((name) => [name, answer.headers.get(name)])),
    )
    response.end(Buffer.from(await answer.arrayBuffer()))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `https://${VAULT_HOSTS.vault}:${server.address().port}`,
    close: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())),
  }
}

leftOut('only plain http uses a cookie without the prefix', time, async () => {
  const secure = await startSecure()
  const release = app.site.override('/page.js', { body: '' })
  /**
   * Opens the callback page of an origin. Resolves with a string for each cookie that the page has set: the cookie's
   * name without the login's `state`, and `true` if the cookie has the attribute `Secure`.
   */
  const names = async (origin, script = () => {}) => {
    const context = await app.browser.newContext({ ignoreHTTPSErrors: true })
    await context.addInitScript(script)
    const page = await context.newPage()
    await page.goto(`${origin}/callback?code=x&state=${'g'.repeat(32)}`)
    await page.waitForURL(`${app.site.origin}/**`)
    const cookies = await context.cookies(origin)
    await context.close()
    return cookies.map(({ name, secure: isSecure }) => `${name.replace(/g{32}/, '')} ${isSecure}`)
  }
  try {
    assert.deepEqual(await names(secure.origin), ['__Host-strongroom. true'])
    assert.deepEqual(await names(secure.origin, withoutPrefix), [])
    assert.deepEqual(await names(app.vault.origin, withoutPrefix), ['strongroom. false'])
  } finally {
    release()
    await secure.close()
  }
})
