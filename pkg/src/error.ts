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

/** What cannot be done here; the message says what is missing. */
export const unsupported = (what: string): StrongroomError =>
  compose('unsupported', what, 'See the message for what is missing.')

/** A message of the core's without its texts. */
export const unspelt = (message: string): string => message.replace(/\p{Co}/gu, '…')
