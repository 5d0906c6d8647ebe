// The vault's database: the worker opens it once, before the vault starts, and closes it if script or another vault deletes it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signInByPopup, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** Tells pages what the worker does with its database, and when its module arrives. */
const WATCHES = `
const seen = []
const channel = new BroadcastChannel('watched')
channel.onmessage = () => channel.postMessage(seen)
const watch = (owner, name) => {
  const genuine = owner[name]
  owner[name] = function (...all) {
    seen.push(name)
    return genuine.apply(this, all)
  }
}
watch(IDBFactory.prototype, 'open')
watch(IDBDatabase.prototype, 'transaction')
watch(WebAssembly, 'compileStreaming')`

/** Resolves with what the worker has done. Runs in the page. */
const watched = () =>
  new Promise((resolve) => {
    const channel = new BroadcastChannel('watched')
    channel.onmessage = ({ data }) => resolve(data)
    channel.postMessage('')
  })

/** Deletes the database as script of the page or another vault does. Runs in the page. */
const deleteDatabase = () =>
  new Promise((resolve, reject) => {
    const deletion = indexedDB.deleteDatabase('strongroom')
    deletion.onsuccess = () => resolve(true)
    deletion.onerror = deletion.onblocked = () => reject(new Error('blocked'))
  })

async function start() {
  const app = await startApp({ config: { session: { persist: 'sealed' } } })
  app.site.files['/library.js'] = WATCHES
  const imports = "import '/library.js'\nimport { vault } from '/strongroom/worker.js'"
  app.setWorker(`${imports}\nvault(${JSON.stringify(app.config)})`)
  return app
}

const opened = (seen) => seen.filter((name) => name === 'open').length

test('the database is opened once, before the module is compiled', time, async () => {
  const app = await start()
  try {
    const page = await app.open()
    await signInByPopup(page)
    const seen = await page.evaluate(watched)
    assert.equal(seen[0], 'open')
    assert.equal(seen[1], 'compileStreaming')
    assert.equal(opened(seen), 1)
    assert.ok(seen.filter((name) => name === 'transaction').length > 2, String(seen))
  } finally {
    await app.close()
  }
})

test('the database can be deleted, and the next session is stored in a new one', time, async () => {
  const app = await start()
  try {
    const page = await app.open()
    await signInByPopup(page)
    assert.ok(await page.evaluate(deleteDatabase))
    await page.evaluate(() => auth.logout())
    await signInByPopup(page)
    assert.equal(opened(await page.evaluate(watched)), 2)
    const names = await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name))
    assert.deepEqual(names, ['strongroom'])
    assert.equal(await page.evaluate(() => auth.session.kept), true)
  } finally {
    await app.close()
  }
})

test('a connection that died silently is replaced, and nothing is deleted', time, async () => {
  const app = await start()
  // From the first session on, each transaction of the first connection fails, as if the browser had lost it.
  app.site.files['/library.js'] = `${WATCHES}
const genuine = IDBDatabase.prototype.transaction
let first
let isDead = false
IDBDatabase.prototype.transaction = function (...all) {
  first ??= this
  if (isDead && this === first) throw new DOMException('lost', 'InvalidStateError')
  return genuine.apply(this, all)
}
watch(IDBFactory.prototype, 'deleteDatabase')
new BroadcastChannel('dies').onmessage = () => (isDead = true)`
  try {
    const page = await app.open()
    await signInByPopup(page)
    await page.evaluate(() => new BroadcastChannel('dies').postMessage(''))
    await page.evaluate(() => auth.logout())
    await signInByPopup(page)
    const seen = await page.evaluate(watched)
    assert.equal(opened(seen), 2)
    assert.ok(!seen.includes('deleteDatabase'), String(seen))
    assert.equal(await page.evaluate(() => auth.session.kept), true)
  } finally {
    await app.close()
  }
})
