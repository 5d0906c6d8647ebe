/** The user's doing in this page, reported coarsely: what keeps a session from idling. */
import { listen } from './listen.js'

/** Seconds between reports. */
const PAUSE = 15

const EVENTS = ['pointerdown', 'keydown', 'wheel', 'touchmove']

/** Calls `report` when the user does something, at most every fifteen seconds. Returns what ends it. */
export const watchUser = (report: () => void): (() => void) => {
  let last = -Infinity
  const hear = ({ isTrusted, timeStamp }: Event) => {
    if (!isTrusted || timeStamp - last < PAUSE * 1000) return
    last = timeStamp
    report()
  }
  const stops = EVENTS.map((type) => listen(window, type, hear, { passive: true, capture: true }))
  return () => stops.forEach((stop) => stop())
}
