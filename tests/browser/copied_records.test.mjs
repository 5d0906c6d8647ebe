// Script copies the stored record of a session, and puts it back after the session has ended. The vault that has stored the
// end refuses the session, also if another user has signed in since. A vault that starts later does not know the end.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { booted, call, signIn, signInByPopup, startApp } from '../support/app.mjs'
import { openWithEscrow, serveEscrow } from '../support/escrow.mjs'

const time = { timeout: 60_000 }

const CONFIGS = {
  sealed: { session: { persist: 'sealed' } },
  'sealed, logout: forget': { session: { persist: 'sealed' }, accounts: 2, logout: 'forget' },
  escrow: { session: { persist: 'escrow' } },
}

let app

before(async () => {
  app = await startApp({ extendedLifetime: false, provider: { accessTokenSeconds: 300 } })
  serveEscrow(app)
})
after(() => app?.close())

/**
 * Script of the page: `copyRecord()` copies the session's record to a database of its own, and `putBack()` puts it back and
 * tells the vaults.
 */
const SCRIPT = () => {
  const use = async (name, mode, act) => {
    const opening = indexedDB.open(name)
    opening.onupgradeneeded = () => opening.result.createObjectStore('logins', { keyPath: 'name' })
    const db = await new Promise((resolve) => (opening.onsuccess = () => resolve(opening.result)))
    const transaction = db.transaction('logins', mode)
    const request = act(transaction.objectStore('logins'))
    await new Promise((resolve) => (transaction.oncomplete = resolve))
    db.close()
    return request.result
  }
  const record = async (name) => {
    const records = await use(name, 'readonly', (store) => store.getAll())
    return records.find((one) => one.name.startsWith('session '))
  }
  globalThis.copyRecord = async () => {
    const copied = await record('strongroom')
    await use('copies', 'readwrite', (store) => store.put(copied))
  }
  globalThis.putBack = async () => {
    const copied = await record('copies')
    await use('strongroom', 'readwrite', (store) => store.put(copied))
    const channel = new BroadcastChannel(copied.name)
    channel.postMessage(0)
    return channel
  }
  /** Resolves when a vault has stored something else. */
  globalThis.putBackUntilReplaced = async () => {
    const channel = await putBack()
    await new Promise((resolve) => (channel.onmessage = resolve))
    channel.close()
  }
  globalThis.sizeOfRecord = async () => (await record('strongroom')).sealed.byteLength
}

/** Opens a page whose user is signed in, and copies the record. */
async function openCopied(config) {
  app.setConfig(config)
  const isEscrow = config.session.persist === 'escrow'
  const page = isEscrow ? await openWithEscrow(app) : await app.open()
  await signIn(page)
  await page.evaluate(SCRIPT)
  await page.evaluate(() => copyRecord())
  return page
}

const user = (page) => page.evaluate(() => auth.session?.claims.sub)
const sizeOf = (page) => page.evaluate(() => sizeOfRecord())

for (const [name, config] of Object.entries(CONFIGS)) {
  // claim: script-46
  test(`a copied record does not undo a logout: ${name}`, time, async () => {
    const page = await openCopied(config)
    const before = await sizeOf(page)
    await page.evaluate(() => auth.logout())
    const ofEnd = await sizeOf(page)
    assert.ok(ofEnd < before, 'the end is shorter than a session')
    await page.evaluate(() => putBackUntilReplaced())
    assert.equal(await sizeOf(page), ofEnd)
    assert.equal(await user(page), undefined)
    const { error } = await call(page, `${app.api.url}orders`)
    assert.equal(error.code, 'login_required')
    // The vault of the next page reads the end.
    await page.reload()
    await booted(page)
    assert.equal(await user(page), undefined)
    await page.context().close()
  })

  // claim: script-46
  test(`a copied record does not replace a later user: ${name}`, time, async () => {
    const page = await openCopied(config)
    await page.evaluate(() => auth.logout())
    await signInByPopup(page, { prompt: 'login' }, ACCOUNTS[1])
    assert.equal(await user(page), 'bob')
    await page.evaluate(() => putBackUntilReplaced())
    assert.equal(await user(page), 'bob')
    await page.reload()
    await booted(page)
    assert.equal(await user(page), 'bob')
    await page.context().close()
  })

  // The memory is that of one vault.
  // claim: script-30
  test(`a later vault continues the copied session: ${name}`, time, async () => {
    const page = await openCopied(config)
    const other = await app.open('/empty', page.context())
    await other.evaluate(SCRIPT)
    await page.evaluate(() => auth.logout())
    // The worker ends with its only page.
    await page.goto('about:blank')
    await other.evaluate(async () => void (await putBack()))
    await page.goto(app.site.origin)
    await booted(page)
    assert.equal(await user(page), 'alice')
    await page.context().close()
  })
}
