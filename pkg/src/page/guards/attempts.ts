/**
 * The attempts of `resume` in this tab, which are recorded before they begin, so that redirect loops cannot occur. No
 * attempt is made if it cannot be recorded, or if another attempt was made shortly before.
 */
import { ownPath } from '../address.js'
import type { Strongroom } from '../api.js'
import { ownOf } from '../../protocol/own.js'

/** The record of an attempt. */
export interface Attempt {
  /** Milliseconds since the Unix epoch. */
  at: number
  /** The path of the page. */
  returnTo: string
  /** The `state` of the attempt's authorization request, which the response repeats. */
  state?: string | null
  /** True if the attempt succeeded. */
  isDone?: boolean
}

/** In sessionStorage, followed by the app's hash: the last attempt of this tab. Apps of one origin share storage. */
const ATTEMPT = 'strongroom.resume'
/** In localStorage: the times of the last attempts of all tabs and apps, since an app may clear its sessionStorage. */
const RECENT = 'strongroom.recent'
/** The maximum number of attempts of all tabs in a minute. */
const MAX_RECENT = 6

/** The minimum number of seconds until the next attempt: after a failed attempt, and after a successful one. */
const PAUSE = 300
const SHORT_PAUSE = 10

const keyOf = (app: number) => `${ATTEMPT} ${app}`

/**
 * Records an attempt. Returns false if no attempt is allowed.
 *
 * @param app The hash of issuer, client, resource and account that the vault sends.
 */
export const beginAttempt = (app: number): boolean => {
  const now = Date.now()
  const last = lastAttempt(app)
  const pause = last?.isDone ? SHORT_PAUSE : PAUSE
  // Uses the absolute difference, in case the clock was set back.
  if (last && Math.abs(now - last.at) < pause * 1000) return false
  try {
    // No attempt is made in a frame, because the frame itself would be redirected.
    if (parent !== window) return false
    const times: number[] = JSON.parse(localStorage.getItem(RECENT) ?? '[]')
    const recent = times.filter((at) => Math.abs(now - at) < 60_000)
    if (recent.length >= MAX_RECENT) return false
    localStorage.setItem(RECENT, JSON.stringify([...recent, now]))
  } catch {
    return false
  }
  return recordAttempt(app, { at: now, returnTo: ownPath() })
}

/** Returns the last attempt, if its record can be read. */
export const lastAttempt = (app: number): Attempt | null => {
  try {
    const attempt: Attempt | null = JSON.parse(sessionStorage.getItem(keyOf(app))!)
    return attempt && ownOf(attempt)
  } catch {
    return null
  }
}

/** Writes the record. Returns true if the record can be read back. */
export const recordAttempt = (app: number, attempt: Attempt): boolean => {
  const text = JSON.stringify(attempt)
  try {
    sessionStorage.setItem(keyOf(app), text)
    return sessionStorage.getItem(keyOf(app)) === text
  } catch {
    return false
  }
}

/**
 * Deletes the record of a failed attempt when the user has signed in. `resume` writes a new record after a successful
 * attempt.
 */
export const recordLogins = (app: number, auth: Strongroom) => {
  const record = () => {
    const last = auth.session && lastAttempt(app)
    if (last && !last.isDone && !last.state) sessionStorage.removeItem(keyOf(app))
  }
  auth.on('change', record)
  record()
}
