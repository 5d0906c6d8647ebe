import type { StrongroomErrorLike } from '../api.js'
import type { Code } from '../../generated/codes.js'
import type { Demand } from '../../protocol/messages.js'

/**
 * An error that is not a network error. `message` says what happened and how to fix it, and never contains a secret.
 */
export class StrongroomError extends Error {
  override readonly name = 'StrongroomError'
  /** With `step_up_required` and `insufficient_scope`: options of the login that the API asks for. */
  declare login?: Demand
  /** On errors of `handleCallback()`: see `StrongroomErrorLike`. */
  declare returnTo?: string
  /** With `login`, on errors of `auth.fetch`: see `StrongroomErrorLike`. */
  declare stepUp?: StrongroomErrorLike['stepUp']
  /** The stable identifier of the error, which is never renamed or reused. docs/errors.md lists all codes. */
  readonly code: Code

  /** @param code A {@link Code}. A newer worker may report a code that this version does not know. */
  constructor(code: string, message: string) {
    super(message)
    this.code = code as Code
  }
}

/** Creates an error for an operation that is not supported here. */
export const unsupported = (what: string): StrongroomError => new StrongroomError('unsupported', `${what}.`)

/** Returns a message of the core with `…` in place of each interned string. */
export const withoutInterned = (message: string): string => message.replace(/[\x01-\x07]./g, '…')
