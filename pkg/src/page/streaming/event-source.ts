/** Implements `EventSource` (HTML 9.2) with a client's `fetch`, which adds the access token. */
import type { Strongroom } from '../api.js'
import type { SentInit } from '../fetch/fetch.js'
import { eventStream } from './event-stream.js'
import { errorEvent, defineAttributes } from './define-attributes.js'
import type { LazyTarget } from './lazy-target.js'
import { ownOf } from '../../protocol/own.js'

const CONNECTING = 0
const OPEN = 1
const CLOSED = 2

/** Milliseconds before reconnecting, unless the stream sets another delay. */
const RETRY = 3000
/** The maximum delay after several failures, unless the stream sets a longer delay. */
const LONGEST = 60_000
/** The minimum delay after a failure, and the maximum delay of a timer. */
const MIN_DELAY = 1000
const MAX_DELAY = 2 ** 31 - 1

/**
 * Codes of errors after which the source reconnects. The source also reconnects after a network error, which has no
 * code. After an error with any other code, and after a response that is not an event stream, the source closes.
 */
const TRANSIENT = [
  'provider_unavailable',
  'coordinator_unavailable',
  'limit_exceeded',
  'page_left',
  'vault_outdated',
]

const isFinal = (error: unknown): boolean => {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && !TRANSIENT.includes(code)
}

/** The maximum length of an id that is sent back to the server. The vault refuses calls with a longer header. */
const LONGEST_ID = 8192

/** Encodes an id as a header value: one character for each byte of the id's UTF-8 encoding. */
const asHeader = (id: string): string =>
  Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join('')

export const eventSource = (
  target: LazyTarget,
  send: (url: string, init: SentInit) => Promise<Response>,
  init: EventSourceInit | undefined,
  auth: Strongroom,
): void => {
  const { withCredentials = false } = ownOf(init)
  const { url } = target
  let user: string | undefined
  let connection = new AbortController()
  let { readyState } = target
  let lastEventId = ''
  let delay = RETRY
  let failures = 0

  const close = () => {
    readyState = CLOSED
    connection.abort()
  }

  const fail = (error: unknown) => {
    if (readyState === CLOSED) return
    close()
    stopListening()
    target.dispatchEvent(errorEvent(error))
  }

  const reconnect = (error?: unknown) => {
    if (readyState === CLOSED) return
    readyState = CONNECTING
    target.dispatchEvent(errorEvent(error))
    const backoff = failures && Math.min(Math.max(delay, MIN_DELAY) * 2 ** failures, LONGEST)
    const wait = Math.max(delay, backoff) * (1 + Math.random() / 4)
    failures++
    const now = () => {
      clearTimeout(timer)
      removeEventListener('online', now)
      connection.signal.removeEventListener('abort', now)
      connect()
    }
    // The delay is partly random, so that clients do not reconnect to a restarted server all at once.
    const timer = setTimeout(now, Math.min(wait, MAX_DELAY))
    addEventListener('online', now)
    connection.signal.addEventListener('abort', now)
  }

  const listen = async (response: Response) => {
    const { origin } = new URL(response.url)
    let events: [type: string, data: string, id: string][] = []
    const read = eventStream(
      {
        event: (...event) => events.push(event),
        retry(milliseconds) {
          delay = milliseconds
        },
      },
      lastEventId,
    )
    const reader = response.body?.getReader()
    for (let piece; (piece = await reader?.read()) && !piece.done;) {
      read(piece.value)
      for (const [type, data, id] of events) {
        if (readyState === CLOSED) return
        lastEventId = id
        target.dispatchEvent(new MessageEvent(type, { data, origin, lastEventId }))
        // Microtasks of a listener run before the next event.
        await undefined
      }
      events = []
    }
  }

  const connect = async () => {
    if (readyState === CLOSED) return stopListening()
    user = auth.session?.claims.sub
    connection = new AbortController()
    const { signal } = connection
    const headers = new Headers({ accept: 'text/event-stream' })
    if (lastEventId.length > LONGEST_ID) {
      return fail(new TypeError(`the last event has an id of more than ${LONGEST_ID} characters`))
    }
    if (lastEventId) headers.set('last-event-id', asHeader(lastEventId))
    try {
      const response = await send(url, {
        // An open event source does not extend the idle timeout, but its user waits for it.
        background: true,
        awaited: true,
        cache: 'no-store',
        credentials: withCredentials ? 'include' : 'same-origin',
        headers,
        signal,
      })
      const { status } = response
      const type = response.headers.get('content-type') ?? ''
      if (status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type.trim())) {
        return fail(new TypeError(`the response is not an event stream: status ${status}, type '${type}'`))
      }
      failures = 0
      readyState = OPEN
      target.dispatchEvent(new Event('open'))
      await listen(response)
      reconnect()
    } catch (error) {
      if (signal.aborted) return connect()
      if (isFinal(error)) fail(error)
      else reconnect(error)
    }
  }

  // The stream belongs to the user who opened it. After a change of user the source reconnects, and gets the stream of
  // the new user, or an error if there is no session.
  const stopListening = auth.on('change', ({ session }) => {
    if (session?.claims.sub !== user) connection.abort()
  })
  defineAttributes(target, ['open', 'message', 'error'], {
    CONNECTING,
    OPEN,
    CLOSED,
    url,
    withCredentials,
    get readyState() {
      return readyState
    },
    close,
  })
  connect()
}
