// `persist: 'escrow'`: a session outlives its worker, and no script of a page can use its key.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, signIn, startApp, startLogin } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { openWithEscrow, serveEscrow, stopServiceWorkers, untilHanded } from '../support/escrow.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated']
const ADDRESS = '/auth.worker.js?strongroom-escrow=1'

const apps = {}

before(async () => {
  for (const kind of KINDS) apps[kind] = await start({ kind, persist: 'escrow' })
  apps.sealed = await start({ kind: 'shared', persist: 'sealed' })
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

async function start({ kind, persist, config = {} }) {
  const app = await startApp({
    kind,
    config: { session: { persist }, ...config },
    extendedLifetime: false,
    plainFetch: true,
    provider: { accessTokenSeconds: 60 },
  })
  app.site.pageCsp = app.site.pageCsp.replace(
    "worker-src 'self'",
    "worker-src 'self' blob:; frame-src 'self'",
  )
  serveEscrow(app)
  return app
}

const orders = (app) => `${app.api.url}orders`
const session = (page) => page.evaluate(() => auth.session)
const resumed = (page) => page.evaluate(() => auth.resumed)

async function openSignedIn(app) {
  const page = await openWithEscrow(app)
  assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
  return page
}

const reload = (page, app) => page.goto(`${app.site.origin}/?${Math.random()}`).then(() => booted(page))

for (const kind of KINDS) {
  test(`a reload of the only tab keeps the session, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await openSignedIn(app)
    const asked = app.ledger.entries.length
    for (let n = 0; n < 3; n++) {
      assert.deepEqual(await reload(page, app), { value: null })
      assert.equal(await resumed(page), 'escrow')
      assert.equal((await session(page)).claims.sub, 'alice')
    }
    assert.equal(app.ledger.entries.length, asked, 'the provider was asked for something')
    assert.equal((await call(page, orders(app))).value.status, 200)
  })

  leftOut(`a restarted service worker gets the key when the page is left, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await openSignedIn(app)
    await stopServiceWorkers(page)
    // A key press makes the user active, so the vault hands over its key.
    await untilHanded(page, () => page.keyboard.press('Shift'))
    await reload(page, app)
    assert.equal(await resumed(page), 'escrow')
  })

  leftOut(`a service worker that was stopped without pages loses the session, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await openSignedIn(app)
    const { origin } = app.site
    await page.goto(`${origin}/empty`)
    await stopServiceWorkers(page)
    await page.goto(`${origin}/`)
    assert.deepEqual(await booted(page), { value: null })
    assert.equal(await session(page), null)
    assert.equal(await resumed(page), null)
    assert.equal(await page.evaluate(() => auth.endReason), null)
    assert.equal((await call(page, orders(app))).error.code, 'login_required')
    await startLogin(page)
    await giveConsent(page)
    await page.waitForURL(/\/callback/)
    await booted(page)
    await reload(page, app)
    assert.equal(await resumed(page), 'escrow')
  })

  leftOut(`without a service worker the session stays in memory, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    const before = app.site.requests.length
    await signIn(page)
    assert.equal((await call(page, orders(app))).value.status, 200)
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })))
    await page.goto(`${app.site.origin}/`)
    await booted(page)
    assert.equal(await session(page), null)
    const since = app.site.requests.slice(before)
    assert.deepEqual(
      since.filter(({ method }) => method !== 'GET'),
      [],
    )
    assert.deepEqual(
      since.filter(({ query }) => query.includes('escrow')),
      [],
    )
  })
}

leftOut('a service worker of another version does not respond', time, async (t) => {
  const app = await start({ kind: 'shared', persist: 'escrow' })
  t.after(() => app.close())
  const escrow = await readFile(new URL('../../pkg/dist/escrow.js', import.meta.url), 'utf8')
  const other = escrow.replace('strongroom-escrow=1', 'strongroom-escrow=2')
  assert.notEqual(other, escrow)
  app.site.files['/strongroom/escrow.js'] = other
  const page = await openSignedIn(app)
  assert.equal((await call(page, orders(app))).value.status, 200)
  assert.deepEqual(await reload(page, app), { value: null })
  assert.equal(await session(page), null)
})

test('a control: the server sees a request that is not intercepted', time, async () => {
  const app = apps.shared
  const page = await app.open('/empty')
  await page.evaluate((address) => fetch(address).then(() => {}), ADDRESS)
  assert.ok(app.site.requests.at(-1).query.includes('escrow'))
})

leftOut('a logout ends the session for later workers', time, async () => {
  const app = apps.shared
  const page = await openSignedIn(app)
  await page.evaluate(() => auth.logout())
  await reload(page, app)
  assert.equal(await session(page), null)
  assert.equal(await page.evaluate(() => auth.endReason), 'logged_out')
})

leftOut('a second tab with its own worker joins, and both refresh once', time, async () => {
  const app = apps.dedicated
  const first = await openSignedIn(app)
  const second = await app.open('/', first.context())
  await booted(second)
  assert.equal((await session(second)).claims.sub, 'alice')
  const outcomes = await Promise.all([first, second].map((page) => call(page, orders(app))))
  assert.deepEqual(
    outcomes.map(({ value }) => value.status),
    [200, 200],
  )
})

/** Tries to decrypt the vault's database with a key that the database contains, as a script of the page could. */
const openStored = () =>
  new Promise((resolve) => {
    const opening = indexedDB.open('strongroom')
    opening.onsuccess = () => {
      const db = opening.result
      const transaction = db.transaction([...db.objectStoreNames])
      const keys = transaction.objectStore('keys').getAll()
      const records = transaction.objectStore('logins').getAll()
      transaction.oncomplete = async () => {
        const record = records.result.find(({ name }) => name.startsWith('session '))
        const additionalData = new TextEncoder().encode(record.name)
        const texts = []
        for (const key of keys.result) {
          const algorithm = { name: 'AES-GCM', iv: record.iv, additionalData }
          const plain = crypto.subtle.decrypt(algorithm, key, record.sealed)
          texts.push(await plain.then((text) => new TextDecoder().decode(text)).catch((error) => error.name))
        }
        db.close()
        resolve({ keys: keys.result.length, sealed: record.sealed.byteLength, texts })
      }
    }
  })

// claim: script-19, script-30
test('script of the page cannot open what is stored; with sealed it can', time, async () => {
  const page = await openSignedIn(apps.shared)
  const { keys, sealed, texts: none } = await page.evaluate(openStored)
  assert.ok(sealed > 1000, 'a session is there')
  assert.deepEqual([keys, none], [0, []], 'and no key')

  const control = await openSignedIn(apps.sealed)
  const { texts } = await control.evaluate(openStored)
  assert.ok(texts.some((text) => text.includes(apps.sealed.ledger.newest('refresh_token').value)))
})

/** Attempts of a page's script to get the key. Each attempt resolves with the status and length of the response. */
const ATTEMPTS = {
  'fetch in the page': (address) => ask(address),
  'fetch in the page, with a key of its own': (address) =>
    ask(address, { method: 'PUT', body: new Uint8Array(32) }),
  'a frame that navigates to the URL': async (address) => {
    const frame = document.createElement('iframe')
    frame.src = address
    document.body.append(frame)
    await new Promise((resolve) => (frame.onload = resolve))
    const { length } = frame.contentDocument?.body.innerText ?? ''
    frame.remove()
    return { status: performance.getEntriesByName(address).at(-1).responseStatus, length }
  },
  'fetch in a frame at the worker’s URL': async (address) => {
    const frame = document.createElement('iframe')
    frame.src = '/auth.worker.js'
    document.body.append(frame)
    await new Promise((resolve) => (frame.onload = resolve))
    const found = await ask(address, {}, frame.contentWindow)
    frame.remove()
    return found
  },
  'a worker that is a blob': (address) => {
    const source = `(${ask})('${address}').then((found) => postMessage(found))`
    const worker = new Worker(URL.createObjectURL(new Blob([source])))
    return new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)))
  },
  'a worker at another URL': (address) => {
    const worker = new Worker(`/other.worker.js?${encodeURIComponent(address)}`)
    return new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)))
  },
  'a worker at the vault’s URL with a query': (address) => {
    const worker = new Worker(`/auth.worker.js?${encodeURIComponent(address)}`)
    return new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)))
  },
}

/** Requests the key. `scope` is the global object of a page, frame or worker. */
const ask = (address, init = {}, scope = globalThis) =>
  scope.fetch(address, { mode: 'same-origin', cache: 'only-if-cached', ...init }).then(
    async (response) => ({ status: response.status, length: (await response.arrayBuffer()).byteLength }),
    () => ({ status: 0, length: 0 }),
  )
const asking = `const ask = ${ask}
ask(decodeURIComponent(location.search.slice(1)) || '${ADDRESS}').then((found) => postMessage(found))`

// claim: script-19
test('only the vault gets the key', time, async (t) => {
  const app = apps.shared
  const page = await openSignedIn(app)
  app.site.files['/other.worker.js'] = asking
  const { files } = app.site
  const vault = files['/auth.worker.js']
  files['/auth.worker.js'] = asking
  // The app's policy is weak, so that the policy does not cause an attempt to fail.
  const { pageCsp } = app.site
  app.site.pageCsp = "default-src 'self'; script-src 'self' 'unsafe-eval'; worker-src 'self' blob:"
  const other = await app.open('/empty', page.context())
  const url = app.site.origin + ADDRESS
  try {
    for (const [name, attempt] of Object.entries(ATTEMPTS)) {
      await t.test(name, time, async () => {
        const found = await other.evaluate(
          ([how, helper, address]) => {
            globalThis.ask = Function(`return ${helper}`)()
            return Function(`return ${how}`)()(address)
          },
          [`${attempt}`, `${ask}`, url],
        )
        assert.deepEqual(found, { status: 403, length: 0 })
      })
    }
    await t.test('a message to the service worker', time, async () => {
      const heard = await other.evaluate(async () => {
        const { active } = await navigator.serviceWorker.ready
        return new Promise((resolve) => {
          navigator.serviceWorker.onmessage = ({ data }) => resolve(data)
          active.postMessage('key')
        })
      })
      // Only the app's own listener in the service worker receives the message.
      assert.equal(heard, 'heard')
    })
    await t.test('a control: a worker at the vault’s own URL gets it', time, async () => {
      const found = await other.evaluate(() => {
        const worker = new Worker('/auth.worker.js')
        return new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)))
      })
      assert.deepEqual(found, { status: 200, length: 32 })
    })
  } finally {
    files['/auth.worker.js'] = vault
    app.site.pageCsp = pageCsp
  }
  // The attempts have not damaged the session.
  await other.close()
  await reload(page, app)
  assert.equal(await resumed(page), 'escrow')
})

/**
 * Code of a service worker that serves responses from its caches and stores new responses, like the service workers of
 * offline apps.
 */
const CACHING = `addEventListener('fetch', (event) => {
  const { request } = event
  const fetchAndKeep = async () => {
    const response = await fetch(request)
    if (request.method === 'GET') await (await caches.open('kept')).put(request, response.clone())
    return response
  }
  event.respondWith(caches.match(request.url).then((found) => found ?? fetchAndKeep()))
})`

/**
 * Starts an app with a caching service worker. The service worker calls `escrow()` for the worker file `vault` before
 * it adds its own listeners.
 */
async function startCaching({ kind, vault = '/auth.worker.js' }) {
  const app = await start({ kind, persist: 'escrow' })
  // The service worker may connect to the same servers as the vault.
  app.site.workers.push('/sw.js')
  app.site.files['/sw.js'] = `import { escrow } from '/strongroom/escrow.js'
escrow('${vault}')
${CACHING}
addEventListener('install', () => skipWaiting())`
  return app
}

/** Adds a response to a cache. This function runs in the page. */
const plant = async ([address, body, headers = {}]) => {
  const cache = await caches.open('kept')
  await cache.put(address, new Response(body, { headers: { 'Content-Type': 'text/javascript', ...headers } }))
}

/** Resolves with the access tokens in the requests that the cache contains. This function runs in the page. */
const keptTokens = async () => {
  const cache = await caches.open('kept')
  const requests = await cache.keys()
  return requests.map(({ headers }) => headers.get('authorization')).filter(Boolean)
}

/** An attacker's worker file, which reports that it runs. */
const PLANTED = `new BroadcastChannel('planted').postMessage('ran')
addEventListener('connect', ({ ports: [port] }) => port.postMessage('ran'))
self.postMessage?.('ran')`

/**
 * Creates a worker from this URL. Resolves with true if the worker reports within this time that it runs the planted
 * file. This function runs in the page.
 */
const isPlanted = ([kind, address, milliseconds]) =>
  new Promise((resolve) => {
    new BroadcastChannel('planted').onmessage = () => resolve(true)
    if (kind === 'shared') new SharedWorker(address, { type: 'module', name: 'another' })
    else new Worker(address, { type: 'module' })
    setTimeout(resolve, milliseconds, false)
  })

for (const kind of KINDS) {
  test(`caches written by script do not affect the vault, ${kind}`, time, async () => {
    const app = await startCaching({ kind })
    try {
      const page = await openSignedIn(app)
      assert.equal((await call(page, orders(app))).value.status, 200)
      assert.deepEqual(await page.evaluate(keptTokens), [])
      // After it was stopped, the service worker does not remember the vault.
      await stopServiceWorkers(page)
      assert.equal((await call(page, orders(app))).value.status, 200)
      assert.deepEqual(await page.evaluate(keptTokens), [])

      const { origin } = app.site
      const files = ['/auth.worker.js', '/strongroom/worker.js', '/auth.worker.js#']
      for (const path of files) await page.evaluate(plant, [origin + path, PLANTED])
      for (const path of ['/auth.worker.js', '/auth.worker.js#x']) {
        assert.equal(await page.evaluate(isPlanted, [kind, path, 2000]), false, path)
      }
      await page.keyboard.press('Shift')
      await reload(page, app)
      assert.equal(await resumed(page), 'escrow')
      // Control experiment: the service worker serves the file of another worker from the cache.
      await page.evaluate(plant, [`${origin}/other.worker.js`, PLANTED])
      assert.equal(await page.evaluate(isPlanted, [kind, '/other.worker.js', 20_000]), true)
    } finally {
      await app.close()
    }
  })
}

test('a control: in a service worker without escrow a token is found in a cache', time, async () => {
  const app = await startCaching({ kind: 'shared' })
  app.site.files['/sw.js'] = `${CACHING}
addEventListener('install', () => skipWaiting())`
  try {
    const page = await openSignedIn(app)
    assert.equal((await call(page, orders(app))).value.status, 200)
    const [token] = await page.evaluate(keptTokens)
    assert.equal(token, `Bearer ${app.ledger.newest('access_token').value}`)
  } finally {
    await app.close()
  }
})

// claim: script-19
test('a vault accepts no key from a cache', time, async () => {
  // In this app, `escrow()` is called for another worker file. The service worker therefore handles this vault's
  // request like any other request.
  const app = await startCaching({ kind: 'shared', vault: '/another.worker.js' })
  app.site.files['/sw.js'] = app.site.files['/sw.js'].replace(
    "if (request.method === 'GET')",
    "if (request.method === 'GET' && !request.headers.has('authorization'))",
  )
  try {
    const page = await openWithEscrow(app)
    const planted = [app.site.origin + ADDRESS, 'k'.repeat(32), { 'strongroom-escrow': '1' }]
    await page.evaluate(plant, planted)
    // Control experiment: the service worker serves a request of the page from the cache.
    const found = await page.evaluate(`(${ask})('${ADDRESS}')`)
    assert.deepEqual(found, { status: 200, length: 32 })
    await page.reload()
    await signIn(page)
    assert.equal((await session(page)).claims.sub, 'alice')
    const records = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const opening = indexedDB.open('strongroom')
          opening.onsuccess = () => {
            const all = opening.result.transaction('logins').objectStore('logins').getAllKeys()
            all.onsuccess = () => resolve(all.result)
          }
        }),
    )
    assert.deepEqual(
      records.filter((name) => name.startsWith('session ')),
      [],
    )
  } finally {
    await app.close()
  }
})

test('auth.fetch() cannot request the key', time, async () => {
  const app = await start({
    kind: 'shared',
    persist: 'escrow',
    config: { apis: [{ url: '/', methods: ['GET', 'PUT'] }] },
  })
  try {
    const page = await openSignedIn(app)
    const there = await call(page, app.site.origin + ADDRESS)
    assert.equal(there.error.code, 'url_not_allowed')
    // Control experiment: `apis` allows other URLs of the site.
    assert.equal((await call(page, `${app.site.origin}/empty.html`)).value.status, 200)
  } finally {
    await app.close()
  }
})
