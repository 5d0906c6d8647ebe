/** The vault's errors, in words: those are loaded when there is something to say. */
import { StrongroomError, unspelt } from './error.js'

/** Seconds after which an error is thrown without its words. */
const PATIENCE = 2

/** Resolves with `undefined` if the words cannot be had: being offline is an error too. */
const loadWords = (): Promise<typeof import('./words.js') | undefined> =>
  Promise.race([
    import('./words.js').catch(() => undefined),
    new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE * 1000)),
  ])

/** What the vault refuses or fails with, as an error to throw. */
export const inWords = async (code: string, message: string): Promise<StrongroomError> => {
  const words = await loadWords()
  return new StrongroomError(
    code,
    words ? words.sentences(code, message) : `${unspelt(message)} (the text could not be loaded)`,
  )
}

/** A detail of an event. */
export const spell = async (detail: string): Promise<string> =>
  (await loadWords())?.spell(detail) ?? unspelt(detail)
