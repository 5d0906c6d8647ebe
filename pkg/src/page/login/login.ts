/**
 * The page's part of a login: sends the page or a popup to the provider, lets the app open the provider's page, or gives
 * the app the code that the user types in on another device. A page loads this file while it connects to its vault.
 */
import { ownPath, showUrl, withoutResponse, type webUrl as WebUrl } from '../address.js'
import type { CallbackResult, LoginOptions } from '../api.js'
import type { DeviceCode } from '../../protocol/messages.js'
import type { Connection, Ready } from '../connection/connection.js'
import { awaitLogin, type PendingLogin } from './await-login.js'
import { openByApp } from './custom-login.js'
import { isForeignFrame, POPUP_IN_FRAME } from './foreign-frame.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { AWAY, takeNote, writeNote, type LoginNote } from './note.js'
import { follow } from './popup-login.js'
import { NO_TIME_LIMIT } from '../../protocol/message-keys.js'
import { isTimeLimit } from '../time-limit.js'
import { ownOf } from '../../protocol/own.js'

export { isForeignFrame } from './foreign-frame.js'
export { follow, settle } from './popup-login.js'

/** The key in sessionStorage of the options of this tab's last redirect login, followed by the app's hash. */
const LAST_OPTIONS = 'strongroom.asked '

/**
 * Warns if the redirect URI is outside of the option `base` of Vite's development server, which this page is below: the
 * login would end on Vite's own page, with the code in the address. The script's address tells the base.
 */
const warnOfBase = (redirectUri: string) => {
  // Extensions and the test double have no elements.
  const client = document.querySelector?.<HTMLScriptElement>('script[src$="/@vite/client"]')
  const base = client?.src.slice(0, -'@vite/client'.length)
  if (!base || !location.href.startsWith(base) || redirectUri.startsWith(base)) return
  if (!redirectUri.startsWith(location.origin + '/')) return
  console.warn(
    `strongroom: redirectUri leads to ${redirectUri}, outside of Vite's base (${base}), so the login ends on a page of Vite. Write a path below the base, and register it at the provider.`,
  )
}

/**
 * Everything that a login needs of its page. connect.ts passes its own functions, so that the bundle of this file does
 * not contain copies of them.
 */
interface LoginContext {
  /** The page's URL when the login began. */
  href: string
  /** With `mode: 'popup'`: the window that the click opened, or `null` if the browser blocked the window. */
  popup?: Window | null
  hasSession: () => unknown
  /** Waits for the callbacks that are in flight, and resolves with the result of this client's. */
  callback: () => Promise<CallbackResult | null | undefined>
  refuse: typeof Refuse
  webUrl: typeof WebUrl
  /** Waits until the warnings of the vault are printed. */
  printed: () => unknown
  /** The first message of the vault. */
  ready: Ready
}

/**
 * Begins a login. Resolves when the login is complete. In redirect mode, the browser usually leaves the page before the
 * promise settles.
 *
 * In redirect mode this function first waits for a callback of this page that is in flight, or begins in this turn. A
 * route guard may call `login()` during `handleCallback()`, for example. If the callback succeeds and `options`
 * requires nothing more, no other login starts. If another login started, guard and callback would send the page back
 * and forth forever. It also waits for a callback of another client of this page, which a redirect would cut off.
 */
export const login = async (
  connection: Connection,
  options: LoginOptions = {},
  { href, popup, hasSession, callback, refuse, webUrl, printed, ready }: LoginContext,
): Promise<void> => {
  const {
    signal,
    timeout = 600,
    mode = 'redirect',
    returnTo = href,
    onCode,
    detectClose,
    open,
    ...parameters
  } = options
  // For `onClick={login}`: an event of React contains itself, so it cannot be sent.
  if ((options as Partial<Event>).preventDefault) {
    return refuse('message_invalid', "login() has no option 'isTrusted'")
  }
  // `loginHint` and `uiLocales` are left out, because they may identify the user and must not be stored. They only
  // save the user some typing.
  const demand = JSON.stringify({ ...parameters, loginHint: undefined, uiLocales: undefined })
  if (signal?.aborted) return refuse('login_canceled')
  if (!isTimeLimit(timeout)) return refuse('message_invalid', NO_TIME_LIMIT + timeout)
  if (mode === 'custom' ? typeof open !== 'function' : open) {
    return refuse('message_invalid', "login() takes the option open, a function, with mode: 'custom' only")
  }
  if (mode === 'popup' && isForeignFrame()) return refuse('unsupported', POPUP_IN_FRAME)
  // `t` comes last, because an app may pass parameters of a URL's query as options, and these must not replace `t`.
  const request = { mode, ...parameters, returnTo: ownPath(returnTo, ready.app), t: 'login' } as const
  let id = 0
  const begin = (pending: PendingLogin<void>) => {
    const { end, giveUp, stops } = pending
    const fail = (error: unknown) => end(Promise.reject(error))
    const canceled = () => refuse('login_canceled')
    const go = async (url: URL) => {
      if (open) return void stops.push(openByApp(connection, url, open, giveUp, refuse))
      try {
        writeNote(ready.app, AWAY + request.returnTo, popup ?? window)
        if (!popup) sessionStorage.setItem(LAST_OPTIONS + ready.app, demand)
      } catch {
        // Without the stored options, a guard that asks for a step-up each time causes another login each time.
      }
      if (!popup) {
        await printed()
        return pending.hasEnded || location.assign(url)
      }
      // The popup still shows a page of this origin, so `closed` is reliable. A Cross-Origin-Opener-Policy of the
      // provider cannot make the popup look closed yet.
      if (popup.closed) return giveUp(canceled())
      const byCallbackPage = ready.callbackPage ? refuse : undefined
      stops.push(follow(connection, url, giveUp, detectClose && popup, canceled, byCallbackPage))
      popup.location.assign(url)
    }
    const send = () => {
      if (pending.hasEnded) return
      id = connection.send(
        {
          respond(message) {
            if (message.t === 'done') return end()
            // The message contains the URL of the provider, or the code that the user types in on another device.
            const { url, redirectUri } = message as { url?: string; redirectUri?: string }
            if (redirectUri) warnOfBase(redirectUri)
            url ? go(webUrl(url)).catch(fail) : onCode!(message as DeviceCode)
            return true
          },
          fail,
        },
        request,
      )
    }
    const sendAfterCallback = async () => {
      // Frameworks run the effects of child components first, so a parent component may call `handleCallback()` in this
      // turn.
      await null
      const back = await callback()
      if (back && !('login' in back)) {
        // If another connection has finished the callback, the vault announces the session to this page. The response
        // to `inspect` arrives after this announcement.
        await connection.query({ t: 'inspect' }).catch(() => {})
        if (hasSession() && (demand === '{}' || demand === sessionStorage.getItem(LAST_OPTIONS + ready.app)))
          return end()
      }
      send()
    }
    if (mode === 'redirect') sendAfterCallback().catch(fail)
    else send()
  }
  return awaitLogin(options, popup, refuse, begin, (isBack) => {
    // A user who has come back may go forward again, so the vault keeps the login.
    connection.drop(id, isBack ? undefined : 'cancel')
    if (isBack) takeNote(ready.app)
  })
}

/**
 * Reports the result of the login that the callback page has finished (src/callback/finish-login.ts), or that the user has
 * interrupted by a reload.
 */
export const finished = async (note: string, refuse: typeof Refuse): Promise<CallbackResult | null> => {
  const { code, message, at, returnTo: given }: LoginNote = ownOf(JSON.parse(note))
  if (at && at !== location.href) return null
  // Any script of the origin can write the note.
  let returnTo = '/'
  try {
    returnTo = ownPath(given)
  } catch {}
  if (!code) return { returnTo }
  return refuse(code, message).catch((error) => {
    throw Object.assign(error, { returnTo })
  })
}

/** The parameters of a login that another site begins, besides `iss` (OpenID Connect Core 4). */
const INITIATION_PARAMETERS = ['login_hint', 'target_link_uri']

/**
 * Handles a URL that may be a response without the vault's `state`, or a login that another site begins. Only the vault
 * knows the paths of both. Any other URL is the app's own, and is ignored.
 *
 * @param awaited The path at which the login continues for which this tab has left, if this is the tab's next page. Some
 *   providers leave `state` out of errors, so an error at the redirect URI then belongs to this login.
 */
export const askVault = async (
  connection: Connection,
  url: URL,
  awaited: string | null,
): Promise<CallbackResult | null> => {
  // At the redirect URI, the app may have parameters of its own, such as `iss` or `state`.
  const isAppParameter = !/[?&#](code|error)=/.test(url.search + url.hash)
  if (!isAppParameter && awaited === null) return null
  const clean = () => {
    if (url.href !== location.href) return
    const rest = withoutResponse(url)
    for (const name of INITIATION_PARAMETERS) if (rest.searchParams.has(name)) rest.searchParams.delete(name)
    showUrl(rest)
  }
  const response = await connection.query({ t: 'callback', url: url.href }).catch((error) => {
    const isRefused = /^(issuer_mismatch|message_invalid)$/.test(error.code)
    if ((isAppParameter && !isRefused) || error.code === 'redirect_uri_mismatch') return
    clean()
    // The page must not stay at the redirect URI.
    throw awaited === null ? error : Object.assign(error, { returnTo: awaited })
  })
  if (response?.t !== 'initiated') return null
  clean()
  const { returnTo, signedIn, targetRefused, loginHint } = response
  if (targetRefused) {
    console.warn('strongroom: another site began a login, and its target_link_uri is not a page of this app.')
  }
  // A page in a frame begins no login by itself, because the frame would be redirected. The member `login` also tells
  // sendAfterCallback() that no login was finished.
  const isWanted = !signedIn && parent === window
  return { returnTo, login: isWanted ? { returnTo, ...(loginHint !== null && { loginHint }) } : undefined }
}
