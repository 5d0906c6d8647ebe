/** Compares users. The event `change` and the hooks of the bindings report another user by this rule. */
import type { Session } from '../generated/session.js'

/**
 * Returns a function to call with each session of a page, or with `null`. It returns true if the session belongs to
 * another user than the last session before it.
 */
export const createUserComparison = (): ((session: Session | null) => boolean) => {
  let user: string | number | undefined
  return (session) => {
    const before = user
    // Without `sub`, every login counts as another user's.
    user = session?.claims.sub ?? session?.startedAt ?? user
    return !!before && before !== user
  }
}
