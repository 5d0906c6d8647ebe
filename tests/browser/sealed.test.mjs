// `persist: 'sealed'`: a session outlives its worker, and the dedicated workers of several tabs share it.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ALL, leftOut } from '../support/combinations.mjs'
import { booted, call, signIn, signInByPopup, startApp, waitUntil } from '../support/app.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated']

/** Lifetime of an access token in seconds. */
const LIFETIME = 4

const apps = {}

before(async () => {
  const options = {
    config: { session: { persist: 'sealed' } },
    provider: { accessTokenSeconds: LIFETIME },
    extendedLifetime: false,
    proxied: true,
  }
  const started = await Promise.all(KINDS.map((kind) => startApp({ kind, ...options })))
  for (const [i, kind] of KINDS.entries()) apps[kind] = started[i]
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))
afterEach(() => {
  for (const { provider, setConfig } of Object.values(apps)) {
    provider.faults.clear()
    provider.settings.accessTokenSeconds = LIFETIME
    setConfig({})
  }
})

/** Lets the clocks of later workers be a minute ahead, so that the stored access token has expired. */
const letExpire = (app) =>
  app.setWorker(`${app.site.files['/auth.worker.js']}
const { now } = Date
Date.now = () => now() + 60_000`)

const orders = (app) => `${app.api.url}orders`
const session = (page) => page.evaluate(() => auth.session)
const status = async (page, app) => (await call(page, orders(app))).value?.status

/** Waits until a page has a session, or has no session. */
const signedIn = (page, is = true) =>
  page.waitForFunction((wanted) => !!auth.session === wanted, is, { polling: 20 })

/** Takes the network away from a page and its worker, or gives it back. */
async function setOffline({ proxies }, page, isOffline) {
  await page.context().setOffline(isOffline)
  for (const proxy of Object.values(proxies)) await (isOffline ? proxy.refuse() : proxy.accept())
}

/**
 * Resolves with everything in the vault's database, as text. Keys are described by their extractability. This function
 * runs in the page.
 */
const stored = () =>
  new Promise((resolve) => {
    const opening = indexedDB.open('strongroom')
    opening.onsuccess = () => {
      const db = opening.result
      const found = []
      const transaction = db.transaction([...db.objectStoreNames])
      for (const name of db.objectStoreNames) {
        transaction.objectStore(name).openCursor().onsuccess = ({ target: { result: cursor } }) => {
          if (!cursor) return
          const { key, value } = cursor
          const bytes = (part) => (part instanceof ArrayBuffer ? new TextDecoder('latin1').decode(part) : '')
          found.push({
            key: String(key),
            text: JSON.stringify(value) + Object.values(value).map(bytes).join(''),
            extractable: value.extractable,
          })
          cursor.continue()
        }
      }
      transaction.oncomplete = () => {
        db.close()
        resolve(found)
      }
    }
  })

for (const kind of KINDS) {
  const usual = { ...time, skip: !ALL && kind !== 'shared' && 'only with --all' }
  test(`after a reload an expired access token is refreshed, ${kind}`, usual, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    letExpire(app)
    await page.goto(`${app.site.origin}/`)
    await booted(page)
    assert.equal(await status(page, app), 200)
    assert.equal(app.ledger.generation(), 2)
  })
}

for (const kind of KINDS) {
  const usual = { ...time, skip: !ALL && kind !== 'dedicated' && 'only with --all' }
  // claim: end-25
  test(`offline, a session stays in its page, and continues after a reload, ${kind}`, usual, async () => {
    const app = apps[kind]
    app.provider.settings.accessTokenSeconds = 30
    const page = await app.open()
    await signIn(page)
    const { startedAt } = await session(page)
    await setOffline(app, page, true)
    assert.equal((await call(page, orders(app))).error.isTypeError, true)
    assert.equal((await session(page)).startedAt, startedAt)
    await assert.rejects(page.reload(), /ERR_INTERNET_DISCONNECTED/)
    letExpire(app)
    await setOffline(app, page, false)
    const refreshes = app.ledger.refreshes().length
    await page.goto(`${app.site.origin}/`)
    await booted(page)
    // A stored start may move to an earlier millisecond: see src/rules/session/kept.rs.
    const moved = startedAt - (await session(page)).startedAt
    assert.ok(moved >= 0 && moved < 100, `${moved} ms`)
    assert.equal(await status(page, app), 200)
    assert.equal(app.ledger.refreshes().length, refreshes + 1)
  })
}

leftOut('a reload of the only tab runs a changed worker file', time, async () => {
  const app = apps.shared
  const page = await app.open()
  await signIn(page)
  const added = 'https://added.example.com/'
  const isAllowed = async () => (await call(page, added)).error.code !== 'url_not_allowed'
  assert.equal(await isAllowed(), false)
  app.setConfig({ apis: [...app.config.apis, { url: added }] })
  await page.reload()
  await booted(page)
  app.setConfig({})
  assert.equal((await session(page)).claims.sub, 'alice')
  assert.equal(await isAllowed(), true)
})

// claim: device-2
test('the store has no token, and its key is not extractable', time, async () => {
  const app = apps.dedicated
  const page = await app.open()
  await signIn(page)
  assert.equal(await status(page, app), 200)
  const found = await page.evaluate(stored)
  const record = found.find(({ key }) => key.startsWith('session '))
  assert.ok(record, 'the session is not in the store')
  const { extractable } = found.find(({ key }) => key === 'seal')
  assert.equal(extractable, false)
  const secrets = app.ledger.secrets().map(({ value }) => value)
  assert.ok(secrets.length >= 4)
  const holdsSecret = ({ text }) => secrets.some((secret) => text.includes(secret))
  assert.deepEqual(found.filter(holdsSecret), [])
  // Control experiment: the same search finds a stored token.
  await page.evaluate(
    (token) =>
      new Promise((resolve) => {
        const opening = indexedDB.open('strongroom')
        opening.onsuccess = () => {
          const db = opening.result
          const transaction = db.transaction('logins', 'readwrite')
          const sealed = new TextEncoder().encode(token).buffer
          transaction.objectStore('logins').put({ name: 'canary', expiresAt: 0, sealed })
          transaction.oncomplete = () => resolve(db.close())
        }
      }),
    secrets.at(-1),
  )
  assert.equal((await page.evaluate(stored)).filter(holdsSecret).length, 1)
})

leftOut('a second tab with its own worker joins the session', time, async () => {
  const app = apps.dedicated
  const first = await app.open()
  await signIn(first)
  const asked = app.ledger.entries.length
  const second = await app.open('/', first.context())
  await booted(second)
  assert.equal((await session(second)).claims.sub, 'alice')
  assert.equal(app.ledger.entries.length, asked)
  assert.equal(await status(second, app), 200)
})

/** Resolves with true if a vault waits for the session's lock. This function runs in the page. */
const waitsForSession = async () =>
  (await navigator.locks.query()).pending.some(({ name }) => name.startsWith('session '))

leftOut('a tab closed during a refresh releases the lock', time, async () => {
  const app = apps.dedicated
  const first = await app.open()
  await signIn(first)
  const second = await app.open('/', first.context())
  await booted(second)
  await app.ledger.accessTokenExpired()
  let release
  app.provider.faults.add('token', { hold: new Promise((resolve) => (release = resolve)) })
  const refreshing = app.provider.faults.taken()
  void call(first, orders(app)).catch(() => {})
  await refreshing
  const other = status(second, app)
  await waitUntil(second, waitsForSession)
  await first.close()
  assert.equal(await other, 200)
  release()
})

// claim: device-4
test('a logout ends the session in all tabs, later ones too', time, async () => {
  const app = apps.dedicated
  const first = await app.open()
  await signIn(first)
  const second = await app.open('/', first.context())
  await booted(second)
  await second.evaluate(() => auth.logout())
  await signedIn(first, false)
  assert.equal(await first.evaluate(() => auth.endReason), 'logged_out')
  const third = await app.open('/', first.context())
  await booted(third)
  assert.equal(await session(third), null)
  assert.equal((await call(first, orders(app))).error.code, 'login_required')
})

// claim: device-5
test('storage_lost: the stored session cannot be decrypted', time, async () => {
  const app = apps.dedicated
  const page = await app.open()
  await signIn(page)
  const empty = await app.open('/empty', page.context())
  await page.close()
  await empty.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('strongroom')
        opening.onsuccess = () => {
          const db = opening.result
          const transaction = db.transaction('logins', 'readwrite')
          const store = transaction.objectStore('logins')
          store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
            if (!cursor) return
            const { value } = cursor
            new Uint8Array(value.sealed)[0] ^= 1
            store.put(value)
            cursor.continue()
          }
          transaction.oncomplete = () => resolve(db.close())
        }
      }),
  )
  const again = await app.open('/', empty.context())
  await booted(again)
  assert.equal(await session(again), null)
  assert.equal(await again.evaluate(() => auth.endReason), 'storage_lost')
  await signIn(again)
  assert.equal(await status(again, app), 200)
})

leftOut('without locks, logins and logouts complete immediately', time, async () => {
  const app = apps.dedicated
  // Timers never fire in this worker. A login or logout that waits for a time limit would therefore hang.
  app.setWorker(`import { vault } from '/strongroom/worker.js'
const { request } = LockManager.prototype
let asked = 0
LockManager.prototype.request = async function (name, ...rest) {
  if (!name.startsWith('session ')) return request.call(this, name, ...rest)
  asked += 1
  throw new DOMException('denied', 'SecurityError')
}
new BroadcastChannel('asked').onmessage = ({ target }) => target.postMessage(asked)
globalThis.setTimeout = () => 1
vault(${JSON.stringify(app.config)})`)
  const page = await app.open()
  await signIn(page)
  assert.equal((await session(page)).claims.sub, 'alice')
  await page.evaluate(() => auth.logout())
  const asked = await page.evaluate(() => {
    const channel = new BroadcastChannel('asked')
    channel.postMessage('?')
    return new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(data)))
  })
  assert.ok(asked >= 1, 'no lock was requested')
  app.setConfig({})
})

test('with a full disk the session continues, and kept is false', time, async () => {
  const app = apps.dedicated
  const { origin } = app.site
  const page = await app.open('/empty')
  const devtools = await page.context().newCDPSession(page)
  // The quota must be set before the browser determines the available space.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 })
  await page.goto(`${origin}/`)
  await signInByPopup(page)
  assert.equal((await session(page)).kept, false)
  assert.equal(await status(page, app), 200)
  await app.ledger.accessTokenExpired()
  assert.equal(await status(page, app), 200)
  const kept = page.waitForFunction(() => auth.session.kept, null, { polling: 20, timeout: 40_000 })
  await devtools.send('Storage.overrideQuotaForOrigin', { origin })
  await kept
  await page.goto(`${origin}/`)
  await booted(page)
  assert.equal((await session(page)).claims.sub, 'alice')
})

leftOut('a change to memory keeps the record until it is deleted', time, async () => {
  const app = await startApp({ kind: 'dedicated', config: { session: { persist: 'sealed' } } })
  try {
    const page = await app.open()
    await signIn(page)
    const reopen = async (persist) => {
      app.setConfig({ session: { persist } })
      await page.goto(`${app.site.origin}/`)
      await booted(page)
      const records = (await page.evaluate(stored)).filter(({ key }) => key.startsWith('session '))
      return [!!(await session(page)), records.length]
    }
    assert.deepEqual(await reopen('memory'), [false, 1])
    assert.deepEqual(await reopen('sealed'), [true, 1], 'it continues after a change back')
    assert.deepEqual(await reopen('memory'), [false, 1])
    await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const deletion = indexedDB.deleteDatabase('strongroom')
          Object.assign(deletion, { onsuccess: resolve, onerror: reject, onblocked: reject })
        }),
    )
    assert.deepEqual(await reopen('sealed'), [false, 0])
  } finally {
    await app.close()
  }
})
