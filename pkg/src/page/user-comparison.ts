/** Compares users. The event `change` and the hooks of the bindings report another user by this rule. */
import type { Session } from '../generated/session.js'

/**
 * Returns a function to call with each session of a page, or with `null`. It returns true if the session belongs to
 * another user than the last session before it.
 */
export const createUserComparison = (): ((session: Session | null) => boolean) => {
  let user: string | undefined
  return (session) => {
    const before = user
    user = session?.claims.sub ?? user
    return !!before && before !== user
  }
}
