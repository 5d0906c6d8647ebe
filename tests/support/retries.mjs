/**
 * Scenes that are played again if the browser failed, and not the package. Chromium 156 on a busy machine fails in two
 * ways: about one time in a hundred it does not keep a page in its back-forward cache, and about one time in thirty,
 * even with plain pages, it does not tell a page that its shared worker's file could not be loaded.
 */

/** How many times a scene is played at most. */
const TAKES = 3

/** Thrown in a scene when the browser has failed in this way. */
export class Again extends Error {}

/** Wraps a scene so that it is played again after `Again`. */
export const played = (scene) => async () => {
  for (let take = 1; ; take++) {
    try {
      return await scene()
    } catch (error) {
      if (!(error instanceof Again) || take === TAKES) throw error
      console.log(`once more, because ${error.message}`)
    }
  }
}

/** Resolves with the result of a scene; `kept` if one of its takes ends so. */
export async function mostlyKept(see) {
  let outcome
  for (let take = 0; take < TAKES && outcome !== 'kept'; take++) outcome = await see()
  return outcome
}

/** Returns the error code of a shared worker's failure, if the browser reported it. */
export const told = (code) => {
  if (code === 'worker_timeout') throw new Again('the browser did not tell that the worker failed')
  return code
}
