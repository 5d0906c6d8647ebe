/**
 * The session as the page last read it from the token handler. The page reads the session again when another tab
 * announces a change, when the page is shown or focused, when the device comes online, when the user is active, when a
 * limit is near, when the popup of a login looks closed, and when a call finds that the access token of the last read
 * has expired.
 */
import { BACKGROUND, USER } from '../../../glue/constants.js'
import type { EndReason, Events, LoginOptions, Session } from '../api.js'
import type { TraceEvent } from '../../protocol/messages.js'
import { isSignedIn } from '../login/at-once.js'
import { repeat } from '../../protocol/repeat.js'
import { createUserComparison } from '../user-comparison.js'
import {
  errorIn,
  type HandlerConfig,
  type HandlerError,
  type HandlerRequests,
  retryAfter,
} from './handler-requests.js'

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

/**
 * A tab's announcement to other tabs: when its session began, and why its last session ended. A tab with a different
 * session reads the session again.
 */
interface TabMessage {
  startedAt: number | null
  reason: EndReason | null
}

export type HandlerSession = ReturnType<typeof handlerSession>

/**
 * Tracks the session. Calls `onSessionEnded` when a session has begun, when a session has ended, and when another
 * session has replaced it.
 */
export const handlerSession = (
  requests: HandlerRequests,
  config: HandlerConfig,
  events: EventTarget,
  onSessionEnded: (reason: EndReason | null) => void,
) => {
  let session: Session | null = null
  const isOtherUser = createUserComparison()
  let reason: EndReason | null = null
  /** The end reason that another tab has announced. */
  let announcedReason: EndReason | null = null
  /** The handler's clock minus the browser's clock, in milliseconds. */
  let skew = 0
  /** Increases when the session ends without a read. The response to an earlier read is then out of date. */
  let epoch = 0
  let [lastRead, lastUserRequest] = [-Infinity, -Infinity]
  let timer: ReturnType<typeof setTimeout>
  let hasWarned = false
  /** The time at which a session began in which a call was refused because the user is needed. */
  let neededIn: number | undefined
  let isClosed = false
  let channel: BroadcastChannel | undefined

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

  const announce = () =>
    channel?.postMessage({ startedAt: session?.startedAt ?? null, reason } satisfies TabMessage)

  const adopt = (next: Session | null, endReason?: EndReason | null) => {
    const before = session
    const [startedBefore, startedAt] = [before?.startedAt ?? null, next?.startedAt ?? null]
    const stateBefore = JSON.stringify([session, reason])
    session = next
    // If neither the handler nor another tab gives a reason, the browser or its user has removed the cookie.
    if (before && !next) reason = endReason ?? announcedReason ?? 'storage_lost'
    else if (next) reason = null
    if (startedBefore !== startedAt) {
      hasWarned = false
      onSessionEnded(reason)
      if (before && !next) trace('session_ended', { detail: reason })
      if (!before && next) trace('login_completed')
      announce()
    } else if (before && next && next.accessTokenExpiresAt > before.accessTokenExpiresAt) {
      trace('refresh_completed')
    }
    announcedReason = null
    startTimer()
    if (JSON.stringify([session, reason]) === stateBefore) return
    emit('change', { session, reason, ...(isOtherUser(session) && { userChanged: true }) })
  }

  /**
   * Ends the session that began at `startedAt`, because the response to a request of this session says so. If the page
   * shows another session by now, the response says nothing about that one.
   */
  const end = (startedAt: number | undefined, endReason?: EndReason) => {
    if (!session) return
    if (startedAt !== session.startedAt) return void read()
    epoch++
    adopt(null, endReason)
    // The response to the read in flight does not count now, and may have brought another session.
    if (reading) void read()
  }

  const readOnce = async (mark: string): Promise<FailedRead | undefined> => {
    const epochBefore = epoch
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
      const body = (await response.json()) as { session: Session | null; reason?: EndReason }
      // Only the handler says that there is no session. A proxy's page may be JSON, too.
      if (body.session !== null && typeof body.session.startedAt !== 'number') return unreachable
      const difference = Date.parse(response.headers.get('date') ?? '') - Date.now()
      // Smaller differences are ignored, because the `Date` header is rounded to seconds and the response took time to
      // arrive.
      skew = Math.abs(difference) > 5000 ? difference : 0
      if (epochBefore === epoch) adopt(body.session, body.reason)
    } catch {
      return unreachable
    }
    return
  }

  let reading: ReturnType<typeof readOnce> | undefined
  let nextMark: string | undefined
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

  /** Milliseconds before a limit at which `expiring` is emitted. */
  const warningTime = () => config.notice

  const timeLeft = ({ expiresAt, idleExpiresAt }: Session) =>
    Math.min(expiresAt, idleExpiresAt) - (Date.now() + skew)

  /**
   * Sets the timer for the next check of the limits: first for the time of the warning, and then for the end of the
   * session.
   */
  const startTimer = () => {
    clearTimeout(timer)
    if (!session || isClosed) return
    const delay = hasWarned ? timeLeft(session) : timeLeft(session) - warningTime()
    timer = setTimeout(checkLimits, Math.min(Math.max(delay, 1000), MAX_DELAY))
  }

  const checkLimits = async () => {
    // Another tab, or a call of this page, may have moved the idle limit.
    const failed = await read()
    if (!session || isClosed) return
    const isNear = timeLeft(session) <= warningTime()
    if (isNear && !hasWarned) emit('expiring', { at: Math.min(session.expiresAt, session.idleExpiresAt) })
    hasWarned = isNear
    startTimer()
    if (failed) {
      clearTimeout(timer)
      timer = setTimeout(checkLimits, Math.min((failed.after ?? READ_INTERVAL) * 1000, MAX_DELAY))
    }
  }

  /**
   * Called for messages of other tabs. A login popup ends on a page that closes the popup and sends 0
   * (src/edge/endpoints/client_config.rs).
   */
  const onTabMessage = async ({ data }: MessageEvent<TabMessage | 0>) => {
    if (data && data.startedAt === (session?.startedAt ?? null)) return
    announcedReason = data ? data.reason : null
    const failed = await readNews()
    if (!data && !failed) events.dispatchEvent(new Event(POPUP_ENDED))
  }
  /** Called when the user is active in the page. The handler learns of activity only by requests. */
  const onUserActivity = () => {
    if (session && performance.now() - lastUserRequest > warningTime()) void read(USER)
  }

  /** Called when a call was refused because the user has to sign in again, or to grant more. */
  const noteRefusal = (startedAt: number | undefined) => {
    if (startedAt === session?.startedAt) neededIn = startedAt
  }

  const openChannel = () => {
    channel = new BroadcastChannel(`strongroom ${requests.base}`)
    channel.onmessage = onTabMessage
  }
  const closeChannel = () => {
    channel?.close()
    channel = undefined
  }

  return {
    get session() {
      return session
    },
    get reason() {
      return reason
    },
    get isClosed() {
      return isClosed
    },
    emit,
    trace,
    read,
    readNews,
    end,
    announce,
    openChannel,
    closeChannel,
    /**
     * Returns true if the access token of the last read has expired. The handler has then refreshed the token for the
     * page's last call.
     */
    isOutdated: () => !!session && session.accessTokenExpiresAt <= Date.now() + skew,
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
      const timer = setInterval(onUserActivity, warningTime() / 4)
      return () => clearInterval(timer)
    },
    noteRefusal,
    /**
     * Resolves with the session if a login with these options has nothing to do, after the handler has confirmed this.
     * Otherwise resolves with `undefined`.
     */
    async sessionFor(options: LoginOptions | undefined): Promise<Session | undefined> {
      const isEnough = () =>
        isSignedIn(session, options, !!session && timeLeft(session) <= warningTime(), neededIn)
      if (isEnough() && !(await read()) && isEnough()) return session!
      return
    },
    /** Called when the provider needs the user before it issues another token. */
    requireInteraction(startedAt: number | undefined) {
      noteRefusal(startedAt)
      if (session?.startedAt === startedAt && session?.state === 'active') {
        session = { ...session, state: 'interaction_required' }
        emit('change', { session, reason })
      }
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
      session = null
    },
  }
}
