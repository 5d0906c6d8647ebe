/**
 * Creates errors with their messages. Every page has this file. The messages themselves are in error-messages.ts, which a
 * page loads when it first needs one.
 */
import { StrongroomError, withoutInterned } from './error.js'
import { EXPLANATION, loadExplanation } from '../load.js'
import { fileErrors } from './file-errors.js'
import { NO_FILE, PLATFORM } from '../../protocol/message-keys.js'

/** True if the error messages are still loading after the time limit. The next error then does not wait. */
let isLate = false

/**
 * Resolves with the result of `describe`, which is called with the messages. Resolves with `undefined` if the messages
 * cannot be loaded within the time limit, or if `describe` throws.
 */
const loadInTime = (
  describe: (messages: typeof import('./error-messages.js')) => string,
): Promise<string | void> =>
  new Promise((resolve) => {
    const late = () => {
      isLate = true
      resolve()
    }
    const timer = setTimeout(late, isLate ? 0 : EXPLANATION * 1000)
    const settle = (text: string | void) => {
      clearTimeout(timer)
      isLate = false
      resolve(text)
    }
    loadExplanation(() => import('./error-messages.js'), 'describeError')
      .then(describe)
      .then(settle, () => settle())
  })

/**
 * Creates an error whose message says what happened and how to fix it.
 *
 * @param message The message, in which short codes may stand for interned strings. Default: the message for `code`.
 */
export const createError = async (code: string, message = ''): Promise<StrongroomError> => {
  const text = await loadInTime((messages) => messages.describeError(code, message))
  return new StrongroomError(
    code,
    text ?? `${code}: ${withoutInterned(message)} (its text could not be loaded)`,
  )
}

/** Rejects with the error that `createError` creates. */
export const refuse = async (code: string, message?: string): Promise<never> => {
  throw await createError(code, message)
}

/**
 * Rejects with `error`. An error of the platform has no `code`, or a number. It becomes `worker_failed` if a file could not
 * be loaded or a worker could not be created, and otherwise `unsupported`. Its message then begins with `why`.
 */
export const rejectTyped = (error: any, why = fileErrors.has(error) ? NO_FILE : PLATFORM): Promise<never> =>
  typeof error.code === 'string'
    ? Promise.reject(error)
    : refuse(why === PLATFORM ? 'unsupported' : 'worker_failed', why + error.message)

/** Expands the interned strings in a message. */
export const expandMessage = async (message: string): Promise<string> =>
  (await loadInTime((messages) => messages.expandMessage(message))) ?? withoutInterned(message)
