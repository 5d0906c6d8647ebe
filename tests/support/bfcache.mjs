/**
 * Pages in Chromium's back-forward cache. Once in about a hundred times on a busy machine Chromium 156 does not keep
 * what it could: it loads the page anew, or ends the page's shared worker. A scene about what was kept is played
 * again then.
 */
import assert from 'node:assert/strict'

/** The driver's default is to have no such cache. */
export const WITH_CACHE = { ignoreDefaultArgs: ['--disable-back-forward-cache'] }

/** How often a scene is played at most. */
export const TAKES = 3

/** Thrown in a scene where the browser has not kept what was left. */
export class NotKept extends Error {}

/** A scene that is played again if something was not kept, with the number of its take. */
export const played = (scene) => async () => {
  for (let take = 1; ; take++) {
    try {
      return await scene({ isLast: take === TAKES })
    } catch (error) {
      if (!(error instanceof NotKept) || take === TAKES) throw error
      console.log(`once more, because ${error.message}`)
    }
  }
}

/** So that a page can be told from a new one at its address. */
export const mark = (page) => page.evaluate(() => void (globalThis.mark = 'the same'))

/** Presses the browser's button, and is at the page that was marked. */
export async function goBack(page) {
  await page.goBack({ waitUntil: 'commit' })
  if ((await page.evaluate(() => globalThis.mark)) !== 'the same')
    throw new NotKept('the page was not in the cache')
}

/** The same, and the page's vault is there. */
export async function comeBack(page) {
  await goBack(page)
  // The vault refuses that, and sends nothing.
  const code = await page.evaluate(
    async () => globalThis.room && (await settle(room.fetch('/no/api'))).error.code,
  )
  assert.notEqual(code, 'worker_timeout')
  if (code === 'vault_crashed') throw new NotKept('the worker was ended in the cache')
}
