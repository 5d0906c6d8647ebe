/** Finds out if a popup could finish a login of this page. login.ts imports this file statically. */

/** The name of a cookie that exists only while `isForeignFrame` runs. */
const PROBE = 'strongroom.site'

/**
 * Returns true in a frame of another site. The browser gives such a frame a storage of its own, without connection to
 * the popup's page. Only the browser knows which hosts are of one site, and it accepts `SameSite` cookies only there.
 * WebKit also keeps apart the origins of one site.
 */
export const isForeignFrame = (): boolean => {
  // The service worker of an extension has no parent.
  const { parent } = window as Partial<Window>
  if (!parent || parent === window) return false
  try {
    document.cookie = `${PROBE}=1; SameSite=Strict`
    const isSameSite = document.cookie.includes(PROBE)
    document.cookie = `${PROBE}=; Max-Age=0`
    // Reading the origin of a surrounding page throws unless this page has the same origin.
    return !isSameSite || (/^Apple/.test(navigator.vendor) && !top!.location.origin)
  } catch {
    return true
  }
}

/** The refusal of a popup login in such a frame. */
export const POPUP_IN_FRAME =
  "login({ mode: 'popup' }) was called in a frame of another site, whose storage the browser keeps apart from that of the popup, so the popup could not finish the login: open the app in a tab of its own, or embed it only in pages of its own site"

/** Advice for a page in such a frame whose storage the browser denies. */
export const DENIED_IN_FRAME =
  'Open the app in a tab of its own: it is in a frame of another site, where the browser denies it storage, and no popup could finish a login (docs/frames.md).'
