/**
 * The states of a page's connection to a vault, and the transitions between them.
 *
 * ```text
 *                    left                                arrived             idle
 *   connecting ⇄ suspended                   connected ───────────▶ retiring ─────▶ closed
 *       │         restored                  left ⇅ restored
 *       ├──ready──▶ connected ⟲ robbed         away
 *       │             │    └──stopped──▶ updating ──arrived──▶ closed
 *       │           ended                   │ unreplaced
 *       │             ▼                     ▼
 *       └──ended──▶ failed ◀────────────────┘
 *                   │    ▲
 *           reconnect    unreplaced
 *                   ▼    │
 *                  replacing ──arrived──▶ closed
 * ```
 *
 * `close` leads from every state of a connected client to `closed`.
 *
 * The successor of a connection is another connection with its own state, which begins as `connecting`. The client uses
 * the successor as soon as the connection carries out the effect `adopt`. Until then, the page ignores what the
 * successor's vault announces.
 *
 * This file performs no I/O: connection.ts and connect.ts carry out the effects.
 */
import type { StrongroomError } from '../errors/error.js'
import { ownOf } from '../../protocol/own.js'

/** Creates the error with which requests fail after the end of a connection. */
export type Why = () => Promise<StrongroomError>

/** The state of a connection. */
export type State =
  /** The handshake is in flight, and `connect()` waits for it. */
  | { is: 'connecting'; why?: undefined }
  /** The user left the page before the vault's response. The page may come back from the back-forward cache. */
  | { is: 'suspended'; why?: undefined }
  /**
   * The vault serves the page. If the vault is outdated, a successor may be on its way. If the page was away, its
   * requests follow the next handshake at once.
   */
  | { is: 'connected'; why?: undefined }
  /** The user left the page. The page may come back from the back-forward cache. */
  | { is: 'away'; why?: undefined }
  /** The page has moved to a newer vault. Requests in flight finish with the old vault. */
  | { is: 'retiring'; why?: undefined }
  /** The vault is gone. Waits for a call of `reconnect()`. */
  | { is: 'failed'; why: Why }
  /** A call of `reconnect()` is in flight. */
  | { is: 'replacing'; why: Why }
  /** The vault has stopped because it is outdated, and the page connects to a newer vault by itself. */
  | { is: 'updating'; why: Why }
  /** The page has closed the connection, or uses another one instead. */
  | { is: 'closed'; why?: Why }

/** An event. `ended`, `stopped`, `idle` and `close` come with an error. */
export type Event =
  /** The vault has responded to the handshake. */
  | 'ready'
  /** The vault or its file has failed, the worker has ended, or the time limit of the handshake has passed. */
  | 'ended'
  /** The vault has stopped because it is outdated. */
  | 'stopped'
  /** The vault says that it is outdated, and continues for a while. */
  | 'outdated'
  /** The successor's vault has responded. */
  | 'arrived'
  /** No worker could be made in place of the one that is gone, or its vault does not respond. */
  | 'unreplaced'
  /** The time limit of a replacement has passed. */
  | 'late'
  /** No request is in flight. */
  | 'idle'
  /** Script of the origin has stolen the page's lock, so the vault takes the page for gone. */
  | 'robbed'
  /** The user has left the page. */
  | 'left'
  /** The page came back from the back-forward cache. */
  | 'restored'
  /** The app has called `reconnect()`. */
  | 'reconnect'
  /** The app has called `close()`. */
  | 'close'

/** An effect. The connection carries it out, or the client, or first the connection and then the client. */
export type Effect =
  /** Opens a port, and sends the handshake. Requests of an earlier port have failed. */
  | 'greet'
  /** Ends the time limit of the handshake, and resolves `connect()`. */
  | 'open'
  /** Closes the port, and releases the locks. */
  | 'leave'
  /** Closes the port, and fails all requests. The client forgets the session, without an event. */
  | 'end'
  /** Closes the port, fails all requests, and ends the worker or removes the frame. */
  | 'part'
  /** Rejects `connect()`, and emits `failed`. Also emits `change` if a session was shown. */
  | 'report'
  /** Emits `change` without a session. */
  | 'hide'
  /** Checks if a request is in flight. */
  | 'drain'
  /** Opens a connection to a newer vault if there is one, while this vault serves the page. */
  | 'move'
  /** Waits for the worker to end, and opens a connection to the vault of another worker. */
  | 'replace'
  /** Lets the client use the successor. */
  | 'adopt'
  /** Closes the successor. */
  | 'discard'

type Name = State['is']
type Row = readonly [Name, ...Effect[]]

const OPEN: Row = ['connected', 'open']
const FAIL: Row = ['failed', 'end', 'report']
const CLOSE: Row = ['closed', 'end']
const PART: Row = ['closed', 'part']
const ADOPT: Row = ['closed', 'adopt']

/** The next state and the effects, by state and event. */
const TRANSITIONS: Record<Name, Partial<Record<Event, Row>>> = {
  connecting: {
    ready: OPEN,
    ended: FAIL,
    stopped: FAIL,
    robbed: ['connecting', 'leave', 'greet'],
    left: ['suspended', 'leave'],
  },
  suspended: { restored: ['connecting', 'greet'] },
  connected: {
    ready: OPEN,
    outdated: ['connected', 'move'],
    arrived: ['retiring', 'adopt', 'drain'],
    ended: FAIL,
    stopped: ['updating', 'end', 'replace'],
    robbed: ['connected', 'leave', 'greet'],
    left: ['away', 'leave'],
    close: CLOSE,
  },
  away: { restored: ['connected', 'greet'], close: CLOSE },
  retiring: { idle: PART, ended: PART, stopped: PART, robbed: PART, left: PART, close: PART },
  failed: { reconnect: ['replacing', 'replace'], close: CLOSE },
  replacing: { arrived: ADOPT, unreplaced: ['failed'], close: CLOSE },
  updating: { arrived: ADOPT, unreplaced: ['failed', 'report'], late: ['updating', 'hide'], close: CLOSE },
  closed: {},
}

/**
 * Returns the state after an event, and the effects to carry out in this order. A state ignores events that it does not
 * list, except that no caller waits for a successor that arrives too late.
 *
 * @param why The event's error. Default: the error of the state before.
 */
export const transition = (state: State, event: Event, why = state.why): [State, Effect[]] => {
  const [is, ...effects] = ownOf(TRANSITIONS[state.is])[event] ?? []
  if (is) return [{ is, why } as State, effects]
  return [state, event === 'arrived' ? ['discard'] : []]
}
