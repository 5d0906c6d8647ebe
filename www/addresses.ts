/** The demo's addresses. The build of the static pages replaces this file by static/addresses.ts. */

export const issuer = ISSUER
/** The API's base URL, which ends in `/`. */
export const api = API
export const clientId = CLIENT_ID

/** The page's address, without the response to a login. */
export const home = `${location.origin}/`

export const redirectUri = '/callback'

/** The comparison (local-storage.ts), which has an origin of its own. */
export const comparison = {
  url: `${COMPARISON}/`,
  /** The target of messages to the comparison. */
  origin: COMPARISON,
  clientId: COMPARISON_ID,
  redirectUri: `${location.origin}/callback`,
  isSandboxed: false,
}
