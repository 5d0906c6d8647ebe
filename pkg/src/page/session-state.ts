/**
 * The session as a page knows it, and the events that change it. Both clients of a page use this state: connect.ts over a
 * vault, and token-handler/handler-state.ts over a token handler.
 *
 * This file performs no I/O: the clients pass the events, and carry out the effects.
 */
import type { EndReason, Events, LoginOptions, Session } from './api.js'

export interface SessionState {
  readonly session: Session | null
  /** The reason why the last session ended. */
  readonly reason: EndReason | null
  /** True if a user is signed in in another vault. */
  readonly elsewhere: boolean
  /** The session of the last event `change`. */
  readonly shown: Session | null
  /** The user of the last session: see {@link userOf}. */
  readonly user?: string | number | undefined
  /** True if the app was told that the session is about to end. */
  readonly isExpiring: boolean
  /** The `startedAt` of the session in which a call was refused because the user is needed. */
  readonly neededIn?: number | undefined
}

/** An event. The first two kinds are also messages of the vault. */
export type SessionEvent =
  /** There is this session, or none. */
  | {
      t: 'ready' | 'session'
      session: Session | null
      reason: EndReason | null
      elsewhere?: boolean | undefined
      isExpiring?: boolean
    }
  /** The session is about to end. */
  | { t: 'expiring'; at: number }
  /** A call was refused because the user is needed. `startedAt` is that of the call's session. */
  | { t: 'refused'; startedAt?: number | undefined }
  /** The session that began at `startedAt` has ended. In another vault, the same session may begin some milliseconds earlier. */
  | { t: 'ended'; startedAt: number; reason: EndReason }
  /** The vault is gone, and perhaps another one takes its place. */
  | { t: 'gone' }
  /** No other vault takes the place of the one that is gone, or it comes late. */
  | { t: 'hidden' }

/** An event for the app, with its detail. */
export type Effect = readonly ['change', Events['change']] | readonly ['expiring', Events['expiring']]

export const START: SessionState = {
  session: null,
  reason: null,
  elsewhere: false,
  shown: null,
  isExpiring: false,
}

/** Returns the state after an event, and the effects. Ignores messages that only newer pages know. */
export const next = (state: SessionState, event: SessionEvent): [SessionState, ...Effect[]] => {
  const { session, reason, elsewhere } = state
  switch (event.t) {
    case 'ready':
    case 'session':
      return change({
        ...state,
        session: event.session,
        // A new vault does not know why the session of the previous vault ended.
        reason: event.session ? event.reason : (event.reason ?? reason),
        elsewhere: event.elsewhere ?? elsewhere,
        isExpiring: !!event.isExpiring,
      })
    case 'expiring':
      return [{ ...state, isExpiring: true }, ['expiring', { at: event.at }]]
    case 'refused':
      return [event.startedAt === session?.startedAt ? { ...state, neededIn: event.startedAt } : state]
    case 'ended':
      return session && session.startedAt <= event.startedAt
        ? change({ ...state, session: null, reason: event.reason })
        : [state]
    case 'gone':
      return [{ ...state, session: null }]
    case 'hidden':
      return change(state)
    default:
      return [state]
  }
}

/** Tells the app of the session in `state`. */
const change = (state: SessionState): [SessionState, Effect] => {
  const { session, reason } = state
  const user = userOf(session, state.user)
  const detail = { session, reason, ...(isOtherUser(state.user, user) && { userChanged: true as const }) }
  return [{ ...state, shown: session, user }, ['change', detail]]
}

/**
 * Returns the user of a session, or that of the last session before if there is no session. Without `sub`, every login
 * counts as another user's.
 */
export const userOf = (session: Session | null, before: SessionState['user']): SessionState['user'] =>
  session?.claims.sub ?? session?.startedAt ?? before

/** Returns true if a session belongs to another user than the last session before it. */
export const isOtherUser = (before: SessionState['user'], user: SessionState['user']): boolean =>
  !!before && before !== user

/** The options of a login that only say how the user gets to the provider. */
const OF_THE_WAY = ['mode', 'open', 'port', 'signal', 'timeout', 'detectClose']

/**
 * Returns true if `login(options)` may resolve with the session at once, because a user is signed in and the app asks for
 * nothing more. An option that the provider would see asks for more than a session. So do the option `returnTo`, and a
 * login on another device, which may be for another user.
 */
export const isSignedIn = (
  { session, isExpiring, neededIn }: SessionState,
  options: LoginOptions = {},
): boolean =>
  session?.state === 'active' &&
  !isExpiring &&
  session.startedAt !== neededIn &&
  options.mode !== 'device' &&
  !options.signal?.aborted &&
  Object.entries(options).every(([name, value]) => value === undefined || OF_THE_WAY.includes(name))
