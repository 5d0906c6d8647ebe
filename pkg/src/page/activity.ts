/**
 * What happens to this page that the vault should know. The user's doing, reported coarsely, keeps a session from
 * idling; a device that is back brings forward what waits for the network. Chromium tells its workers of neither.
 */
import { listen } from './listen.js'

/** Seconds between reports. */
const REPORT_INTERVAL = 15

/**
 * Calls `report` when the user does something, at most every fifteen seconds, and when the device may have been
 * away. Returns what ends it.
 */
export const watchUser = (report: (what: 'active' | 'woke') => void): (() => void) => {
  let last = -Infinity
  const onActivity = ({ isTrusted, timeStamp }: Event) => {
    if (!isTrusted || timeStamp - last < REPORT_INTERVAL * 1000) return
    last = timeStamp
    report('active')
  }
  const onWake = () => report('woke')
  const listeners = {
    pointerdown: onActivity,
    keydown: onActivity,
    wheel: onActivity,
    touchmove: onActivity,
    online: onWake,
    visibilitychange: onWake,
  }
  const options = { passive: true, capture: true }
  const stops = Object.entries(listeners).map(([type, listener]) => listen(window, type, listener, options))
  return () => stops.forEach((stop) => stop())
}
