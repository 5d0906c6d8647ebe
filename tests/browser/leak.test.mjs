// No token and no code verifier can be found in the page: not in its heap, and not in stored data, messages or the
// document. An authorization code can be found only in the places that `CODE_MAY_BE_IN` lists. The first tests show
// that the detector finds a canary in each place.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { booted, call, clickLogin, deny, giveConsent, signIn, startApp, startLogin } from '../support/app.mjs'
import { HEAP_ARGS } from '../support/heap.mjs'
import { collect, record, search } from '../support/leak.mjs'

// A search of the heap takes up to half a minute, even on a machine without other load.
const time = { timeout: 180_000 }

let app

before(async () => {
  app = await startApp({
    config: { inspect: true },
    launch: { args: HEAP_ARGS },
    provider: { accessTokenSeconds: 4 },
  })
})
after(() => app?.close())

/** Opens a page that is recorded from its first script on. */
async function openWatched(path) {
  const context = await app.browser.newContext()
  const log = await record(context)
  return { page: await app.open(path, context), log }
}

// The detector

const canary = (kind) => ({ kind, value: randomBytes(96).toString('base64url') })

/** Returns a function that calls `call` only once, and returns the same result each time. */
const once = (call) => {
  let result
  return () => (result ??= call())
}

/**
 * Functions that plant a canary. Each name begins with the place in which the detector must find the canary. The
 * functions run in the page.
 */
const PLANTS = {
  'heap: in a closure': (value) => {
    globalThis.keep = () => value
  },
  'heap: deep in a long string': (value) => {
    globalThis.keep = (
      (text) => () =>
        text
    )(`${'x'.repeat(100_000)}${value}${'y'.repeat(1000)}`.replace('xy', 'x y'))
  },
  'heap: as a key': (value) => {
    globalThis.keep = new Map([[{ [value]: 1 }, 1]])
  },
  'heap: in base64': (value) => {
    globalThis.keep = { text: btoa(`?${value}`) }
  },
  'heap: in hexadecimal digits': (value) => {
    globalThis.keep = [...value].map((c) => c.charCodeAt(0).toString(16)).join('')
  },
  'heap: percent-encoded': (value) => {
    globalThis.keep = [...value].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')
  },
  'heap: backwards': (value) => {
    globalThis.keep = [...value].reverse().join('')
  },
  'heap: the first third only': (value) => {
    globalThis.keep = [...value.slice(0, 43)].join('')
  },
  'buffers: as bytes': (value) => {
    globalThis.keep = new TextEncoder().encode(value)
  },
  'buffers: in a closure': (value) => {
    globalThis.keep = (
      (bytes) => () =>
        bytes
    )(new Uint8Array([...value].map((c) => c.charCodeAt(0))))
  },
  'buffers: in a Map': (value) => {
    globalThis.keep = new Map([['a', [{ deep: new TextEncoder().encode(value).slice().buffer }]]])
  },
  'buffers: as UTF-16': (value) => {
    globalThis.keep = Uint16Array.from(value, (c) => c.charCodeAt(0))
  },
  'buffers: in a Blob': (value) => {
    globalThis.keep = new Blob([value])
  },
  localStorage: (value) => localStorage.setItem('a', value),
  sessionStorage: (value) => sessionStorage.setItem('a', value),
  indexedDB: (value) =>
    new Promise((resolve) => {
      const opening = indexedDB.open('canary', 1)
      opening.onupgradeneeded = () => opening.result.createObjectStore('store')
      opening.onsuccess = () => {
        const transaction = opening.result.transaction('store', 'readwrite')
        transaction.objectStore('store').put({ deep: [new TextEncoder().encode(value)] }, 1)
        transaction.oncomplete = () => resolve(opening.result.close())
      }
    }),
  caches: async (value) => (await caches.open('canary')).put('/x', new Response(value)),
  cookies: (value) => {
    document.cookie = `a=${value}; path=/`
  },
  // claim: script-4
  'messages sent': (value) => new MessageChannel().port1.postMessage({ text: [value] }),
  // claim: script-4
  'messages received': (value) =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = resolve
      port2.postMessage(new TextEncoder().encode(value))
    }),
  history: (value) => {
    history.pushState(null, '', `?${value}`)
    history.pushState(null, '', '/')
  },
  address: (value) => history.replaceState(null, '', `#${value}`),
  'address: in the history’s state': (value) => history.replaceState({ value }, ''),
  console: (value) => console.debug('a', value),
  'console: an uncaught error': (value) => void setTimeout(() => Promise.reject(new Error(value))),
  dom: (value) => document.body.setAttribute('data-x', value),
  'dom: in a field': (value) => {
    document.body.append(document.createElement('input'))
    document.querySelector('input').value = value
  },
  performance: (value) => performance.mark(value),
}

/**
 * Plants a canary in each place of one page. Resolves with the detector's findings for these canaries and for another
 * canary that is not planted.
 */
const detect = once(async () => {
  const { page, log } = await openWatched('/empty')
  const planted = Object.entries(PLANTS).map(([name, plant]) => ({ plant, secret: canary(name) }))
  for (const { plant, secret } of planted) {
    await page.evaluate(plant, secret.value)
    // The global variable is copied, because the next function may replace its value.
    await page.evaluate((kind) => void (globalThis[`kept ${kind}`] = globalThis.keep), secret.kind)
  }
  const secrets = [...planted.map(({ secret }) => secret), canary('absent')]
  const isFound = (findings) => (name) =>
    findings.some(({ kind, place }) => kind === name && place === placeOf(name))
  let findings
  // Console output and messages reach the test a moment later, so the search is repeated.
  for (let attempt = 0; attempt < 10; attempt++) {
    findings = search(await collect(page, log), secrets)
    if (Object.keys(PLANTS).every(isFound(findings))) break
  }
  await page.context().close()
  return findings
})

const placeOf = (name) => name.split(':')[0]

for (const name of Object.keys(PLANTS)) {
  // claim: script-1
  test(`the detector finds a canary: ${name}`, time, async () => {
    const places = (await detect()).filter(({ kind }) => kind === name).map(({ place }) => place)
    assert.ok(places.includes(placeOf(name)), `found only in: ${[...new Set(places)]}`)
  })
}

test('the detector does not find what was not planted', time, async () => {
  const findings = await detect()
  assert.deepEqual(
    findings.filter(({ kind }) => kind === 'absent'),
    [],
  )
})

// The vault

/**
 * Places that may contain an authorization code. A redirect always brings the code to the page in the URL, and the page
 * passes the URL to the vault. The page must remove the code from the URL and must not store it, but the engine
 * remembers the URL at which a page was opened. The code is useless without its verifier.
 */
const CODE_MAY_BE_IN = ['heap', 'messages sent', 'performance', 'addresses']

/**
 * The names of engine objects whose buffers the test cannot read. `QueueEntry` is an entry in the queue of an unread
 * body. The bytes of such a body arrived in messages, which the test searches. `WrapperTypeInfo` is the engine's
 * template of its own objects, and contains no data of the page.
 */
const ENGINES_OWN = /ReadableByteStreamController::QueueEntry|WrapperTypeInfo/

function findLeaks(places, { ledger } = app) {
  return search(places, ledger.secrets()).filter(
    ({ kind, place }) => !(kind === 'authorization_code' && CODE_MAY_BE_IN.includes(place)),
  )
}

async function assertClean(tabs, step, of = app) {
  for (const { page, log } of tabs) {
    const places = await collect(page, log)
    assert.deepEqual(findLeaks(places, of), [], step)
    assert.deepEqual(
      places.unread.filter((where) => !ENGINES_OWN.test(where)),
      [],
      step,
    )
  }
}

/** Causes failures, and stores everything that the page can read about them. This function runs in the page. */
async function fail(api) {
  const attempts = [
    () => auth.fetch('https://attacker.example/'),
    () => auth.fetch(`${api}redirect`),
    () => auth.fetch(`${api}me`, { headers: { Authorization: 'Bearer x' } }),
    () => auth.fetch(`${api}me`, { method: 'TRACK' }),
    () => auth.fetch(`${api}slow`, { signal: AbortSignal.timeout(50) }),
    async () => (await auth.fetch(`${api}broken`)).text(),
    () => auth.fetch(`${api}me`, { mode: 'no-cors' }),
    () => auth.handleCallback(`${location.origin}/callback?code=a&state=${ownState}`),
    () => auth.handleCallback(`${location.origin}/elsewhere?code=a&state=${ownState}`),
    () => auth.login({ mode: 'nothing' }),
    () => auth.login({ returnTo: 'https://attacker.example/' }),
    () => auth.logout({ returnTo: 'http://[' }),
  ]
  const keep = (error) => ({
    text: String(error),
    stack: error?.stack,
    cause: error?.cause && keep(error.cause),
    members: JSON.stringify(error, Object.getOwnPropertyNames(error ?? {})),
  })
  globalThis.errors ??= []
  for (const attempt of attempts) {
    try {
      await attempt()
    } catch (error) {
      errors.push(keep(error), error)
    }
  }
  return errors.length
}

/** Calls the API in many ways, and stores everything that the page can read. This function runs in the page. */
async function use(api) {
  globalThis.kept ??= []
  const read = async (response) => kept.push(response, [...response.headers], await response.clone().text())
  await read(await auth.fetch(`${api}me`))
  await read(await auth.fetch(`${api}echo`, { method: 'POST', body: new Blob(['x']) }))
  await read(await auth.fetch(`${api}upload`, { method: 'PUT', body: new FormData() }))
  await read(await auth.fetch(`${api}stream?n=3&interval=20`))
  await read(await auth.fetch(`${api}reject`))
  await read(await auth.fetch(`${api}reject-once/${Math.random()}`))
  kept.push(auth.session, await auth.inspect())
}

// claim: script-1
test('no token, code or verifier is ever in the page', { timeout: 900_000 }, async (t) => {
  const first = await openWatched('/')
  const { page } = first
  const tabs = [first]
  const step = (name, action) =>
    t.test(name, time, async () => {
      await action()
      await assertClean(tabs, name)
    })
  const failAndUse = async (tab) => {
    assert.ok((await tab.evaluate(fail, app.api.url)) > 10)
    await tab.evaluate(use, app.api.url)
  }

  await step('before a login', async () => {
    await booted(page)
    await page.evaluate(fail, app.api.url)
  })
  await step('a login that is denied', async () => {
    await startLogin(page)
    await deny(page)
    await page.waitForURL(/\/callback/)
    assert.equal((await booted(page)).error.code, 'login_denied')
  })
  await step('a login', async () => {
    await signIn(page)
    await page.evaluate(() => auth.on('trace', (event) => changes.push(event)))
  })
  await step('calls and errors', () => failAndUse(page))
  await step('refreshes', async () => {
    for (let round = 0; round < 2; round++) {
      await app.ledger.accessTokenExpired()
      assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
    }
  })
  await step('a second tab', async () => {
    const tab = { page: await app.open('/', page.context()), log: first.log }
    await booted(tab.page)
    tabs.push(tab)
    await failAndUse(tab.page)
  })
  await step('a refresh that fails', async () => {
    await app.ledger.accessTokenExpired()
    app.provider.faults.add('token', { answer: { status: 503, body: 'Busy' } })
    assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
  })
  await step('a refresh that is rejected', async () => {
    await app.ledger.accessTokenExpired()
    app.provider.faults.add('token', { answer: { status: 400, body: { error: 'invalid_grant' } } })
    assert.equal((await call(page, `${app.api.url}me`)).error.code, 'session_ended')
  })
  await step('a login by popup', async () => {
    const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
    await giveConsent(popup)
    assert.equal((await page.evaluate(() => login)).value.claims.sub, 'alice')
    await failAndUse(page)
  })
  await step('logout', async () => {
    await page.evaluate(() => auth.logout())
    await page.evaluate(fail, app.api.url)
  })

  await t.test('the search covers all secrets and can find them', time, async () => {
    const kinds = groupKinds()
    for (const kind of ['access_token', 'refresh_token', 'id_token', 'authorization_code', 'code_verifier']) {
      assert.ok(kinds.get(kind)?.length >= 2, `${kind}: ${kinds.get(kind)?.length}`)
    }
    for (const { kind, value } of app.ledger.secrets()) {
      const found = search({ here: [`a ${value} b`] }, app.ledger.secrets())
      assert.ok(found.some((finding) => finding.kind === kind))
    }
    const { value } = app.ledger.newest('refresh_token')
    await page.evaluate((token) => (globalThis.planted = { token }), value)
    const [finding] = findLeaks(await collect(page, first.log))
    assert.equal(finding?.kind, 'refresh_token')
    assert.ok(first.log['messages received'].length > 50, 'the recorder heard nothing')
  })
  await page.context().close()
})

// Resuming

test('no token is in the page after a silent login', { timeout: 360_000 }, async () => {
  const returning = await startApp({
    resume: 'redirect',
    // The scope does not contain offline_access, because the provider would then require consent.
    config: { scope: 'openid profile orders', inspect: true },
    extendedLifetime: false,
    launch: { args: HEAP_ARGS },
  })
  try {
    const context = await returning.browser.newContext()
    const tab = { log: await record(context), page: await returning.open('/', context) }
    const { page } = tab
    await page.waitForFunction(() => globalThis.auth, null, { polling: 20 })
    await assertClean([tab], 'there was no session', returning)
    await signIn(page)
    await page.evaluate(() => sessionStorage.clear())
    await page.goto('about:blank')
    await page.goto(`${returning.site.origin}/?list=open`)
    await page.waitForFunction(() => globalThis.auth?.session, null, { polling: 20 })
    assert.equal(await page.evaluate(() => auth.resumed), 'redirect')
    assert.equal((await call(page, `${returning.api.url}me`)).value.status, 200)
    await assertClean([tab], 'it came back', returning)
    // Control experiment: the search finds a code that is stored with the attempt to resume.
    const { value } = returning.ledger.newest('authorization_code')
    await page.evaluate((code) => {
      const key = Object.keys(sessionStorage).find((name) => name.startsWith('strongroom.resume '))
      sessionStorage[key] += code
    }, value)
    const [finding] = findLeaks(await collect(page, tab.log), returning)
    assert.deepEqual([finding?.kind, finding?.place], ['authorization_code', 'sessionStorage'])
  } finally {
    await returning.close()
  }
})

const groupKinds = () => {
  const kinds = new Map()
  for (const { kind, value } of app.ledger.secrets()) kinds.set(kind, [...(kinds.get(kind) ?? []), value])
  return kinds
}
