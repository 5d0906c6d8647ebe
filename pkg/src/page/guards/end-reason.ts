/** Rules that depend on the reason why a session ended. */
import { type EndReason, FINAL } from '../../generated/end-reasons.js'

/** Returns true if an app must not sign the user in again without a click. */
export const needsUser = (reason: EndReason | null): boolean => FINAL.includes(reason!)
