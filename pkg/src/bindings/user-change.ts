/** The change of the user, which the bindings' hooks report. */
import type { Auth } from '../page/auth/auth.js'
import { isOtherUser, userOf } from '../page/session-state.js'

/**
 * Calls `listener` each time a session of another user begins, compared with the last session that this page has seen.
 * Returns a function that ends the subscription.
 */
export const subscribeToUserChange = (auth: Pick<Auth, 'subscribe'>, listener: () => void): (() => void) => {
  let user: ReturnType<typeof userOf>
  return auth.subscribe(({ session }) => {
    const before = user
    user = userOf(session, before)
    if (isOtherUser(before, user)) listener()
  })
}
