/** The page's wait for the end of a login: time limit, cancellation and closed popups, for vaults and token handlers. */
import type { LoginOptions } from '../api.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { listen } from '../listen.js'

/** A login that the page waits for. */
export interface PendingLogin<T> {
  readonly hasEnded: boolean
  /** Functions that are called when the login ends. */
  readonly stops: (() => void)[]
  /** Ends the login. */
  end(result: T | Promise<never>): void
  /** Ends the login with this failure, and abandons it. */
  giveUp(failure: Promise<never>): void
}

/**
 * Calls `begin`, and waits for the end of the login. `signal`, the time limit and a return by the browser's back button end
 * the login, too. The popup is closed when the login ends.
 *
 * @param popup The popup's window, `null` if the browser blocked it, or `undefined` for a login without one.
 * @param abandon Called before a login is given up. `isBack`: because the user came back to the page.
 */
export const awaitLogin = <T>(
  { signal, timeout = 600 }: LoginOptions,
  popup: Window | null | undefined,
  refuse: typeof Refuse,
  begin: (login: PendingLogin<T>) => void,
  abandon: (isBack: boolean) => void = () => {},
): Promise<T> =>
  new Promise((resolve) => {
    if (popup === null) return resolve(refuse('popup_blocked'))
    const stops: (() => void)[] = []
    let hasEnded = false
    const end = (result: T | Promise<never>) => {
      clearTimeout(timer)
      hasEnded = true
      for (const stop of stops) stop()
      popup?.close()
      // If the promise is settled already, this failure must not become an unhandled rejection.
      Promise.resolve(result).catch(() => {})
      resolve(result)
    }
    const giveUp = (failure: Promise<never>, isBack = false) => {
      abandon(isBack)
      end(failure)
    }
    const timer = setTimeout(() => giveUp(refuse('timeout', '' + timeout)), timeout * 1000)
    if (signal) stops.push(listen(signal, 'abort', () => giveUp(refuse('login_canceled'))))
    const back = ({ persisted }: PageTransitionEvent) => persisted && giveUp(refuse('login_canceled'), true)
    if (!popup) stops.push(listen(window, 'pageshow', back))
    begin({
      get hasEnded() {
        return hasEnded
      },
      stops,
      end,
      giveUp,
    })
  })

/** Milliseconds between checks of a popup. */
const CHECK_INTERVAL = 500

/**
 * The number of checks that must find a popup closed before the login is canceled. A popup also looks closed when it
 * returns to a page whose Cross-Origin-Opener-Policy separates popup and opener. During these checks, five seconds, the
 * script of that page can send its message.
 */
const MIN_CHECKS = 10

/**
 * Calls `closed` when the popup has looked closed for a while, unless `hasCome` resolves with true, because the popup has
 * come back from the provider and has closed itself. Returns a function that ends the checks.
 */
export const watchPopup = (
  popup: Window,
  hasCome: () => Promise<boolean>,
  closed: () => void,
): (() => void) => {
  let checks = 0
  let isOver = false
  const check = async () => {
    if (!popup.closed || ++checks < MIN_CHECKS) return
    clearInterval(timer)
    if (!(await hasCome()) && !isOver) closed()
  }
  const timer = setInterval(check, CHECK_INTERVAL)
  return () => {
    isOver = true
    clearInterval(timer)
  }
}
