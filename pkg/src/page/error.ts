import type { StrongroomErrorLike } from './api.js'
import type { Demand } from '../protocol/messages.js'

/**
 * A refusal, or a failure that is not the network's. `message` says what happened and what to do, and never
 * holds a secret.
 */
export class StrongroomError extends Error {
  override readonly name = 'StrongroomError'
  /** With `step_up_required` and `insufficient_scope`: options of the login that the API asks for. */
  declare login?: Demand
  /** On errors of `handleCallback()`: see `StrongroomErrorLike`. */
  declare returnTo?: string
  /** With `login`, on errors of `auth.fetch`: see `StrongroomErrorLike`. */
  declare stepUp?: StrongroomErrorLike['stepUp']
  /** What programs match on: never renamed, never reused. docs/errors.md lists all. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** What cannot be done here; the message says what is missing. */
export const unsupported = (what: string): StrongroomError => new StrongroomError('unsupported', `${what}.`)

/** A message of the core's without its texts. */
export const withoutInterned = (message: string): string => message.replace(/[\x01-\x07]./g, '…')
