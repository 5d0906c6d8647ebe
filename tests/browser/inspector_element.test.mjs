// The element `<strongroom-inspector>`: what it shows, what it finds, and that it leaves the page as it was.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, htmlWith, signIn, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 40_000 }
const TOKEN = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSBpbiB0ZXN0cyJ9.c2lnbmF0dXJlLW9mLWEtdGVzdA'

/** The page's script. The default policy allows the URLs of workers, and nothing else. */
const script = (isRecorded) => `
trustedTypes.createPolicy('default', { createScriptURL: (url) => url })
${isRecorded ? "await import('/strongroom/inspector/record.js')" : ''}
globalThis.violations = []
addEventListener('securitypolicyviolation', ({ violatedDirective }) => violations.push(violatedDirective))
await import('/tools.js')
globalThis.auth = await connect(create.shared)
globalThis.boot = settle(auth.handleCallback())
await boot
globalThis.inspector = document.createElement('strongroom-inspector')
inspector.auth = auth
inspector.setAttribute('open', '')
document.body.append(inspector)
// The element was created before its class, as in an app that loads it on demand.
await import('/strongroom/inspector.js')
globalThis.ready = true
`

let app

before(async () => {
  app = await startApp({ config: { inspect: true } })
  app.site.pageCsp +=
    "; frame-src *; style-src 'self'; require-trusted-types-for 'script'; trusted-types default"
  for (const [name, isRecorded] of [
    ['index', true],
    ['bare', false],
  ]) {
    app.site.files[`/${name}.html`] = htmlWith(`/${name}.js`)
    app.site.files[`/${name}.js`] = script(isRecorded)
  }
})
after(() => app?.close())

/** Opens a page, and collects its errors. */
async function open(path = '/index.html') {
  const page = await app.open(path)
  page.faults = []
  page.on('pageerror', (error) => page.faults.push(String(error)))
  await page.waitForFunction(() => globalThis.ready)
  return page
}

async function close(page) {
  assert.deepEqual(await page.evaluate(() => violations), [])
  assert.deepEqual(page.faults, [])
  await page.context().close()
}

/** Signs in on a new page that calls the API once. */
async function used() {
  const page = await open()
  await signIn(page)
  await page.waitForFunction(() => globalThis.ready)
  assert.equal((await call(page, `${app.api.url}orders/4711-alice`)).value.status, 200)
  await page.locator('li[data-tone=good]', { hasText: 'GET' }).waitFor()
  return page
}

const search = (page) => page.evaluate(() => inspector.search())

/** Clicks through the test of the search. Resolves with its verdict. */
async function testSearch(page) {
  await page.click('.test')
  await page.click('.plant')
  await page.locator('summary', { hasText: 'Where it planted' }).waitFor()
  return page.textContent('.verdict')
}

leftOut('shows both sides, the timeline and the messages', time, async () => {
  const page = await used()
  await page.locator('.holding[data-kind=refresh_token]').waitFor()
  assert.match(await page.textContent('.page-view'), /alice@example\.com/)
  assert.match(await page.textContent('.crossing'), /\d+ messages0 tokens/)
  const { status } = (await call(page, `${new URL('/elsewhere', app.api.url)}`)).value ?? {}
  assert.equal(status, undefined)
  await page.locator('li[data-tone=bad]', { hasText: 'Refused: url_not_allowed' }).waitFor()
  const { tokens } = await search(page)
  assert.deepEqual(tokens, [])
  await close(page)
})

// claim: package-7
test('without inspect: true, only the page’s side', time, async () => {
  app.setConfig({ inspect: false })
  try {
    const page = await open()
    await page.locator('.vault-view', { hasText: 'add inspect: true to its configuration' }).waitFor()
    assert.equal(await page.locator('.holding').count(), 0)
    await signIn(page)
    await page.waitForFunction(() => globalThis.ready)
    await call(page, `${app.api.url}orders`)
    // The calls of this page are known without the vault.
    await page.locator('li[data-tone=good]', { hasText: 'GET' }).waitFor()
    assert.equal((await page.evaluate(() => settle(auth.inspect()))).error.code, 'unsupported')
    await close(page)
  } finally {
    app.setConfig({ inspect: true })
  }
})

/** Describes everything that a test of the search may touch. */
const snapshot = (page) =>
  page.evaluate(async () => {
    const databases = (await indexedDB.databases()).filter(({ name }) => !name.startsWith('strongroom/'))
    const stored = []
    for (const name of await caches.keys())
      stored.push([name, (await (await caches.open(name)).keys()).length])
    return JSON.stringify({
      url: location.href,
      state: [history.state, history.length, String(history.state?.at), history.state?.map?.get('a')],
      entries: navigation.entries().map(({ key, url }) => [key, url]),
      navigationState: navigation.currentEntry.getState(),
      storage: [{ ...localStorage }, { ...sessionStorage }],
      cookies: document.cookie,
      databases,
      stored,
      globals: Reflect.ownKeys(window).map(String),
      element: [...inspector.attributes].map(({ name }) => name),
      children: document.body.outerHTML,
      comments: [...inspector.shadowRoot.childNodes].filter((node) => node instanceof Comment).length,
    })
  })

// claim: package-7
test('the test finds each planted token, and restores the page exactly', time, async () => {
  const page = await used()
  await page.evaluate(async () => {
    history.replaceState({ at: new Date(0), map: new Map([['a', 1]]) }, '', '/orders?a=1#b')
    navigation.updateCurrentEntry({ state: { router: 7 } })
    localStorage.own = sessionStorage.own = '1'
    document.cookie = 'own=1; SameSite=Strict'
    await (await caches.open('own')).put('/own', new Response('1'))
    await new Promise((resolve) => (indexedDB.open('own').onsuccess = resolve))
    globalThis.seen = []
    globalThis.snapshots = 0
    const note = ({ type }) => seen.push(type)
    for (const type of ['popstate', 'hashchange']) addEventListener(type, note)
    for (const type of ['navigate', 'currententrychange', 'navigatesuccess', 'navigateerror'])
      navigation.addEventListener(type, note)
    const { replaceState } = history
    history.replaceState = function (...parameters) {
      seen.push('router')
      return replaceState.apply(this, parameters)
    }
  })
  const before = await snapshot(page)
  await page.click('.test')
  assert.match(await page.textContent('.question'), /history\.state of an empty frame.*Plant and search/)
  assert.equal(await snapshot(page), before, 'something was written before the user agreed')
  await page.click('.question button:not(.plant)')
  assert.equal(await snapshot(page), before)
  assert.match(await testSearch(page), /^Found all 10 planted tokens, and removed them again\.$/)
  assert.equal(await snapshot(page), before)
  assert.deepEqual(await page.evaluate(() => seen), [])
  // A control: the listeners hear a change of the app.
  await page.evaluate(() => history.replaceState(history.state, ''))
  const seen = await page.evaluate(() => seen)
  assert.ok(seen.includes('router') && seen.includes('navigate') && seen.includes('currententrychange'))
  await close(page)
})

leftOut('a test replaces what a closed tab has left', time, async () => {
  const page = await open()
  await page.evaluate(async () => {
    const name = 'strongroom-inspector-planted'
    await (await caches.open(name)).put('/old', new Response('1'))
    await new Promise((resolve) => {
      const request = indexedDB.open(name)
      request.onupgradeneeded = () => request.result.createObjectStore(name).put({}, 1)
      request.onsuccess = () => resolve(request.result.close())
    })
  })
  assert.match(await testSearch(page), /^Found all 10/)
  const left = await page.evaluate(async () => [await caches.keys(), await indexedDB.databases()])
  assert.doesNotMatch(JSON.stringify(left), /planted/)
  await close(page)
})

leftOut('a token counts only while its message is recorded, as in a search', time, async () => {
  const page = await used()
  const crossing = page.locator('.crossing')
  await page.evaluate((token) => new MessageChannel().port1.postMessage(token), TOKEN)
  await crossing.filter({ hasText: /messages1 token$/ }).waitFor()
  assert.equal((await search(page)).tokens.length, 1)
  // The test of the search forgets its own messages in this way.
  await page.evaluate((token) => {
    const detail = {}
    dispatchEvent(new CustomEvent('strongroom-inspector-recording', { detail }))
    detail.recording.forget(token)
  }, TOKEN)
  assert.deepEqual((await search(page)).tokens, [])
  await crossing.filter({ hasText: /messages0 tokens$/ }).waitFor()
  await close(page)
})

leftOut('a search that is blind in a place is reported', time, async () => {
  const page = await open()
  await page.evaluate(() => {
    Storage.prototype.setItem = () => {}
    caches.open = () => Promise.reject(new DOMException('no', 'SecurityError'))
  })
  assert.equal(
    await testSearch(page),
    'The search is broken: it missed what was planted in localStorage, sessionStorage.',
  )
  assert.match(await page.textContent('.report'), /Cache storage\s*refused\s*SecurityError/)
  await close(page)
})

// claim: package-7
test('no getter of the page runs', time, async () => {
  const page = await open()
  await page.evaluate(() => {
    globalThis.reads = 0
    const count = { get: () => ++reads, enumerable: true, configurable: true }
    class Model {
      get inherited() {
        return ++reads
      }
    }
    globalThis.model = Object.defineProperties(new Model(), {
      own: count,
      shadowRoot: count,
      bound: { get: count.get.bind(null) },
    })
    globalThis.list = [Object.defineProperty({}, 'then', count)]
    // `window.navigator` is an accessor of the browser, which an app can replace. A bound function has native code.
    Object.defineProperty(window, 'navigator', { ...count, get: count.get.bind(null) })
    const element = document.body.appendChild(document.createElement('x-model'))
    Object.defineProperty(document.body.appendChild(document.createElement('iframe')), 'getAttribute', count)
    for (const name of ['shadowRoot', 'attributes', 'localName', 'nodeValue', 'value'])
      Object.defineProperty(element, name, count)
  })
  const { notSearched } = await search(page)
  await testSearch(page)
  assert.equal(await page.evaluate(() => reads), 0)
  const line = notSearched.find((what) => what.startsWith('accessors'))
  assert.match(line, /not run \(\d+\): .*window\.model\.own/)
  assert.match(line, /window\.model\.bound/)
  assert.match(String(await page.evaluate(() => (model.own, model.inherited, reads))), /2/, 'a control')
  await close(page)
})

/** Each puts a token where only this part of the search finds it. */
const LEAKS = {
  'a map of a module’s object': (token) => void (window.a = { b: new Map([[1, [token]]]) }),
  'a symbol': (token) => void (window[Symbol('a')] = { token }),
  'an inherited property': (token) => void (window.a = Object.create(Object.create({ token }))),
  'the source of a function': (token) => void (window.a = { toString: () => '', f: new Map([[token, 1]]) }),
  'headers of a request': (token) =>
    void (window.a = [new Request('/', { headers: { Authorization: `Bearer ${token}` } })]),
  'an event’s detail': (token) => void (window.a = new CustomEvent('a', { detail: { token } })),
  bytes: (token) => void (window.a = new TextEncoder().encode(token).subarray(0)),
  'shared bytes': (token) => void (window.a = new Uint8Array(new TextEncoder().encode(token)).buffer),
  'an open shadow root in another one': (token) => {
    const outer = document.body.appendChild(document.createElement('div')).attachShadow({ mode: 'open' })
    const inner = outer.appendChild(document.createElement('div')).attachShadow({ mode: 'open' })
    inner.append(token)
  },
  'a frame’s object': (token) => {
    const { contentWindow } = document.body.appendChild(document.createElement('iframe'))
    contentWindow.a = new contentWindow.Map([[1, new contentWindow.Map([[2, token]])]])
  },
  'a frame’s document': (token) => {
    const { contentDocument } = document.body.appendChild(document.createElement('iframe'))
    contentDocument.body.append(token)
  },
  'a frame whose document hides its window': (token) => {
    const { contentDocument } = document.body.appendChild(document.createElement('iframe'))
    contentDocument.body.appendChild(contentDocument.createElement('form')).name = 'defaultView'
    contentDocument.defaultView.title = token
  },
  'the browser’s own objects': (token) => void (navigator.a = [token]),
  'a form whose properties are hidden': (token) => {
    const form = document.body.appendChild(document.createElement('form'))
    form.title = token
    for (const name of ['attributes', 'nodeValue', 'localName', 'shadowRoot']) {
      form.appendChild(document.createElement('input')).name = name
    }
  },
  'an input’s value': (token) =>
    void (document.body.appendChild(document.createElement('textarea')).value = token),
  'a template': (token) =>
    void document.body.appendChild(document.createElement('template')).content.append(token),
  'a property of an element': (token) =>
    void (document.body.appendChild(document.createElement('p')).fiber = { memo: [token] }),
}

leftOut('finds a token in each of these', time, async () => {
  const page = await open()
  assert.deepEqual((await search(page)).tokens, [], 'a control')
  for (const [name, leak] of Object.entries(LEAKS)) {
    await page.evaluate(leak, TOKEN)
    const found = (await search(page)).tokens
    assert.equal(found.length, 1, name)
    assert.equal(found[0].masked, `${TOKEN.slice(0, 8)}… (${TOKEN.length} characters)`)
    await page.evaluate(() => {
      delete window.a
      delete navigator.a
      for (const key of Object.getOwnPropertySymbols(window)) delete window[key]
      document.body.replaceChildren(inspector)
    })
  }
  await close(page)
})

const CODE = 'kR7xQ2mVb9ZsL0pWc4Ht6Yd1NfGj8uEa3kR7xQ2mVb9Z'

leftOut('explains the code of a finished login, and no other', time, async () => {
  const before = app.site.routes['/callback']
  app.site.routes['/callback'] = '/bare.html'
  const page = await open('/bare.html')
  await signIn(page)
  await page.waitForFunction(() => globalThis.ready)
  app.site.routes['/callback'] = before
  await page.click('.search')
  await page.locator('.verdict.good', { hasText: 'No token in this page.' }).waitFor()
  const notes = await page.locator('.note').allTextContents()
  assert.equal(notes.length, 1)
  assert.match(notes[0], /is the code of the finished login, useless now: a callback page/)
  // The color of a warning would contradict the verdict.
  const border = (selector) =>
    page
      .locator(selector)
      .first()
      .evaluate((element) => getComputedStyle(element).borderInlineStartColor)
  assert.equal(await border('.note'), await border('strongroom-inspector .card'))
  const [entry] = (await search(page)).places
    .flatMap(({ findings }) => findings)
    .filter(({ where }) => where === 'performance entry')
  assert.match(entry.known, /^the code of the finished login/)
  // Script could make such an entry itself, so only that of the navigation counts.
  await page.evaluate((code) => performance.mark(`/callback?state=a&code=${code}`), CODE)
  assert.equal((await search(page)).tokens.length, 1)
  await close(page)
  // A response that nothing has handled is still in the page's address.
  const waiting = await open(`/bare.html?state=own&code=${CODE}`)
  assert.equal((await search(waiting)).tokens.length, 1)
  await close(waiting)
})

leftOut('opens and closes as a drawer, and leaves the page as it is', time, async () => {
  const page = await open()
  await page.evaluate(() => {
    inspector.open = false
    document.body.append(document.createElement('button'))
    globalThis.keys = []
    addEventListener('keydown', ({ key }) => keys.push(key))
  })
  const height = () => page.evaluate(() => document.body.getBoundingClientRect().height)
  const focused = () => page.evaluate(() => inspector.shadowRoot.activeElement?.textContent)
  const before = await height()
  await page.locator('.inspector').waitFor({ state: 'hidden' })
  await page.focus('.toggle')
  await page.keyboard.press('Enter')
  await page.locator('.inspector').waitFor()
  assert.equal(await focused(), 'Close')
  assert.equal(await height(), before)
  await page.keyboard.press('Escape')
  assert.equal(await focused(), 'Session inspector')
  assert.ok(await page.isHidden('.inspector'))
  // The app does not get the key that closes the drawer.
  assert.deepEqual(await page.evaluate(() => keys), ['Enter'])
  await page.evaluate(() => inspector.setAttribute('inline', ''))
  assert.ok(await page.isVisible('.inspector'))
  assert.ok(await page.isHidden('.toggle'))
  assert.ok(await page.isHidden('.close'))
  assert.ok((await height()) > before)
  await close(page)
})

leftOut('has no empty column', time, async () => {
  for (const [path, width] of [
    ['/bare.html', 1100],
    ['/index.html', 1100],
  ]) {
    const page = await open(path)
    await page.setViewportSize({ width, height: 800 })
    const [grid, vault] = await page.evaluate(() =>
      ['.sides', '.vault'].map((one) => inspector.shadowRoot.querySelector(one).getBoundingClientRect()),
    )
    assert.ok(Math.abs(grid.right - vault.right) < 2, `${path}: ${vault.right} of ${grid.right}`)
    await close(page)
  }
})

leftOut('lists what it cannot search', time, async () => {
  const page = await open()
  await page.evaluate((other) => {
    document.body.appendChild(document.createElement('iframe')).src = `${other}?token=secret`
    document.body.appendChild(document.createElement('x-closed')).attachShadow({ mode: 'closed' })
  }, app.provider.issuer)
  await page.waitForFunction(() => document.querySelector('iframe').contentDocument === null)
  const { notSearched } = await search(page)
  assert.deepEqual(notSearched.slice(0, 2), [
    `a frame of another origin: ${new URL(app.provider.issuer).origin}`,
    'closed shadow roots, if these elements have any: x-closed',
  ])
  await close(page)
})

leftOut('a search leaves databases alone', time, async () => {
  const page = await open()
  const result = await page.evaluate(async () => {
    const open = (version) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open('own', version)
        request.onupgradeneeded = () =>
          request.result.objectStoreNames.length || request.result.createObjectStore('a')
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
    ;(await open(1)).close()
    // The database is deleted and changed while the search runs.
    const searches = []
    for (let n = 2; n < 12; n++) {
      searches.push(inspector.search())
      await new Promise((resolve) => setTimeout(resolve, n * 5))
      ;(await open(n)).close()
    }
    indexedDB.deleteDatabase('own')
    await Promise.all(searches)
    await inspector.search()
    return (await indexedDB.databases()).map(({ name }) => name)
  })
  assert.ok(!result.includes('own'), result.join())
  await close(page)
})

// claim: package-7
test('the report has no token, no claim and no identifier', time, async () => {
  const page = await used()
  await page.evaluate((token) => {
    localStorage['cart of bob'] = token
    globalThis.bob = Object.defineProperty({}, 'secret of carol', { get: () => 1 })
    document.body.appendChild(document.createElement('x-tenant-dave'))
    // A message of the app that looks like one of the protocol.
    new MessageChannel().port1.postMessage(['{"t":"order_of_frank"}'])
  }, TOKEN)
  await page.click('.search')
  await page.locator('.verdict.bad').waitFor()
  await call(page, `${app.api.url}orders/4711-alice?for=erin`)
  await testSearch(page)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: app.site.origin })
  await page.click('.copy')
  await page.getByText('Copied', { exact: true }).waitFor()
  const report = await page.evaluate(() => navigator.clipboard.readText())
  assert.equal(await page.inputValue('textarea'), report)
  for (const part of [
    /GET API 1 path 1: 200/,
    /refresh_token, .* old, generation 1/,
    /### Refreshes, with seconds since the first line\n- nothing\n/,
  ]) {
    assert.match(report, part)
  }
  assert.match(report, /localStorage: 2 × entry, tokens: JWT/)
  const session = await page.evaluate(() => auth.session)
  const forbidden = [
    ...Object.values(session.claims).map(String),
    ...[
      '4711',
      'erin',
      'bob',
      'carol',
      'dave',
      'frank',
      'orders',
      new URL(app.api.url).host,
      app.provider.issuer,
    ],
    ...app.ledger.secrets().flatMap(({ value }) => [value, value.slice(0, 8)]),
    TOKEN.slice(0, 8),
  ].filter((value) => value.length > 2)
  const leaks = (text) => forbidden.filter((value) => text.includes(value))
  assert.deepEqual(leaks(report), [])
  // A control: the element itself shows all of these kinds.
  const shown = await page.evaluate(() => inspector.shadowRoot.textContent)
  for (const value of ['alice@example.com', '4711', 'cart of bob']) {
    assert.ok(shown.includes(value), value)
  }
  assert.ok(leaks(shown).length > 2)
  await close(page)
})

leftOut('a refused clipboard leaves the report selected', time, async () => {
  const page = await open()
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
  })
  await page.click('.copy')
  await page.getByText('The text is selected').waitFor()
  const [start, end, length] = await page.evaluate(() => {
    const text = inspector.shadowRoot.activeElement
    return [text.selectionStart, text.selectionEnd, text.value.length]
  })
  assert.deepEqual([start, end], [0, length])
  await close(page)
})

leftOut('without the recorder, earlier messages are not known', time, async () => {
  const page = await open('/bare.html')
  await page.locator('.messages-view', { hasText: 'Earlier messages are not known' }).waitFor()
  const native = () => /native code/.test(MessagePort.prototype.postMessage)
  assert.ok(await page.evaluate(native), 'the element itself records')
  assert.match(
    (await search(page)).notSearched.join(),
    /messages between page and vault, which were not recorded/,
  )
  await page.click('.record')
  await page.locator('.messages-view', { hasText: /Messages before .* are not known/ }).waitFor()
  assert.ok(!(await page.evaluate(native)), 'a control')
  await page.evaluate(() => settle(auth.inspect()))
  await page.locator('.chips', { hasText: 'inspection' }).waitFor()
  await close(page)
})

leftOut('the recorder changes no message, and runs no getter of its own', time, async () => {
  const page = await open()
  const received = await page.evaluate(async () => {
    const { port1, port2 } = new MessageChannel()
    const got = new Promise((resolve) => (port2.onmessage = ({ data }) => resolve(data)))
    let reads = 0
    const message = {
      get once() {
        return ++reads
      },
      deep: new Map([[1, 'a']]),
    }
    message.self = message
    port1.postMessage(message)
    const data = await got
    const failure = (() => {
      try {
        port1.postMessage(() => {})
      } catch ({ name }) {
        return name
      }
    })()
    // A library that replaces the method later, as zone.js does, is still called.
    const { addEventListener } = EventTarget.prototype
    let heard = 0
    EventTarget.prototype.addEventListener = function (...parameters) {
      heard++
      return addEventListener.apply(this, parameters)
    }
    port2.addEventListener('message', () => {})
    EventTarget.prototype.addEventListener = addEventListener
    const { enumerable } = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'postMessage')
    return [reads, data.once, data.self === data, data.deep.get(1), failure, heard, enumerable]
  })
  // The clone of the message reads the getter once.
  assert.deepEqual(received, [1, 1, true, 'a', 'DataCloneError', 1, true])
  await close(page)
})

leftOut('a moved element goes on, and a removed one stops', time, async () => {
  const page = await used()
  const lines = () => page.locator('li[data-tone]').count()
  const before = await lines()
  await page.evaluate(() => document.body.appendChild(document.createElement('main')).append(inspector))
  await page.locator('.holding[data-kind=access_token]').waitFor()
  assert.equal(await lines(), before)
  await page.evaluate(() => inspector.remove())
  await call(page, `${app.api.url}orders`)
  await page.evaluate(() => document.body.append(inspector))
  assert.equal(await lines(), before)
  // The element listens again a moment later, so it may not see the first call.
  while ((await lines()) === before) await call(page, `${app.api.url}orders`)
  await close(page)
})

leftOut('takes the result of createAuth()', time, async () => {
  const page = await open()
  await page.evaluate(() => {
    inspector.auth = createAuth({ shared: create.shared })
  })
  await page.getByText('Nobody is signed in').waitFor()
  await page.evaluate(() => {
    inspector.auth = createAuth({
      dedicated: () => new Worker('/none.js'),
      shared: () => new Worker('/none.js'),
    })
  })
  await page.getByText('The vault does not work: worker_failed').waitFor()
  await page.locator('li[data-tone=bad]', { hasText: 'Failed: worker_failed' }).waitFor()
  await page.evaluate(() => (inspector.auth = null))
  await page.getByText('Not connected: set the property auth').waitFor()
  await close(page)
})

/** Resolves with the warnings of a worker, whose page has this origin. */
async function workerWarnings(origin, inspect) {
  const page = await (await app.browser.newContext()).newPage()
  const said = []
  page.on('console', (message) => message.type() === 'warning' && said.push(message.text()))
  app.setConfig({ inspect })
  const { files } = app.site
  const types = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm' }
  await page.route(`${origin}/**`, (route) => {
    const path = new URL(route.request().url()).pathname
    const body = path === '/' ? '<!doctype html><title>a</title>' : files[path]
    const contentType = types[path.split('.').pop()] ?? 'text/html'
    return route.fulfill({ body: body && Buffer.from(body), contentType, status: body ? 200 : 404 })
  })
  await page.goto(`${origin}/`)
  await page.evaluate(() => new Worker('/auth.worker.js', { type: 'module' }))
  // The worker warns of its missing policy after all others.
  while (!said.some((text) => text.includes('no connect-src'))) await page.waitForEvent('console')
  await page.context().close()
  return said.filter((text) => text.includes('inspect'))
}

// claim: package-7
test('a deployed worker warns of inspect: true', time, async () => {
  try {
    const deployed = await workerWarnings('https://app.example.com', true)
    assert.deepEqual(deployed, ['strongroom: inspect: true shows each page all calls: see docs/inspector.md'])
    assert.deepEqual(await workerWarnings('https://app.example.com', false), [])
    for (const origin of ['http://localhost:1234', 'http://app.localhost:1234', 'http://127.0.0.1:1234']) {
      assert.deepEqual(await workerWarnings(origin, true), [], origin)
    }
  } finally {
    app.setConfig({ inspect: true })
  }
})
