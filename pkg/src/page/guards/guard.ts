/** The guard of pages that need a session. A page loads this file when `requireSession()` finds no session. */
import type { LoginOptions, Session } from '../api.js'
import type { Auth } from '../auth/auth.js'
import type { LazyClient } from '../streaming/lazy-target.js'
import { DENIED_IN_FRAME, isForeignFrame } from '../login/foreign-frame.js'
import { whenShown } from '../prerendering.js'
import { needsUser } from './end-reason.js'

/** The sessionStorage key under which a guard stores the times of this tab's last logins, followed by {@link LazyClient.name}. */
const RECENT = 'strongroom.guard '
/**
 * The maximum number of logins that a guard starts within a period, and that period in milliseconds. More logins would
 * indicate a redirect loop.
 */
const MAX_RECENT = 3
const PERIOD = 60_000

const STOPPED = 'requireSession() has begun several logins within a minute, and does not begin another one'
const LOOP_ADVICE =
  'A session is lost if onReturn loads the page again and the worker keeps sessions in memory only: see docs/browsers.md.'
const UNCOUNTED = 'requireSession() begins no login, because it cannot count its logins in sessionStorage'
const ALLOW_STORAGE = 'Allow storage for this site.'

/** Logins in flight. Several guards of a page share one login. */
const inFlight = new WeakMap<Auth, Promise<Session | null>>()

/**
 * Signs the user in by redirect. Resolves with `null` if the user has to decide about a login, if the connection or the
 * login has failed, or if the last logins did not lead to a session that this page can see.
 */
export const signIn = async (
  auth: Auth,
  name: LazyClient['name'] | undefined,
  options?: LoginOptions,
): Promise<Session | null> => {
  await whenShown()
  const { status, session, error, endReason } = auth.state
  if (session || error || status === 'failed' || needsUser(endReason)) return session
  let login = inFlight.get(auth)
  if (!login) {
    if (!record(RECENT + name)) return null
    // The error is in the state, and `login()` has printed it.
    login = auth.login(options).catch(() => null)
    inFlight.set(auth, login)
    login.then(() => inFlight.delete(auth))
  }
  return login
}

/**
 * Records a login. Returns false if there were too many logins within the period, or if the login cannot be recorded.
 */
const record = (key: string) => {
  const now = Date.now()
  try {
    const times: number[] = JSON.parse(sessionStorage.getItem(key) ?? '[]')
    const recent = times.filter((time) => now - time < PERIOD)
    if (recent.length < MAX_RECENT) {
      sessionStorage.setItem(key, JSON.stringify([...recent, now]))
      return true
    }
    console.warn(`strongroom: ${STOPPED}. ${LOOP_ADVICE}`)
  } catch {
    // sessionStorage is denied, or the entry has other content.
    console.warn(`strongroom: ${UNCOUNTED}. ${isForeignFrame() ? DENIED_IN_FRAME : ALLOW_STORAGE}`)
  }
  return false
}
