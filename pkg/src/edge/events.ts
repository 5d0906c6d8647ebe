/** Lines of the log, and events to count, which a token handler passes to its operator. */

/** A line of the log. It contains no secret and no personal data, except for what `logDescriptions` adds. */
export interface LogEntry {
  /**
   * `error`: the provider or the coordinator is down, the provider refuses the client, or the configuration or the handler
   * is at fault. `warn`: everything else. `info`: an outage is over, or `handler.end()` has ended sessions.
   */
  level: 'error' | 'warn' | 'info'
  /** A code of docs/errors.md. */
  code: string
  /** A sentence. */
  message: string
  /** Milliseconds since the Unix epoch. */
  time: number
  /** The ID of the request: `X-Request-Id`, or the trace ID of `traceparent`, or a random one. */
  requestId?: string
  /** The public ID of the session, which gives no access to it. */
  session?: string
  /** The status with which the provider responded last, if the line is about the provider. */
  status?: number
}

/** The members that every event has. */
interface Base {
  /** Milliseconds since the Unix epoch. */
  time: number
}

/** The members of events about a request. */
interface OfRequest extends Base {
  /** The ID of the request, as in {@link LogEntry}. */
  requestId?: string
  /** The public ID of the session, which gives no access to it. */
  session?: string
}

/** A login was redirected to the provider, or failed before that. */
export interface LoginEvent extends OfRequest {
  type: 'login'
  /** The code of the failure. Absent: the browser was redirected. */
  code?: string
  /** Seconds. */
  duration: number
}

/** A login has succeeded or failed, after the provider's response to it. */
export interface CallbackEvent extends OfRequest {
  type: 'callback'
  /** The code of the failure. Absent: a session has begun. */
  code?: string
  /** Seconds. */
  duration: number
}

/** A refresh has ended. */
export interface RefreshEvent extends OfRequest {
  type: 'refresh'
  /**
   * `renewed`: the session has new tokens. `superseded`: another isolate has refreshed it. `ended`: the session has ended.
   * `failed` and `interaction_required`: the session is kept.
   */
  result: 'renewed' | 'superseded' | 'ended' | 'failed' | 'interaction_required'
  /** The code of the failure, such as `provider_unavailable`, `coordinator_unavailable` or `client_rejected`. */
  code?: string
  /** The status of the provider's last response. Absent: there was none. */
  status?: number
  /** The platform's name of a failure, such as `ECONNREFUSED`. */
  cause?: string
  /** Seconds, with the calls to the coordinator. */
  duration: number
  /** The number of other requests in this isolate that waited for the refresh. */
  waiting: number
}

/** Requests were refused with an error of the handler. At most one event a second for each code and status. */
export interface RefusedEvent extends Base {
  type: 'refused'
  code: string
  /** The status of the responses. */
  status: number
  /** The number of requests since the last such event. */
  count: number
}

/** A session has begun. */
export interface SessionBeganEvent extends OfRequest {
  type: 'session_began'
}

/** This isolate has ended a session. An end by a back-channel logout or by `handler.end()` is reported at the next request. */
export interface SessionEndedEvent extends OfRequest {
  type: 'session_ended'
  /** A reason of docs/sessions.md, such as `logged_out`. */
  reason: string
}

/** The coordinator was called. */
export interface CoordinatorEvent extends OfRequest {
  type: 'coordinator'
  operation: 'read' | 'swap'
  /** `conflict`: another write came first. */
  result: 'done' | 'conflict' | 'failed'
  /** The platform's name of a failure. */
  cause?: string
  /** Seconds. */
  duration: number
}

/** A server is down. */
export interface OutageBeganEvent extends Base {
  type: 'outage_began'
  server: 'provider' | 'coordinator'
  /** The status of its last response, if that was the failure. */
  status?: number
  /** The platform's name of the failure. */
  cause?: string
}

/** A server works again. */
export interface OutageEndedEvent extends Base {
  type: 'outage_ended'
  server: 'provider' | 'coordinator'
  /** Seconds. */
  duration: number
  /** The number of requests that were refused because of the outage. */
  count: number
}

/** A browser asked for another bound cookie (`session.bind`). */
export interface RenewalEvent extends OfRequest {
  type: 'renewal'
  /** `challenged`: the browser got a challenge to sign, which is normal before a renewal. */
  result: 'renewed' | 'challenged'
}

/** A request was refused because its cookie seems to be a copy. */
export interface CopyRefusedEvent extends OfRequest {
  type: 'copy_refused'
  /**
   * `session_replayed`: a replaced cookie or a second key was used, and the session was ended. `bound_cookie_missing`: a
   * request of a bound session had no bound cookie; the session continues in the browser that has the key.
   */
  code: 'session_replayed' | 'bound_cookie_missing'
}

/** An event for `observe`: a flat object, distinguished by `type`. It contains no secret and no personal data. */
export type HandlerEvent =
  | LoginEvent
  | CallbackEvent
  | RefreshEvent
  | RefusedEvent
  | SessionBeganEvent
  | SessionEndedEvent
  | CoordinatorEvent
  | OutageBeganEvent
  | OutageEndedEvent
  | RenewalEvent
  | CopyRefusedEvent

/** An observer with more than a function. `openTelemetry()` of `strongroom/edge/opentelemetry` returns one. */
export interface Observer {
  /** Called with each event. Exceptions and rejections are ignored. */
  event(event: HandlerEvent): void
  /**
   * Returns the names of the headers that the platform itself adds to the request that is about to be sent to an
   * upstream, such as `traceparent`. The handler removes the client's, because two values would make both useless.
   */
  replacedHeaders?(): readonly string[]
}

/** The knowledge of an isolate about its servers, for a page of the operator. */
export interface HandlerHealth {
  /** False until the first request or `ready()` has read the configuration. */
  isStarted: boolean
  /** The number of requests without a response yet, and of refreshes in flight. */
  requests: number
  provider: ServerHealth
  coordinator: ServerHealth
}

/** The knowledge of an isolate about a server. */
export interface ServerHealth {
  /** True in an outage, as docs/edge-observe.md describes it. */
  isDown: boolean
  /** Milliseconds since the Unix epoch, if the server is down. */
  downSince?: number
  /** The last failure in an outage since the isolate started, such as `it cannot be read: ECONNREFUSED`. */
  lastFailure?: string
}

/** Passes a line to the operator's function, by default to the console. */
export const writeLine = (
  { log = logToConsole }: { log?: (entry: LogEntry) => void },
  line: Omit<LogEntry, 'time'>,
): void => quietly(() => log({ ...line, time: Date.now() }))

/** Writes a line to the console. */
const logToConsole = ({ level, code, message, requestId, session }: LogEntry): void => {
  const about = [requestId && `request ${requestId}`, session && `session ${session}`].filter(Boolean)
  console[level](`strongroom: ${code}: ${message}${about.length ? ` (${about.join(', ')})` : ''}`)
}

/**
 * Calls a function of the operator or the platform. Exceptions are ignored, because they must not fail a request, and so
 * are rejections, which would end a process of Node.
 */
export const quietly = (call: () => unknown): void => {
  void (async () => call())().catch(() => {})
}
