/**
 * A test's scene is repeated if the browser failed, and not the package. Chromium 156 on a busy machine fails in two
 * ways: about once in a hundred times it does not keep a page in its back-forward cache, and about once in thirty times
 * it does not tell a page that the file of its shared worker could not be loaded. The second failure also occurs with
 * pages that do not use the package.
 */

/** The most times that a scene runs. */
const TAKES = 3

/** A scene throws this error when the browser has failed in one of the two ways. */
export class Again extends Error {}

/** Returns a function that runs a scene, and repeats it after an `Again`. */
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

/** Runs a scene until its result is right, at most `TAKES` times. Resolves with the last result. */
export async function mostly(see, isRight) {
  for (let take = 1; ; take++) {
    const outcome = await see()
    if (isRight(outcome) || take === TAKES) return outcome
  }
}

export const mostlyKept = (see) => mostly(see, (outcome) => outcome === 'kept')

/**
 * Returns the error code of a shared worker's failure. Throws `Again` if the browser did not report the failure, so
 * that the vault's handshake timed out.
 */
export const told = (code) => {
  if (code === 'worker_timeout') throw new Again('the browser did not tell that the worker failed')
  return code
}
