/** The change of the user, which the bindings' hooks report. */
import type { Auth } from '../page/auth/auth.js'
import { createUserComparison } from '../page/user-comparison.js'

/**
 * Calls `listener` each time a session of another user begins, compared with the last session that this page has seen.
 * Returns a function that ends the subscription.
 */
export const subscribeToUserChange = (auth: Pick<Auth, 'subscribe'>, listener: () => void): (() => void) => {
  const isOtherUser = createUserComparison()
  return auth.subscribe(({ session }) => {
    if (isOtherUser(session)) listener()
  })
}
