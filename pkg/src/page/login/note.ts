/**
 * The note about this tab's last login by redirect, in sessionStorage. The next page of the app takes it.
 *
 * A page that leaves for the provider writes `AWAY` and the path of the login's `returnTo`. A response without `state` counts
 * only if the page has this note. The callback page replaces it by the result of the login (src/callback/finish-login.ts),
 * and so does a page that finishes the login itself, for the case that the user reloads it meanwhile.
 */

const NOTE = 'strongroom.login'

/** The beginning of the note of a page that has left for the provider. No result of a login begins like this. */
export const AWAY = 'away'

/** The result of a login that the callback page has finished. */
export interface LoginNote {
  /**
   * The `state` of the response, by which `resume` recognizes its own attempt. A hash would hide nothing that matters: the
   * page that began the login has seen the `state` in most cases, and the login's record, which the `state` opens, is of
   * use only with the code, which no page of the app gets.
   */
  state: string | null
  /** The path at which the app continues. */
  returnTo: string
  /** The only URL at which the note counts. Without it, the note counts on the tab's next page. */
  at?: string
  /** The error with which the login failed. */
  code?: string
  message?: string
}

/** Writes the note, for the tab of `window`. */
export const writeNote = (note: string, { sessionStorage }: Window = window): void =>
  sessionStorage.setItem(NOTE, note)

/** Returns the note, if there is one. */
export const readNote = (): string | null => sessionStorage.getItem(NOTE)

/** Returns the note, if there is one, and removes it. */
export const takeNote = (): string | null => {
  try {
    const note = readNote()
    sessionStorage.removeItem(NOTE)
    return note
  } catch {
    return null
  }
}
