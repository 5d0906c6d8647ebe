/**
 * Pages in Chromium's back-forward cache. Where it has reloaded the page, or ended the page's shared worker, a scene
 * about what was kept is played again.
 */
import assert from 'node:assert/strict'
import { Again } from './takes.mjs'

/** The driver's default is to have no such cache. */
export const WITH_CACHE = { ignoreDefaultArgs: ['--disable-back-forward-cache'] }

/** So that a page can be told from a new one at its address. */
export const mark = (page) => page.evaluate(() => void (globalThis.mark = 'the same'))

/** Presses the browser's button, and is at the page that was marked. */
export async function goBack(page) {
  await page.goBack({ waitUntil: 'commit' })
  if ((await page.evaluate(() => globalThis.mark)) !== 'the same')
    throw new Again('the page was not in the cache')
}

/** The same, and the page's vault is there. */
export async function comeBack(page) {
  await goBack(page)
  // The vault refuses that, and sends nothing.
  const code = await page.evaluate(
    async () => globalThis.auth && (await settle(auth.fetch('/no/api'))).error.code,
  )
  assert.notEqual(code, 'worker_timeout')
  if (code === 'vault_crashed') throw new Again('the worker was ended in the cache')
}
