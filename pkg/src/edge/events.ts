/** Lines of the log, and events to count, which a token handler passes to its operator. */
import type { HandlerEvent } from '../generated/events.js'

export type * from '../generated/events.js'

/** A line of the log. It contains no secret and no personal data, except for what `logDescriptions` adds. */
export interface LogEntry {
  /**
   * `error`: the provider or the coordinator is down, the provider refuses the client, or the configuration or the handler
   * is at fault. `warn`: everything else. `info`: an outage is over, the provider accepts the client again, or
   * `handler.end()` has ended sessions.
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
