/**
 * The attempts of `resume` in this tab, which are recorded before they begin, so that redirect loops cannot occur. No
 * attempt is made if it cannot be recorded, or if another attempt was made shortly before.
 */
import { ownPath } from './address.js'
import type { Strongroom } from './api.js'

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

/** In sessionStorage: the last attempt of this tab. */
const ATTEMPT = 'strongroom.resume'
/** In localStorage: the times of the last attempts of all tabs, since an app may clear its sessionStorage. */
const RECENT = 'strongroom.recent'
/** The maximum number of attempts of all tabs in a minute. */
const MAX_RECENT = 6

/** The minimum number of seconds until the next attempt: after a failed attempt, and after a successful one. */
const PAUSE = 300
const SHORT_PAUSE = 10

/** Records an attempt. Returns false if no attempt is allowed. */
export const beginAttempt = (): boolean => {
  const now = Date.now()
  const last = lastAttempt()
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
  return recordAttempt({ at: now, returnTo: ownPath() })
}

/** Returns the last attempt, if its record can be read. */
export const lastAttempt = (): Attempt | null => {
  try {
    return JSON.parse(sessionStorage.getItem(ATTEMPT)!)
  } catch {
    return null
  }
}

/** Writes the record. Returns true if the record can be read back. */
export const recordAttempt = (attempt: Attempt): boolean => {
  const text = JSON.stringify(attempt)
  try {
    sessionStorage.setItem(ATTEMPT, text)
    return sessionStorage.getItem(ATTEMPT) === text
  } catch {
    return false
  }
}

/**
 * Deletes the record of a failed attempt when the user has signed in. `resume` writes a new record after a successful
 * attempt.
 */
export const recordLogins = (auth: Strongroom) => {
  const record = () => {
    const last = auth.session && lastAttempt()
    if (last && !last.isDone && !last.state) sessionStorage.removeItem(ATTEMPT)
  }
  auth.on('change', record)
  record()
}
