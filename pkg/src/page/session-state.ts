/**
 * The page's view of its session, and the events that change it. Both clients of a page use it: connect.ts for a vault, and
 * token-handler/handler-state.ts for a token handler.
 *
 * This file performs no I/O: the clients pass the events, and carry out the effects.
 */
import type { EndReason, Events, LoginOptions, Session } from './api.js'

export interface SessionState {
  readonly session: Session | null
  /** The reason why the last session ended. */
  readonly reason: EndReason | null
  /** True if another vault has a signed-in user. */
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
  /** The session is now this one. `null`: there is no session. */
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
  /** The vault is gone. Another one may take its place, so the app does not see a change yet. */
  | { t: 'gone' }
  /** No other vault has taken its place in time, so the app sees that there is no session. */
  | { t: 'hidden' }

/** An event for the app, with its detail. */
export type Effect = readonly ['change', Events['change']] | readonly ['expiring', Events['expiring']]

export const START: SessionState = {
  session: null,
  reason: null,
  elsewhere: false,
  shown: null,
  user: undefined,
  isExpiring: false,
  neededIn: undefined,
}

/** Returns the state after an event, and the effects. Ignores messages of a newer vault that this page does not know. */
export const next = (state: SessionState, event: SessionEvent): [SessionState, ...Effect[]] => {
  const { session, reason, elsewhere } = state
  switch (event.t) {
    case 'ready':
    case 'session':
      return change({
        ...state,
        session: event.session,
        // A new vault does not know why the previous vault's session ended.
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

/** Returns the state and the event `change` that shows the app the session in `state`. */
const change = (state: SessionState): [SessionState, Effect] => {
  const { session, reason } = state
  const user = userOf(session, state.user)
  const detail = { session, reason, ...(isOtherUser(state.user, user) && { userChanged: true as const }) }
  return [{ ...state, shown: session, user }, ['change', detail]]
}

/**
 * Returns the user of a session, or `before` if there is no session. Without `sub`, every login counts as that of another
 * user.
 */
export const userOf = (session: Session | null, before: SessionState['user']): SessionState['user'] =>
  session?.claims.sub ?? session?.startedAt ?? before

/** Returns true if a session's user is not the user of the session before it. */
export const isOtherUser = (before: SessionState['user'], user: SessionState['user']): boolean =>
  !!before && before !== user

/** The options of a login that only say how the user gets to the provider, or when the login is given up. */
const OF_THE_WAY = ['mode', 'open', 'port', 'signal', 'timeout', 'detectClose']

/**
 * Returns true if `login(options)` may resolve with the current session at once, because the app asks for nothing more. The
 * app asks for more if it passes an option that the provider would see, `returnTo`, or an option that this version does
 * not know; and by a login on another device, because another user may sign in there.
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
