/**
 * The note about the last login by redirect of this tab and client, in sessionStorage. The next page of the app takes it.
 *
 * A page that leaves for the provider writes `AWAY` and the path of the login's `returnTo`. A response without `state` counts
 * only if the page has this note. The callback page replaces it by the result of the login (src/callback/finish-login.ts),
 * and so does a page that finishes the login itself, for the case that the user reloads it meanwhile.
 */

/** The key of the note, followed by the hash that the vault sends. Clients and accounts of one origin share sessionStorage. */
const NOTE = 'strongroom.login '

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

/** Writes the client's note, for the tab of `window`. */
export const writeNote = (
  app: number | string | undefined,
  note: string,
  { sessionStorage }: Window = window,
): void => sessionStorage.setItem(NOTE + app, note)

/** Returns the client's note, if there is one. */
export const readNote = (app: number): string | null => sessionStorage.getItem(NOTE + app)

/** Returns the client's note, if there is one, and removes it. */
export const takeNote = (app: number): string | null => {
  try {
    const note = readNote(app)
    sessionStorage.removeItem(NOTE + app)
    return note
  } catch {
    return null
  }
}
