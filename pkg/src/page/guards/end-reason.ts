/** Rules that depend on the reason why a session ended. */
import type { EndReason } from '../../generated/end-reasons.js'

/**
 * End reasons after which only the user may begin a new session. If the page began a new session by itself, the
 * session's limits would have no effect.
 */
const FINAL = ['logged_out', 'idle', 'absolute', 'session_expired', 'security']

/** Returns true if an app must not sign the user in again without a click. */
export const needsUser = (reason: EndReason | null): boolean => FINAL.includes(reason!)
