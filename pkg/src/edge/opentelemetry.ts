/**
 * `strongroom/edge/opentelemetry`: metrics and spans of a token handler, by the package `@opentelemetry/api`. Importing
 * this module has no side effects.
 *
 * @module
 */
import {
  type Attributes,
  type Meter,
  metrics,
  propagation,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api'
import type { HandlerEvent, Observer } from './events.js'

declare const STRONGROOM_VERSION: string

/** Options of {@link openTelemetry}. */
export interface OpenTelemetryOptions {
  /** Default: the global meter provider's meter `strongroom`. */
  meter?: Meter
  /** Default: the global tracer provider's tracer `strongroom`. */
  tracer?: Tracer
}

/** The bucket boundaries of a histogram in seconds: those that the semantic conventions have for HTTP, and longer ones. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60]

/** The bucket boundaries for outages in seconds. */
const OUTAGE_BOUNDARIES = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600]

/**
 * Returns an observer for the option `observe`, which records metrics `strongroom.*` and the spans `strongroom.login`,
 * `strongroom.callback` and `strongroom.refresh`. docs/edge-observe.md lists them. The platform's own instrumentation
 * records requests (`http.server.*`, `http.client.*`).
 *
 * Register the SDK before you import this module, or pass a meter and a tracer.
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Observer {
  const {
    meter = metrics.getMeter('strongroom', STRONGROOM_VERSION),
    tracer = trace.getTracer('strongroom', STRONGROOM_VERSION),
  } = options
  const histogram = (name: string, description: string, boundaries = BOUNDARIES) =>
    meter.createHistogram(`strongroom.${name}`, {
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: boundaries },
    })
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(`strongroom.${name}`, { description, unit })
  const login = histogram('login.duration', 'Time until a login is redirected to the provider.')
  const callback = histogram('callback.duration', "Time to handle the provider's response to a login.")
  const refresh = histogram('refresh.duration', 'Time of a refresh, with the calls to the coordinator.')
  const waiting = counter('refresh.waiting', '{request}', 'Requests that waited for the refresh of another.')
  const refused = counter('request.refused', '{request}', 'Requests that the handler refused.')
  const began = counter('session.began', '{session}', 'Sessions that began.')
  const ended = counter('session.ended', '{session}', 'Sessions that this process has ended.')
  const coordinator = histogram('coordinator.duration', 'Time of a call to the coordinator.')
  const outages = meter.createUpDownCounter('strongroom.outage.active', {
    description: '1 while a server is down.',
    unit: '{outage}',
  })
  const outage = histogram('outage.duration', 'Time for which a server was down.', OUTAGE_BOUNDARIES)
  const clocks = counter(
    'clock.differs',
    '{report}',
    "Reports that this machine's clock differs, at most one an hour.",
  )
  const renewals = counter('renewal', '{renewal}', 'Renewals of bound cookies.')
  const copies = counter('copy.refused', '{request}', 'Requests with a cookie that seems to be a copy.')
  // A counter that begins with its first event has no increase that an alert could see.
  for (const code of ['session_replayed', 'bound_cookie_missing']) copies.add(0, { [ERROR]: code })
  for (const reason of ['security', 'storage_lost']) ended.add(0, { 'strongroom.reason': reason })
  for (const server of ['provider', 'coordinator']) {
    outages.add(0, { 'strongroom.server': server })
    clocks.add(0, { 'strongroom.server': server })
  }

  /** Records a span that has ended. */
  const span = ({ type, time, session, requestId }: OfRequest, duration: number, attributes: Attributes) => {
    const ids = { 'strongroom.session': session, 'strongroom.request.id': requestId }
    const span = tracer.startSpan(`strongroom.${type}`, {
      startTime: time - duration * 1000,
      attributes: known({ ...attributes, ...ids }),
    })
    if (attributes[ERROR] !== undefined) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end(time)
  }

  const record = (event: HandlerEvent): void => {
    switch (event.type) {
      case 'login':
      case 'callback': {
        const attributes = known({ [ERROR]: event.code })
        ;(event.type === 'login' ? login : callback).record(event.duration, attributes)
        return span(event, event.duration, attributes)
      }
      case 'refresh': {
        const { result, code, status, duration } = event
        const attributes = known({ 'strongroom.result': result, [STATUS]: status, [ERROR]: code })
        refresh.record(duration, attributes)
        if (event.waiting > 0) waiting.add(event.waiting)
        return span(event, duration, attributes)
      }
      case 'refused':
        return refused.add(event.count, { [ERROR]: event.code, [STATUS]: event.status })
      case 'session_began':
        return began.add(1)
      case 'session_ended':
        return ended.add(1, { 'strongroom.reason': event.reason })
      case 'coordinator': {
        const { operation, result, cause } = event
        return coordinator.record(
          event.duration,
          known({
            'strongroom.operation': operation,
            'strongroom.result': result,
            [ERROR]: result === 'failed' ? (cause ?? 'coordinator_unavailable') : undefined,
          }),
        )
      }
      case 'outage_began':
        return outages.add(1, { 'strongroom.server': event.server })
      case 'outage_ended':
        outages.add(-1, { 'strongroom.server': event.server })
        return outage.record(event.duration, { 'strongroom.server': event.server })
      case 'clock_differs':
        return clocks.add(1, { 'strongroom.server': event.server })
      case 'renewal':
        return renewals.add(1, { 'strongroom.result': event.result })
      case 'copy_refused':
        return copies.add(1, { [ERROR]: event.code })
    }
  }
  return {
    event: record,
    replacedHeaders: () => (trace.getActiveSpan() ? propagation.fields() : []),
  }
}

/** An event about a request. */
type OfRequest = Extract<HandlerEvent, { requestId?: string }>

/** Names of attributes in the semantic conventions. */
const ERROR = 'error.type'
const STATUS = 'http.response.status_code'

/** Returns the attributes that have a value. */
const known = (attributes: Attributes): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))
