/** The change of the user, which the bindings' hooks report. */
import type { Session } from '../page/api.js'
import type { Auth } from '../page/auth.js'

/**
 * Calls `listener` each time a session of another user begins, compared with the last session that this page has seen.
 * Returns a function that ends the subscription.
 */
export const watchUser = (auth: Pick<Auth, 'subscribe'>, listener: () => void): (() => void) => {
  let last: Session | null = null
  return auth.subscribe(({ session }) => {
    if (session && last && session.claims.sub !== last.claims.sub) listener()
    last = session ?? last
  })
}
