/**
 * The states of a frame until it accepts or refuses the page, and the transitions between them.
 *
 * ```text
 *             loaded                        here
 *   loading ──────────▶ loaded ⟲ unheard  ──────────▶ open
 *      ▲ │               │ │
 *      └─┼────silent─────┘ └──refused, violated, late──▶ failed
 *        └──violated, late──▶ failed
 * ```
 *
 * This file performs no I/O: connect-frame.ts carries out the effects.
 */

export interface State {
  /** `loading`: no document has loaded. `loaded`: the document has not responded as a vault's frame. */
  readonly is: 'loading' | 'loaded' | 'open' | 'failed'
  readonly href: string
  /** The number of documents that have loaded. */
  readonly loads: number
}

export type Event =
  /** A document has loaded in the element: the vault's frame, or another page. */
  | { t: 'loaded' }
  /** It is time to repeat the handshake, because the frame's script may run after the `load` event. */
  | { t: 'unheard' }
  /** The document has not responded for a while. */
  | { t: 'silent' }
  /** The frame accepts the page. */
  | { t: 'here' }
  /** The frame refuses the page. */
  | { t: 'refused'; code: string; message: string }
  /** The page's policy forbids an address. */
  | { t: 'violated'; directive: string; address: string }
  /** The time limit has passed. */
  | { t: 'late' }

export type Effect =
  /** Sends the handshake. The frame accepts only the first one. */
  | readonly ['greet']
  /** Sets timers for `unheard`, and for `silent` after these milliseconds. */
  | readonly ['watch', number]
  /** Ends the timers, ignores responses of this document from now on, and loads the frame again. */
  | readonly ['reload']
  /** Ends timers and listeners, and keeps the frame. */
  | readonly ['open']
  /** Ends timers and listeners, and removes the frame. */
  | readonly ['fail', code: string, message: string]

/**
 * Milliseconds from each load of a frame to the next load, while the frame does not respond: a server's later response may
 * be better. The last value counts for all further loads.
 */
const RELOAD_DELAYS = [1000, 2000, 4000]

/** Returns the state after an event, and the effects to carry out in this order. */
export const next = (state: State, event: Event): [State, ...Effect[]] => {
  const { is, href, loads } = state
  const fail = (code: string, message: string): [State, Effect] => [
    { ...state, is: 'failed' },
    ['fail', code, message],
  ]
  if (is === 'open' || is === 'failed') return [state]
  switch (event.t) {
    case 'loaded':
      return [
        { ...state, is: 'loaded', loads: loads + 1 },
        ['greet'],
        ['watch', RELOAD_DELAYS[Math.min(loads, RELOAD_DELAYS.length - 1)]!],
      ]
    case 'unheard':
      return [state, ['greet']]
    case 'silent':
      return [{ ...state, is: 'loading' }, ['reload']]
    case 'here':
      return [{ ...state, is: 'open' }, ['open']]
    case 'refused':
      return fail(event.code, event.message)
    case 'violated': {
      const isFrame = /^(frame|child|default)-src$/.test(event.directive)
      const isOwn = [href, new URL(href).origin].includes(event.address)
      if (!isFrame || !isOwn) return [state]
      return fail('frame_blocked', `the page's own policy (${event.directive}) forbids ${href}`)
    }
    case 'late':
      return loads
        ? fail('frame_blocked', `what came from ${href} does not respond as a vault's frame`)
        : fail('frame_timeout', `nothing has come from ${href} within the time limit`)
  }
}
