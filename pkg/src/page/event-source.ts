/** `EventSource` (HTML 9.2) by a client's fetch, with which the access token goes along. */
import type { Strongroom, VaultRequestInit } from './api.js'
import { eventStream } from './event-stream.js'
import { errorEvent, defineAttributes } from './define-attributes.js'
import type { LazyTarget } from './lazy-target.js'

const CONNECTING = 0
const OPEN = 1
const CLOSED = 2

/** Milliseconds before connecting again, unless the stream says otherwise. */
const RETRY = 3000
/** The longest of them that failures in a row may add up to, unless the stream says more. */
const LONGEST = 60_000
/** The shortest wait after a failure, and the longest that a timer can be set to: a longer one is none. */
const LEAST = 1000
const MOST = 2 ** 31 - 1

/** Refusals that may be over next time. All others are final, as is an answer that is no event stream. */
const PASSING = [
  'provider_unavailable',
  'coordinator_unavailable',
  'limit_exceeded',
  'page_left',
  'vault_outdated',
]

const isFinal = (error: unknown): boolean => {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && !PASSING.includes(code)
}

/** The longest id that goes back to the server: with a header that it refuses the vault refuses the call. */
const LONGEST_ID = 8192

/** The UTF-8 of an id as a header's value, each byte a character. */
const asHeader = (id: string): string =>
  Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join('')

export const eventSource = (
  target: LazyTarget,
  send: (url: string, init: VaultRequestInit) => Promise<Response>,
  { withCredentials = false }: EventSourceInit = {},
  auth: Strongroom,
): void => {
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
    const patience = failures && Math.min(Math.max(delay, LEAST) * 2 ** failures, LONGEST)
    const wait = Math.max(delay, patience) * (1 + Math.random() / 4)
    failures++
    const now = () => {
      clearTimeout(timer)
      removeEventListener('online', now)
      connection.signal.removeEventListener('abort', now)
      connect()
    }
    // A little more, so that a server that comes back does not meet all its clients at once.
    const timer = setTimeout(now, Math.min(wait, MOST))
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
        // What a listener has put off until it is done comes before the next event.
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
        // Nobody's doing: a source that is open does not keep a session from idling.
        background: true,
        cache: 'no-store',
        credentials: withCredentials ? 'include' : 'same-origin',
        headers,
        signal,
      })
      const { status } = response
      const type = response.headers.get('content-type') ?? ''
      if (status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type.trim())) {
        return fail(new TypeError(`the answer is no event stream: status ${status}, type '${type}'`))
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

  // What comes was for the user of then. Asked again, the vault says that nobody is signed in; whoever is signed in
  // by then gets a stream of their own.
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
