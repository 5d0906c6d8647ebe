/** Errors in words, which are loaded when there is something to say. */
import { StrongroomError, withoutInterned } from './error.js'

/** Seconds after which an error is thrown without its words. */
const TIME_LIMIT = 2

/** They did not come in time, and are still on their way: the next error does not wait for them again. */
let isLate = false

/** What the words say; `undefined` if they cannot be had, or are not these: being offline is an error too. */
const loadInTime = (
  say: (messages: typeof import('./error-messages.js')) => string,
): Promise<string | void> =>
  new Promise((resolve) => {
    const late = () => {
      isLate = true
      resolve()
    }
    const timer = setTimeout(late, isLate ? 0 : TIME_LIMIT * 1000)
    const settle = (text: string | void) => {
      clearTimeout(timer)
      isLate = false
      resolve(text)
    }
    import('./error-messages.js').then(say).then(settle, () => settle())
  })

/**
 * An error to throw: what happened, and what to do.
 *
 * @param message What happened, with the core's texts coded. Default: the text that the code has by itself.
 */
export const createError = async (code: string, message = ''): Promise<StrongroomError> => {
  const text = await loadInTime((messages) => messages.describeError(code, message))
  return new StrongroomError(
    code,
    text ?? `${code}: ${withoutInterned(message)} (its text could not be loaded)`,
  )
}

/** Rejects with the error. */
export const refuse = async (code: string, message?: string): Promise<never> => {
  throw await createError(code, message)
}

/** A detail of an event. */
export const expandMessage = async (detail: string | null): Promise<string | null> =>
  detail && withoutInterned(detail) !== detail
    ? ((await loadInTime((messages) => messages.expandMessage(detail))) ?? withoutInterned(detail))
    : detail
