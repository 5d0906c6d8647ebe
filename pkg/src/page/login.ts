/** The page's part of the authorization code flow: it navigates the page or a popup. */
import { ownPath, webUrl } from './address.js'
import type { LoginOptions } from './api.js'
import { inFlight } from './callback.js'
import { listen } from './listen.js'
import type { DeviceCode } from '../protocol/messages.js'
import type { Connection } from './connection.js'
import { refuse } from './error-text.js'

/** The key in sessionStorage of the options of this tab's last redirect login. */
const LAST_OPTIONS = 'strongroom.asked'

/**
 * Begins a login. Resolves when it is complete; in redirect mode the page is gone by then.
 *
 * In redirect mode it first waits for a callback of this page that is in flight, or begins in this turn, such as when a
 * route guard runs during `handleCallback()`. If the callback succeeds and these options ask for no more, nothing else
 * happens. Without this, guard and callback would send the page back and forth forever.
 */
export const login = (
  connection: Connection,
  options: LoginOptions = {},
  hasSession: () => unknown,
): Promise<void> =>
  new Promise((resolve) => {
    const { signal, timeout = 600, mode = 'redirect', returnTo, onCode, detectClose, ...parameters } = options
    // Without the options that only save the user some typing, because they identify the user.
    const demand = JSON.stringify({ ...parameters, loginHint: undefined, uiLocales: undefined })
    const canceled = () => refuse('login_canceled')
    if (signal?.aborted) return resolve(canceled())

    /** Functions that are called when the login ends. */
    const stops: (() => void)[] = []
    const end = (failure?: Promise<never>) => {
      clearTimeout(timer)
      hasEnded = true
      for (const stop of stops) stop()
      popup?.close()
      // A second failure must not be an unhandled rejection.
      failure?.catch(() => {})
      resolve(failure)
    }
    const giveUp = (failure: Promise<never>) => {
      connection.drop(id, 'cancel')
      end(failure)
    }
    const fail = (error: unknown) => end(Promise.reject(error))
    const go = async (url: URL) => {
      if (!popup) {
        try {
          sessionStorage.setItem(LAST_OPTIONS, demand)
        } catch {
          // Without storage, a guard that asks for a step-up each time always gets one.
        }
        return location.assign(url)
      }
      const { follow } = await import('./popup-login.js')
      // It still shows a page of this origin, so no policy of a provider makes it look closed.
      if (popup.closed) return giveUp(canceled())
      stops.push(follow(connection, url, giveUp, detectClose && popup, canceled))
      popup.location.assign(url)
    }
    const request = { t: 'login', mode, ...parameters, returnTo: ownPath(returnTo) } as const
    // In the same turn as the click, or the browser would block the popup. Before the request, since Firefox delivers
    // messages while it opens a window. No popup if the vault is gone.
    const opens = mode === 'popup' && !connection.hasEnded()
    const popup = opens ? window.open('', '_blank', 'popup,width=480,height=640') : null
    // Otherwise the provider's page could navigate the app's page. The cost: a popup that shows the provider's page when
    // the login is canceled stays open, as it does anyway if the provider's policy separates it.
    if (popup) popup.opener = null
    else if (opens) return resolve(refuse('popup_blocked'))
    let id = 0
    let hasEnded = false
    const begin = () => {
      if (hasEnded) return
      id = connection.send(
        {
          respond(message) {
            if (message.t === 'done') return end()
            // The URL of the provider, or the code that the user types in on another device.
            const { url } = message as { url?: string }
            url ? go(webUrl(url)).catch(fail) : onCode!(message as DeviceCode)
            return true
          },
          fail,
        },
        request,
      )
    }
    const beginAfterCallback = async () => {
      // Frameworks run the effects of child components first: `handleCallback()` may follow in this turn.
      await null
      if (await inFlight) {
        // This response arrives after the announcement of the session if another connection has finished the callback.
        await connection.query({ t: 'inspect' }).catch(() => {})
        if (hasSession() && (demand === '{}' || demand === sessionStorage.getItem(LAST_OPTIONS))) return end()
      }
      begin()
    }
    if (mode === 'redirect') beginAfterCallback().catch(fail)
    else begin()
    const timer = setTimeout(() => giveUp(refuse('timeout', '' + timeout)), timeout * 1000)
    if (signal) stops.push(listen(signal, 'abort', () => giveUp(canceled())))

    if (popup) return
    // The user came back by the browser's button, and may go forward again, so the vault keeps the login.
    const back = (event: PageTransitionEvent) => {
      if (!event.persisted) return
      connection.drop(id)
      end(canceled())
    }
    stops.push(listen(window, 'pageshow', back))
  })
