/** Finds out if a login has nothing to do, because the user is signed in and the app asks for nothing more. */
import type { LoginOptions, Session } from '../api.js'

/** The options that only say how the user gets to the provider. */
const OF_THE_WAY = ['mode', 'open', 'port', 'signal', 'timeout', 'detectClose']

/**
 * Returns true if `login(options)` may resolve with `session` at once. An option that the provider would see asks for
 * more than a session. So do the option `returnTo`, and a login on another device, which may be for another user.
 *
 * @param neededIn The `startedAt` of the session in which a call was refused because the user is needed.
 */
export const isSignedIn = (
  session: Session | null,
  options: LoginOptions = {},
  isExpiring: boolean,
  neededIn: number | undefined,
): boolean =>
  session?.state === 'active' &&
  !isExpiring &&
  session.startedAt !== neededIn &&
  options.mode !== 'device' &&
  !options.signal?.aborted &&
  Object.entries(options).every(([name, value]) => value === undefined || OF_THE_WAY.includes(name))

/** Returns true if a call was refused because the user has to sign in again, or to grant more. */
export const needsLogin = ({ code, login }: { code: string; login?: unknown }): boolean =>
  code === 'interaction_required' || !!login
