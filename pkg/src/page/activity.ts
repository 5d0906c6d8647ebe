/**
 * Reports events of the page to the vault, because the vault's worker does not get all of these events itself. Activity
 * of the user extends the idle timeout. When the device is online again or the page is shown, the vault retries failed
 * requests earlier.
 */
import { REPORT_INTERVAL } from '../../glue/constants.js'
import { listen } from './listen.js'

/** A report of a page about its user, its visibility or its device. */
export type Report = 'active' | 'visible' | 'hidden' | 'online' | 'offline'

/**
 * Calls `report` with `active` when the user is active, at most every fifteen seconds, and with the other reports when
 * the page's visibility changes and when the device is online or offline. Returns a function that stops watching.
 */
export const watchUser = (report: (what: Report) => void): (() => void) => {
  let last = -Infinity
  const onActivity = ({ isTrusted, timeStamp }: Event) => {
    if (!isTrusted || timeStamp - last < REPORT_INTERVAL) return
    last = timeStamp
    report('active')
  }
  const listeners = {
    pointerdown: onActivity,
    keydown: onActivity,
    wheel: onActivity,
    touchmove: onActivity,
    online: () => report('online'),
    offline: () => report('offline'),
    visibilitychange: () => report(document.visibilityState),
  }
  const options = { passive: true, capture: true }
  const stops = Object.entries(listeners).map(([type, listener]) => listen(window, type, listener, options))
  return () => stops.forEach((stop) => stop())
}
