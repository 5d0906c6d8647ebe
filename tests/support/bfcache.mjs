/**
 * Functions for tests of Chromium's back-forward cache. If Chromium has reloaded the page or has ended the page's
 * shared worker, they throw `Again`, and the test's scene is repeated.
 */
import assert from 'node:assert/strict'
import { Again } from './retries.mjs'

/** Launch options. Playwright disables the back-forward cache by default. */
export const WITH_CACHE = { whole: true, ignoreDefaultArgs: ['--disable-back-forward-cache'] }

/** Marks a page, so that a test can distinguish the page from a new page at the same URL. */
export const mark = (page) => page.evaluate(() => void (globalThis.mark = 'the same'))

/** Presses the browser's back button and expects the marked page. */
export async function goBack(page) {
  await page.goBack({ waitUntil: 'commit' })
  if ((await page.evaluate(() => globalThis.mark)) !== 'the same')
    throw new Again('the page was not in the cache')
}

/** Goes back and expects that the page's vault is alive. */
export async function comeBack(page) {
  await goBack(page)
  // The vault responds to this call with an error and sends no request.
  const code = await page.evaluate(
    async () => globalThis.auth && (await settle(auth.fetch('/no/api'))).error.code,
  )
  assert.notEqual(code, 'worker_timeout')
  if (code === 'vault_crashed') throw new Again('the worker was ended in the cache')
}
