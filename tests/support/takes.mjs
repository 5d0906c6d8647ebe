/**
 * Scenes that are played again where the browser failed them, not the package. What Chromium 156 does on a busy
 * machine: once in about a hundred times it does not keep in its back-forward cache what it could, and once in about
 * thirty, with plain pages too, it does not tell one that the file of its shared worker cannot be loaded.
 */

/** How often a scene is played at most. */
const TAKES = 3

/** Thrown in a scene where the browser has done so. */
export class Again extends Error {}

/** A scene that is played again then. */
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

/** What comes of a scene, `kept` if it does so in one of its takes. */
export async function mostlyKept(see) {
  let outcome
  for (let take = 0; take < TAKES && outcome !== 'kept'; take++) outcome = await see()
  return outcome
}

/** The code of a shared worker's failure, if the browser has told the page of it. */
export const told = (code) => {
  if (code === 'worker_timeout') throw new Again('the browser did not tell that the worker failed')
  return code
}
