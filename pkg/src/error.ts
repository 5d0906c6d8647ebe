/** What to do, by code: the same sentences as in src/error.rs, for what begins in the page. */
const advice = {
  closed: 'Call connect() again.',
  login_cancelled: 'Offer to sign in again.',
  popup_blocked: "Call login({ mode: 'popup' }) directly in a click handler, or use mode 'redirect'.",
  timeout: 'Try again.',
  unsupported: 'See the message for what is missing.',
  worker_failed: "Check the worker's URL, its type 'module', and the page's worker-src.",
  worker_timeout: "Check the worker's console; its file must call vault().",
}

/**
 * A refusal, or a failure that is not the network's. `message` says what happened and what to do, and never
 * holds a secret.
 */
export class StrongroomError extends Error {
  override readonly name = 'StrongroomError'
  /** What programs match on: never renamed, never reused. docs/errors.md lists all. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** An error that reads as all do. `what` is a sentence without its full stop, `todo` one with. */
export const compose = (code: string, what: string, todo: string): StrongroomError =>
  new StrongroomError(code, `${what}. ${todo}`)

/** The error for what begins in the page. */
export const failure = (code: keyof typeof advice, what: string): StrongroomError =>
  compose(code, what, advice[code])
