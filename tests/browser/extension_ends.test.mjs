// The end of a part of an extension: the offscreen document, the vault's worker, or the service worker during a login.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, giveConsent, waitUntil } from '../support/app.mjs'
import { startExtension } from '../support/extension.mjs'

const time = { timeout: 60_000 }

/** An offscreen document that a test can tell to end the vault's worker, as Chromium does if memory is short. */
const OFFSCREEN = `
import { serveVault } from './extension.js'
let worker
serveVault(() => (worker = new Worker(new URL('./auth.worker.js', import.meta.url), { type: 'module' })))
chrome.runtime.onMessage.addListener((message) => void (message === 'terminate' && worker.terminate()))
`

let extension, background, popup

before(async () => {
  extension = await startExtension({
    config: { session: { persist: 'sealed' } },
    files: { 'offscreen.js': OFFSCREEN },
  })
  background = await extension.background()
  popup = await extension.open()
})
after(() => extension?.close())

const me = () => `${extension.api.url}me`

// claim: extension-4
test('a login that the end of the service worker interrupts can be repeated', time, async () => {
  const interrupted = extension.context.waitForEvent('page')
  background.evaluate(() => settle(auth.login())).catch(() => {})
  const lost = await interrupted
  await extension.stopBackground(popup)
  await lost.close()
  await extension.wakeBackground(popup)
  const opened = extension.context.waitForEvent('page')
  const login = background.evaluate(() => settle(auth.login()))
  await giveConsent(await opened)
  assert.equal((await login).value.claims.sub, 'alice')
})

/** Resolves when `auth` of this page has connected again after `end`. */
async function reconnected(page, end) {
  await page.evaluate(() => states.splice(0))
  await end()
  await waitUntil(page, () => states.includes('connecting') && states.at(-1) === 'alice')
}

test('a session that is kept outlives the offscreen document', time, async () => {
  assert.equal((await call(popup, me())).value.status, 200)
  await reconnected(popup, () => background.evaluate(() => chrome.offscreen.closeDocument()))
  assert.equal((await call(popup, me())).value.status, 200)
  assert.equal((await call(background, me())).value.status, 200)
})

test('a worker that ends is replaced', time, async () => {
  // A vault that ends twice within a minute is not replaced, so that another page has to notice its end.
  const page = await extension.open()
  assert.equal((await call(page, me())).value.status, 200)
  await reconnected(page, () => page.evaluate(() => chrome.runtime.sendMessage('terminate').catch(() => {})))
  assert.equal((await call(page, me())).value.status, 200)
})

// claim: extension-3
test('a page with too many connections loses its own, and not those of others', time, async () => {
  const page = await extension.open()
  assert.equal((await call(page, me())).value.status, 200)
  // Its vaults have ended twice in these tests, so it does not connect by itself.
  await background.evaluate(() => auth.reconnect())
  const greedy = await extension.open()
  const code = await greedy.evaluate(async () => {
    globalThis.held = Array.from({ length: 300 }, () => chrome.runtime.connect({ name: 'strongroom' }))
    return new Promise((resolve) =>
      held[0].onMessage.addListener((message) => {
        if (Array.isArray(message)) resolve(JSON.parse(message[0]).code)
      }),
    )
  })
  assert.equal(code, 'limit_exceeded')
  // The page that was connected before, the service worker, and a new page.
  for (const other of [page, background, await extension.open()]) {
    const { value, error } = await call(other, me())
    assert.equal(value?.status, 200, error?.message)
  }
  assert.equal(await greedy.evaluate(() => held.length), 300)
})
