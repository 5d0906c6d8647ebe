/** Errors in words, which are loaded when there is something to say. */
import { StrongroomError, unspelt } from './error.js'

/** Seconds after which an error is thrown without its words. */
const PATIENCE = 2

/** Resolves with `undefined` if the words cannot be had: being offline is an error too. */
const loadWords = (): Promise<typeof import('./words.js') | void> =>
  Promise.race([
    import('./words.js').catch(() => {}),
    new Promise<void>((resolve) => setTimeout(resolve, PATIENCE * 1000)),
  ])

/**
 * An error to throw: what happened, and what to do.
 *
 * @param message What happened, with the core's texts coded. Default: the text that the code has by itself.
 */
export const inWords = async (code: string, message = ''): Promise<StrongroomError> => {
  const words = await loadWords()
  return new StrongroomError(
    code,
    words ? words.sentences(code, message) : `${code}: ${unspelt(message)} (its text could not be loaded)`,
  )
}

/** Rejects with the error. */
export const refuse = async (code: string, message?: string): Promise<never> => {
  throw await inWords(code, message)
}

/** A detail of an event. */
export const spell = async (detail: string): Promise<string> =>
  (await loadWords())?.spell(detail) ?? unspelt(detail)
