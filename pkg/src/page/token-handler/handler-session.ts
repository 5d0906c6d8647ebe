/**
 * The session as the page last read it from the token handler. The page reads the session again when another tab
 * announces a change, when the page is shown or focused, when the device comes online, when the user is active, when a
 * limit is near, when the popup of a login looks closed, and when a call finds that the access token of the last read
 * has expired.
 */
import { BACKGROUND, USER } from '../../../glue/constants.js'
import type { EndReason, Events, LoginOptions, Session } from '../api.js'
import type { TraceEvent } from '../../protocol/messages.js'
import { isSignedIn } from '../session-state.js'
import { repeat } from '../../protocol/repeat.js'
import {
  errorIn,
  type HandlerConfig,
  type HandlerError,
  type HandlerRequests,
  retryAfter,
} from './handler-requests.js'
import { type HandlerStateEvent, next, START, type TabMessage } from './handler-state.js'
import { ownOf } from '../../protocol/own.js'

/**
 * Seconds that must have passed since the last read before the page reads again only because it is shown or focused, or
 * because the device is online again. After a failed read near a limit whose response has no `Retry-After`, also the
 * number of seconds until the next attempt.
 */
const READ_INTERVAL = 5

/** Milliseconds for the attempts to read the session after another tab or a popup has said that it has changed. */
const NEWS_TIME = 10_000

/** The longest delay of a timer, in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1

/** The type of the event that says that a login's popup has ended, and that the session has been read since. */
export const POPUP_ENDED = 'popup'

/** A failed read that may succeed later. */
export interface FailedRead extends HandlerError {
  /** Seconds until the next attempt, by the response's `Retry-After`. */
  after?: number | undefined
}

export type HandlerSession = ReturnType<typeof handlerSession>

/**
 * Tracks the session. Calls `onReplaced` when a session has begun, when a session has ended, and when another session has
 * replaced it.
 */
export const handlerSession = (
  requests: HandlerRequests,
  { notice }: HandlerConfig,
  events: EventTarget,
  onReplaced: (reason: EndReason | null) => void,
) => {
  let state = START
  /** The handler's clock minus the browser's clock, in milliseconds. */
  let skew = 0
  let [lastRead, lastUserRequest] = [-Infinity, -Infinity]
  let timer: ReturnType<typeof setTimeout>
  let isClosed = false
  let channel: BroadcastChannel | undefined
  let reading: ReturnType<typeof readOnce> | undefined
  let nextMark: string | undefined

  const emit = <K extends keyof Events>(type: K, detail: Events[K]) => {
    events.dispatchEvent(new CustomEvent(type, { detail }))
  }
  const trace = (event: TraceEvent['event'], details: Partial<TraceEvent> = {}) =>
    emit('trace', {
      at: Date.now(),
      event,
      call: null,
      status: null,
      generation: null,
      detail: null,
      ...details,
    })
  const announce = () => {
    const { session, reason } = state
    channel?.postMessage({ startedAt: session?.startedAt ?? null, reason } satisfies TabMessage)
  }

  /** Changes the state, and carries out the effects. */
  const on = (event: HandlerStateEvent) => {
    const [after, effects] = next(state, event)
    state = after
    for (const effect of effects) {
      const [what] = effect
      if (what === 'change') emit(what, effect[1])
      else if (what === 'expiring') emit(what, effect[1])
      else if (what === 'trace') trace(effect[1], { detail: effect[2] })
      else if (what === 'timer') startTimer()
      else if (what === 'news') void onNews(effect[1])
      else if (what === 'replaced') {
        onReplaced(effect[1])
        announce()
      } else if (what === 'read' || (what === 'read again' && reading)) void read()
    }
  }

  const readOnce = async (mark: string): Promise<FailedRead | undefined> => {
    const { epoch } = state
    lastRead = performance.now()
    if (mark === USER) lastUserRequest = lastRead
    const unreachable = {
      code: 'handler_unreachable',
      message: `${requests.base}/session sent no usable response`,
    }
    try {
      const response = await requests.send('session', mark)
      const error = await errorIn(response)
      if (!response.ok || error) return { ...(error ?? unreachable), after: retryAfter(response) }
      const { session, reason } = ownOf(
        (await response.json()) as { session: Session | null; reason?: EndReason },
      )
      // Only the handler says that there is no session. A proxy's page may be JSON, too.
      if (session !== null && typeof session.startedAt !== 'number') return unreachable
      const difference = Date.parse(response.headers.get('date') ?? '') - Date.now()
      // Smaller differences are ignored, because the `Date` header is rounded to seconds and the response took time to
      // arrive.
      skew = Math.abs(difference) > 5000 ? difference : 0
      on({ t: 'read', epoch, session, reason })
    } catch {
      return unreachable
    }
    return
  }

  /**
   * Reads the session. All calls that arrive while a request is in flight share one further request, which follows that
   * request. Resolves with `undefined` if the last request succeeded.
   */
  const read = (mark: string = BACKGROUND): ReturnType<typeof readOnce> => {
    nextMark = nextMark === USER ? USER : mark
    return (reading ??= (async () => {
      try {
        for (;;) {
          const mark = nextMark!
          nextMark = undefined
          const failed = await readOnce(mark)
          if (!nextMark || isClosed) return failed
        }
      } finally {
        reading = undefined
      }
    })())
  }

  /** Reads the session as `read` does, again if that fails: nothing else would tell the page of the change. */
  const readNews = (): ReturnType<typeof read> =>
    repeat(async () => {
      const failed = await read()
      if (failed) throw failed
    }, performance.now() + NEWS_TIME).catch((failed) => failed)

  const onNews = async (isPopup: boolean) => {
    const failed = await readNews()
    if (isPopup && !failed) events.dispatchEvent(new Event(POPUP_ENDED))
  }

  const timeLeft = ({ expiresAt, idleExpiresAt }: Session) =>
    Math.min(expiresAt, idleExpiresAt) - (Date.now() + skew)

  /**
   * Sets the timer for the next check of the limits: first for the time of the warning, and then for the end of the
   * session.
   */
  const startTimer = () => {
    clearTimeout(timer)
    const { session, isExpiring } = state
    if (!session || isClosed) return
    const delay = timeLeft(session) - (isExpiring ? 0 : notice)
    timer = setTimeout(checkLimits, Math.min(Math.max(delay, 1000), MAX_DELAY))
  }

  const checkLimits = async () => {
    // Another tab, or a call of this page, may have moved the idle limit.
    const failed = await read()
    if (!state.session || isClosed) return
    on({ t: 'checked', left: timeLeft(state.session), notice })
    if (failed) {
      clearTimeout(timer)
      timer = setTimeout(checkLimits, Math.min((failed.after ?? READ_INTERVAL) * 1000, MAX_DELAY))
    }
  }

  /** Called when the user is active in the page. The handler learns of activity only by requests. */
  const onUserActivity = () => {
    if (state.session && performance.now() - lastUserRequest > notice) void read(USER)
  }

  const openChannel = () => {
    channel = new BroadcastChannel(`strongroom ${requests.base}`)
    // A login popup ends on a page that closes the popup and sends 0 (src/edge/endpoints/client_config.rs).
    channel.onmessage = ({ data }: MessageEvent<TabMessage | 0>) =>
      on({ t: 'tab', message: data && ownOf(data) })
  }
  const closeChannel = () => {
    channel?.close()
    channel = undefined
  }

  return {
    get session() {
      return state.session
    },
    get reason() {
      return state.reason
    },
    get isClosed() {
      return isClosed
    },
    emit,
    trace,
    on,
    read,
    readNews,
    announce,
    openChannel,
    closeChannel,
    /**
     * Returns true if the access token of the last read has expired. The handler has then refreshed the token for the
     * page's last call.
     */
    isOutdated: () => !!state.session && state.session.accessTokenExpiresAt <= Date.now() + skew,
    /**
     * Called when a call of the user begins. Returns a function to be called when its response begins. Until then, a
     * call that may send a body is activity of the user, because it may be a long upload. The handler does not count a
     * call whose response takes longer than `LATE` (src/edge/request.rs), so the page looks more often than that.
     */
    onUserCall(method: string) {
      if (/^(GET|HEAD)$/.test(method)) {
        lastUserRequest = performance.now()
        return
      }
      const timer = setInterval(onUserActivity, notice / 4)
      return () => clearInterval(timer)
    },
    /**
     * Resolves with the session if a login with these options has nothing to do, after the handler has confirmed this.
     * Otherwise resolves with `undefined`.
     */
    async sessionFor(options: LoginOptions | undefined): Promise<Session | undefined> {
      const isEnough = () => {
        const { session } = state
        return !!session && isSignedIn({ ...state, isExpiring: timeLeft(session) <= notice }, options)
      }
      if (isEnough() && !(await read()) && isEnough()) return state.session!
      return
    },
    /** Called when the page is shown or focused, or the device is online again. */
    onPageShown() {
      const isDue = performance.now() - lastRead > READ_INTERVAL * 1000
      if (document.visibilityState === 'visible' && isDue) void read()
    },
    onUserActivity,
    /** Called when the page has returned from the back-forward cache. */
    onPageRestored({ persisted }: PageTransitionEvent) {
      if (!persisted || isClosed) return
      openChannel()
      void read()
    },
    close() {
      isClosed = true
      clearTimeout(timer)
      closeChannel()
      on({ t: 'gone' })
    },
  }
}
