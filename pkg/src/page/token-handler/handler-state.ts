/**
 * The page's view of its session with a token handler. To session-state.ts it adds the events that only this client has: the
 * responses of the handler, and the announcements of other tabs.
 *
 * This file performs no I/O: handler-session.ts passes the events, and carries out the effects.
 */
import type { EndReason, Session } from '../api.js'
import type { TraceEvent } from '../../protocol/messages.js'
import * as shared from '../session-state.js'

export interface HandlerState extends shared.SessionState {
  /** The end reason that another tab has announced. */
  readonly announced: EndReason | null
  /** A number that increases when the session ends without a read. The response to an earlier read is then outdated. */
  readonly epoch: number
}

/**
 * A tab's announcement to other tabs: when its session began, and why its last session ended. A tab with a different
 * session reads the session again.
 */
export interface TabMessage {
  startedAt: number | null
  reason: EndReason | null
}

export type HandlerStateEvent =
  /** The response to a read that began in `epoch`. */
  | { t: 'read'; epoch: number; session: Session | null; reason?: EndReason | undefined }
  /** The response to a request of the session that began at `startedAt` says that this session has ended. */
  | { t: 'denied'; startedAt: number | undefined; reason?: EndReason | undefined }
  /** The provider needs the user before it issues another token for the session that began at `startedAt`. */
  | { t: 'interaction'; startedAt: number | undefined }
  /** The session ends in `left` milliseconds, unless the user is active. The app is warned `notice` milliseconds before. */
  | { t: 'checked'; left: number; notice: number }
  /** Another tab has another session, or the popup of a login has ended (0). */
  | { t: 'tab'; message: TabMessage | 0 }
  | Extract<shared.SessionEvent, { t: 'refused' | 'gone' }>

export type HandlerEffect =
  | shared.Effect
  | readonly ['trace', TraceEvent['event'], string | null]
  /** Ends everything that belongs to the old session, such as its sockets, and announces the new session to other tabs. */
  | readonly ['replaced', EndReason | null]
  /** Sets the timer for the next check of the limits. */
  | readonly ['timer']
  /** Reads the session. */
  | readonly ['read']
  /** Reads the session, repeatedly until a read succeeds. `isPopup`: because the popup of a login has ended. */
  | readonly ['news', isPopup: boolean]
  /** Reads the session again if a read is in flight, because the response to that read no longer counts. */
  | readonly ['read again']

export const START: HandlerState = { ...shared.START, announced: null, epoch: 0 }

/** Returns the state after an event, and the effects to carry out in this order. */
export const next = (state: HandlerState, event: HandlerStateEvent): [HandlerState, HandlerEffect[]] => {
  const { session, reason, isExpiring } = state
  switch (event.t) {
    case 'read':
      return event.epoch === state.epoch ? adopt(state, event.session, event.reason) : [state, []]
    case 'denied': {
      if (!session) return [state, []]
      if (event.startedAt !== session.startedAt) return [state, [['read']]]
      const [after, effects] = adopt({ ...state, epoch: state.epoch + 1 }, null, event.reason)
      return [after, [...effects, ['read again']]]
    }
    case 'interaction': {
      const [noted] = next(state, { ...event, t: 'refused' })
      if (session?.startedAt !== event.startedAt || session?.state !== 'active') return [noted, []]
      return on(noted, {
        t: 'session',
        session: { ...session, state: 'interaction_required' },
        reason,
        isExpiring,
      })
    }
    case 'checked': {
      const isNear = event.left <= event.notice
      const [warned, effects] =
        isNear && !isExpiring && session
          ? on(state, { t: 'expiring', at: Math.min(session.expiresAt, session.idleExpiresAt) })
          : [state, []]
      return [{ ...warned, isExpiring: isNear }, [...effects, ['timer']]]
    }
    case 'tab': {
      const { message } = event
      if (message && message.startedAt === (session?.startedAt ?? null)) return [state, []]
      return [{ ...state, announced: message ? message.reason : null }, [['news', !message]]]
    }
    default:
      return on(state, event)
  }
}

/** Passes an event to the shared state. */
const on = (state: HandlerState, event: shared.SessionEvent): [HandlerState, HandlerEffect[]] => {
  const [after, ...effects] = shared.next(state, event)
  return [{ ...state, ...after }, effects]
}

/** Adopts the handler's session. `endReason` is the reason that the handler gives for the end of the last session. */
const adopt = (
  state: HandlerState,
  session: Session | null,
  endReason: EndReason | null = null,
): [HandlerState, HandlerEffect[]] => {
  const before = state.session
  const isSame = before?.startedAt === session?.startedAt
  // If neither the handler nor another tab gives a reason, the browser or its user has removed the cookie.
  const reason = before && !session ? (endReason ?? state.announced ?? 'storage_lost') : null
  const isExpiring = isSame && state.isExpiring
  const [told, changes] = on(state, { t: 'session', session, reason, isExpiring })
  const effects: HandlerEffect[] = []
  if (!isSame) {
    effects.push(['replaced', told.reason])
    if (before && !session) effects.push(['trace', 'session_ended', told.reason])
    if (!before && session) effects.push(['trace', 'login_completed', null])
  } else if (before && session && session.accessTokenExpiresAt > before.accessTokenExpiresAt) {
    effects.push(['trace', 'refresh_completed', null])
  }
  effects.push(['timer'])
  const written = ({ session, reason }: HandlerState) => JSON.stringify([session, reason])
  if (written(told) !== written(state)) effects.push(...changes)
  // A read that began before the announcement may still show the session.
  return [{ ...told, announced: isSame ? state.announced : null }, effects]
}
