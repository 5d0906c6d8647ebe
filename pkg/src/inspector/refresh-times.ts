/**
 * The times of refreshes, and of what they waited for. A bug report contains them, so that a model of what happens after
 * a device has slept can be compared with real devices. They have no address.
 */
import type { TraceEvent } from '../page/api.js'

/** Two weeks of a laptop, if its access tokens live for five minutes. */
const LIMIT = 5000

const NAMES: Partial<Record<TraceEvent['event'], string>> = {
  line_doubted: 'doubt',
  line_probed: 'probe',
  refresh_started: 'refresh sent',
  refresh_completed: 'refresh completed',
  refresh_failed: 'refresh failed',
  session_ended: 'session ended',
}

export class RefreshTimes {
  #events: { at: number; what: string }[] = []

  /** Keeps the time of an event, if it concerns a refresh. */
  add(event: TraceEvent): void {
    const name = NAMES[event.event]
    if (!name) return
    const detail = shortDetail(event)
    this.#events.push({ at: event.at, what: detail ? `${name}: ${detail}` : name })
    if (this.#events.length > LIMIT) this.#events.shift()
  }

  /** Returns a line for each event, with the seconds since the first one. */
  report(): string[] {
    const first = this.#events[0]?.at ?? 0
    return this.#events.map(({ at, what }) => `${((at - first) / 1000).toFixed(3)} s ${what}`)
  }
}

/** Returns the detail of an event if it has a few words. Details of warnings are sentences, which name what is wrong. */
export const shortDetail = ({ detail }: TraceEvent): string | null =>
  /^[\w ]{0,80}$/.test(detail ?? '') ? detail : null
