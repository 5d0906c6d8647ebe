/**
 * The client over a token handler (`strongroom/edge`): the same interface as over a vault, by requests with a cookie that
 * no script sees. A file of its own, which a page loads when it calls `connect()` with a path.
 *
 * The handler decides everything. The client knows who is signed in as of the last time that it asked, and asks again when
 * there is a reason to: another tab says so, the page is back, a limit is near.
 */
import { watchUser } from '../activity.js'
import { ownPath } from '../address.js'
import type {
  ConnectOptions,
  Demand,
  EndReason,
  Events,
  LoginOptions,
  LogoutOptions,
  Progress,
  Session,
  Strongroom,
  VaultRequestInit,
} from '../api.js'
import type { StrongroomError as Failure } from '../error.js'
import { eventSource } from '../event-source.js'
import { listen } from '../listen.js'
import type { TraceEvent } from '../../protocol/messages.js'
import type { LazyTarget } from '../lazy-target.js'
import type { refuse as Refuse } from '../error-text.js'

/** The header of requests by script of the app's, and of the handler's own errors: src/edge/csrf.rs, respond.rs. */
const MARK = 'x-strongroom'
const USER = '1'
const BACKGROUND = 'background'

/** Seconds between questions for no better reason than that the page was looked at. */
const PAUSE = 5

/** The longest that a timer can be set to, in milliseconds. */
const MOST = 2 ** 31 - 1

/** Milliseconds between looks at a popup, and how often it has to look closed: src/page/popup-login.ts says why. */
const LOOK = 500
const LOOKS = 10

/** What to do, where the usual advice speaks of a worker's file. */
const ADVICE: Record<string, string> = {
  url_not_allowed: "Add a route for it to the handler's configuration, or a url to the one that is there.",
  method_not_allowed: "Add the method to the route's methods in the handler's configuration.",
  insufficient_scope: "Add it to scope in the handler's configuration.",
}

/** What the handler's `<base>/config` says: src/edge/endpoints/client_config.rs. */
interface About {
  /** Milliseconds. */
  idle: number
  routes: { url: string; prefix: string }[]
}

/** An error of the handler's own: src/edge/response.rs. */
interface Fault {
  code: string
  message: string
  reason?: EndReason
  login?: Demand
}

/** What one tab tells the others: since when its session is, and why there is none. Whoever has another one asks. */
interface Told {
  startedAt: number | null
  reason: EndReason | null
}

/** See `connect` of index.ts. The last three are index.js's own, or they would be here twice. */
export const connect = async (
  address: string,
  timeout: number,
  resume: ConnectOptions['resume'],
  refuse: typeof Refuse,
  refuseOption: (call: string, name: string) => Promise<never>,
  listening: (events: EventTarget) => Strongroom['on'],
): Promise<Strongroom> => {
  const home = new URL(address, location.href)
  if (/\.[cm]?[jt]sx?$/.test(home.pathname)) {
    const worker = "new SharedWorker(new URL('./auth.worker.js', import.meta.url), { type: 'module' })"
    return refuse(
      'unsupported',
      `a string is the path of a token handler (strongroom/edge), and ${home.pathname} is a script: for a vault in a worker pass the worker itself, such as ${worker}`,
    )
  }
  if (home.href !== location.origin + home.pathname) {
    return refuse('unsupported', `${home.href} is not a path on the page's own origin, where the cookies are`)
  }
  if (resume && resume !== 'none') {
    return refuse('unsupported', `the option resume is for vaults: a session of a handler's is in its cookie`)
  }
  const base = home.pathname.replace(/\/$/, '')

  const events = new EventTarget()
  const closing = new AbortController()
  let isClosed = false
  const stops: (() => void)[] = []
  const sockets = new Set<WebSocket>()
  let session: Session | null = null
  let reason: EndReason | null = null
  /** What another tab has told of the end. */
  let told: EndReason | null = null
  let about: About
  /** The handler's clock less this one's, in milliseconds. */
  let skew = 0
  /** Counts what was learnt otherwise than by asking: an answer to an older question is out of date. */
  let epoch = 0
  let [lastRead, lastSign] = [-Infinity, -Infinity]
  let timer: ReturnType<typeof setTimeout>
  let hasWarned = false
  let calls = 0

  const emit = <K extends keyof Events>(type: K, detail: Events[K]) => {
    events.dispatchEvent(new CustomEvent(type, { detail }))
  }
  const trace = (event: TraceEvent['event'], more: Partial<TraceEvent> = {}) =>
    emit('trace', {
      at: Date.now(),
      event,
      call: null,
      status: null,
      generation: null,
      detail: null,
      ...more,
    })

  const fail = async (code: string, message: string): Promise<never> => {
    return refuse(code, message).catch((error: Failure) => {
      if (ADVICE[code]) error.message = `${message}. ${ADVICE[code]}`
      throw error
    })
  }

  // What the handler says.

  const ask = (name: string, mark: string, init: RequestInit = {}) =>
    fetch(`${base}/${name}`, {
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      headers: { [MARK]: mark },
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(timeout * 1000)]),
      ...init,
    })

  const faultOf = async (response: Response): Promise<Fault | undefined> => {
    if (!response.headers.has(MARK)) return
    return ((await response.json().catch(() => null)) as { error: Fault } | null)?.error
  }

  const adopt = (next: Session | null, why?: EndReason | null) => {
    const before = session
    const [was, is] = [before?.startedAt ?? null, next?.startedAt ?? null]
    const seen = JSON.stringify([session, reason])
    session = next
    // A cookie that is gone without a word was taken away by the browser or its user.
    if (before && !next) reason = why ?? told ?? 'storage_lost'
    else if (next) reason = null
    if (was !== is) {
      hasWarned = false
      for (const socket of sockets) socket.close(3000, reason ?? 'replaced')
      if (before && !next) trace('session_ended', { detail: reason })
      if (!before && next) trace('login_completed')
      tell()
    } else if (before && next && next.accessTokenExpiresAt > before.accessTokenExpiresAt) {
      trace('refresh_completed')
    }
    told = null
    arm()
    if (JSON.stringify([session, reason]) !== seen) emit('change', { session, reason })
  }

  /** It is over, as somebody has just said who knows. */
  const end = (why?: EndReason) => {
    epoch++
    adopt(null, why)
  }

  /** Asks who is signed in. Gives what went wrong, if something did that may be over soon. */
  const readOnce = async (mark: string): Promise<{ fault: Fault; after: number } | undefined> => {
    const asked = epoch
    lastRead = performance.now()
    if (mark === USER) lastSign = lastRead
    const unreachable = { code: 'handler_unreachable', message: `nothing useful came from ${base}/session` }
    try {
      const response = await ask('session', mark)
      const fault = await faultOf(response)
      if (!response.ok || fault) {
        const after = Number(response.headers.get('retry-after')) || PAUSE
        return { fault: fault ?? unreachable, after }
      }
      const said = (await response.json()) as { session: Session | null; reason?: EndReason }
      const date = Date.parse(response.headers.get('date') ?? '')
      // It is rounded, and had a way to go.
      const difference = date - Date.now()
      skew = Math.abs(difference) > 5000 ? difference : 0
      if (asked === epoch) adopt(said.session, said.reason)
    } catch {
      return { fault: unreachable, after: PAUSE }
    }
    return
  }

  let reading: ReturnType<typeof readOnce> | undefined
  let next: string | undefined
  /** The same, once for all who want to know now; once more for those who came meanwhile. */
  const read = (mark: string = BACKGROUND): ReturnType<typeof readOnce> => {
    next = next === USER ? USER : mark
    return (reading ??= (async () => {
      try {
        for (;;) {
          const mark = next!
          next = undefined
          const trouble = await readOnce(mark)
          if (!next || isClosed) return trouble
        }
      } finally {
        reading = undefined
      }
    })())
  }

  /** The provider wants the user before it issues another token. */
  const needUser = () => {
    if (session && session.state === 'active') {
      session = { ...session, state: 'interaction_required' }
      emit('change', { session, reason })
    }
  }

  // Limits.

  const warning = () => Math.min(about.idle / 10, 60_000)

  const left = ({ expiresAt, idleExpiresAt }: Session) =>
    Math.min(expiresAt, idleExpiresAt) - (Date.now() + skew)

  /** The next look at the limits: a little ahead of the end, and then at the end. */
  const arm = () => {
    clearTimeout(timer)
    if (!session || isClosed) return
    const wait = hasWarned ? left(session) : left(session) - warning()
    timer = setTimeout(check, Math.min(Math.max(wait, 1000), MOST))
  }

  const check = async () => {
    // Another tab may have moved the idle limit on, or calls of this one.
    const trouble = await read()
    if (!session || isClosed) return
    const isNear = left(session) <= warning()
    if (isNear && !hasWarned) emit('expiring', { at: Math.min(session.expiresAt, session.idleExpiresAt) })
    hasWarned = isNear
    arm()
    if (trouble) {
      clearTimeout(timer)
      timer = setTimeout(check, trouble.after * 1000)
    }
  }

  // What happens to the page.

  let channel: BroadcastChannel | undefined
  const tell = () => channel?.postMessage({ startedAt: session?.startedAt ?? null, reason } satisfies Told)
  /** Whoever closes a popup (src/edge/endpoints/client_config.rs) tells nothing but that there is something to ask. */
  const hear = ({ data }: MessageEvent<Told | 0>) => {
    if (data && data.startedAt === (session?.startedAt ?? null)) return
    told = data ? data.reason : null
    void read()
  }
  const tune = () => {
    channel = new BroadcastChannel(`strongroom ${base}`)
    channel.onmessage = hear
  }
  const hush = () => {
    channel?.close()
    channel = undefined
  }

  /** The page is looked at again. */
  const look = () => {
    const isDue = performance.now() - lastRead > PAUSE * 1000
    if (document.visibilityState === 'visible' && isDue) void read()
  }
  /** The user does something that the handler does not see. */
  const sign = () => {
    if (session && performance.now() - lastSign > warning()) void read(USER)
  }
  const comeBack = ({ persisted }: PageTransitionEvent) => {
    if (!persisted || isClosed) return
    tune()
    void read()
  }

  // Calls.

  /** Where a request for this address goes; `undefined` if no route stands for it. */
  const place = (address: string): string | undefined => {
    const { href, origin } = new URL(address)
    if (origin === location.origin) return href
    const covering = about.routes.filter(({ url }) => href.startsWith(url))
    const [route] = covering.sort((a, b) => b.url.length - a.url.length)
    return route && location.origin + route.prefix + href.slice(route.url.length)
  }

  const send = async (input: RequestInfo | URL, init: VaultRequestInit = {}): Promise<Response> => {
    if (isClosed) return refuse('closed')
    const { background, onProgress } = init
    if (onProgress && typeof onProgress !== 'function') throw new TypeError('onProgress is not a function')
    const request = new Request(input, init)
    const { url, method, mode } = request
    request.signal.throwIfAborted()
    if (mode === 'no-cors') return fail('unsupported', `a call cannot be of mode '${mode}'`)
    const to = place(url)
    if (!to) {
      const [bare] = url.split(/[?#]/)
      return fail('url_not_allowed', `no route of the handler has a url that covers ${bare}`)
    }
    const headers = new Headers(request.headers)
    headers.set(MARK, background ? BACKGROUND : USER)
    if (!background) lastSign = performance.now()
    const common = {
      headers,
      credentials: 'same-origin',
      signal: AbortSignal.any([request.signal, closing.signal]),
    } as const
    const isMoved = to !== url.split('#')[0]
    const body = isMoved || onProgress ? await bodyOf(request, init.body) : undefined
    const sent = isMoved || onProgress ? moved(to, request, common, body) : new Request(request, common)

    const call = ++calls
    trace('call_sent', { call, detail: `${method} ${url.split(/[?#]/)[0]}` })
    const response = await fetch(sent).catch((error) => {
      trace('call_answered', { call, detail: String((error as Error).message) })
      throw error
    })
    trace('call_answered', { call, status: response.status })
    const fault = await faultOf(response)
    if (fault) return refused(fault, input, init)
    // The handler must have renewed it.
    if (session && session.accessTokenExpiresAt <= Date.now() + skew) void read()
    if (onProgress) return watched(response, url, body, onProgress)
    return isMoved ? dress(response, url) : response
  }

  /** The same request, elsewhere. */
  const moved = (
    to: string,
    { method, cache, integrity, keepalive, redirect }: Request,
    common: RequestInit,
    body: Blob | ReadableStream | undefined,
  ) => {
    const isStream = body instanceof ReadableStream
    const more = { method, cache, integrity, keepalive, redirect, body, ...(isStream && { duplex: 'half' }) }
    return new Request(to, { ...common, ...more } as RequestInit)
  }

  /** The handler has refused a call. */
  const refused = async (
    { code, message, reason: why, login: demand }: Fault,
    input: RequestInfo | URL,
    init: VaultRequestInit,
  ): Promise<never> => {
    if (code === 'upstream_unavailable') throw new TypeError('Failed to fetch')
    if (code === 'session_ended') end(why)
    else if (code === 'login_required' && session) end()
    else if (code === 'interaction_required') needUser()
    return fail(code, message).catch((error: Failure) => {
      if (demand) {
        error.login = demand
        error.stepUp = async (options) => {
          await login({ mode: 'popup', ...demand, ...options })
          return send(input, init)
        }
      }
      throw error
    })
  }

  // Sessions begin and end.

  const login = (options: LoginOptions = {}): Promise<Session> =>
    new Promise((resolve, reject) => {
      const { signal, timeout = 600, mode = 'redirect', returnTo, onCode, detectClose, ...wanted } = options
      const { prompt, loginHint, uiLocales, acrValues, maxAge, scope, params = {}, ...unknown } = wanted
      const refusal = (code: string, message?: string) => refuse(code, message).catch(reject)
      const [stray] = Object.keys(unknown)
      if (stray) return void refuseOption('login', stray).catch(reject)
      if (mode === 'device' || onCode) {
        return void refusal('unsupported', 'a login on another device needs a vault in the browser')
      }
      if (scope !== undefined) {
        return void refusal('unsupported', "login option scope: the handler's configuration has the scope")
      }
      if (isClosed) return void refusal('closed')
      if (signal?.aborted) return void refusal('login_canceled')

      const isPopup = mode === 'popup'
      const query = new URLSearchParams({ returnTo: isPopup ? `${base}/popup` : ownPath(returnTo) })
      const named = {
        prompt,
        login_hint: loginHint,
        ui_locales: uiLocales,
        acr_values: acrValues,
        max_age: maxAge,
      }
      for (const [name, value] of Object.entries({ ...named, ...params })) {
        if (value !== undefined) query.append(name, String(value))
      }
      const to = `${location.origin}${base}/login?${query}`

      const before = session?.startedAt
      const endings: (() => void)[] = []
      const finish = () => {
        clearTimeout(late)
        for (const stop of endings) stop()
        popup?.close()
      }
      const giveUp = (code: string, message?: string) => {
        finish()
        refusal(code, message)
      }
      // In the same turn as the click, or the browser would block it.
      const popup = isPopup ? window.open('', '_blank', 'popup,width=480,height=640') : null
      if (isPopup && !popup) return void refusal('popup_blocked')
      const late = setTimeout(giveUp, timeout * 1000, 'timeout', `${timeout}`)
      if (signal) endings.push(listen(signal, 'abort', () => giveUp('login_canceled')))
      endings.push(listen(closing.signal, 'abort', () => giveUp('closed')))
      trace('login_started')

      if (!popup) {
        // Back by the browser's button, without an answer.
        const back = ({ persisted }: PageTransitionEvent) => persisted && giveUp('login_canceled')
        endings.push(listen(window, 'pageshow', back))
        return location.assign(to)
      }
      endings.push(
        listen(events, 'change', () => {
          if (!session || session.startedAt === before) return
          finish()
          resolve(session)
        }),
      )
      if (detectClose) {
        let looks = 0
        const watch = async () => {
          if (!popup.closed || ++looks < LOOKS) return
          clearInterval(watching)
          await read()
          if (session?.startedAt === before) giveUp('login_canceled')
        }
        const watching = setInterval(watch, LOOK)
        endings.push(() => clearInterval(watching))
      }
      // The provider's page could send the app's elsewhere.
      popup.opener = null
      popup.location.assign(to)
    })

  const auth: Strongroom = {
    get session() {
      return session
    },
    get resumed() {
      return resumed
    },
    get endReason() {
      return reason
    },
    /** All tabs have one cookie. */
    elsewhere: false,
    fetch: send,
    eventSource(url, init) {
      const target: LazyTarget = Object.assign(new EventTarget(), {
        url: new URL(url, location.href).href,
        readyState: 0,
        close() {},
      })
      eventSource(target, send, init, auth)
      return target as never
    },
    webSocket(url, protocols) {
      const address = new URL(url, location.href)
      address.protocol = address.protocol.replace('ws', 'http')
      const to = place(address.href)
      if (!to) throw new TypeError(`no route of the handler has a url that covers ${address.href}`)
      const socket = new WebSocket(to.replace('http', 'ws'), protocols)
      sockets.add(socket)
      socket.addEventListener('close', () => sockets.delete(socket))
      return socket
    },
    login,
    handleCallback: async () => null,
    async logout({ provider = false, returnTo, ...unknown }: LogoutOptions = {}) {
      for (const name of Object.keys(unknown)) return refuseOption('logout', name)
      if (isClosed) return refuse('closed')
      const response = await ask('logout', USER, { method: 'POST' })
      const fault = await faultOf(response)
      if (fault) return fail(fault.code, fault.message)
      if (!response.ok) return refuse('handler_unreachable', `${base}/logout answered ${response.status}`)
      const { url, revoked } = (await response.json()) as { url: string; revoked: boolean }
      if (session) end('logged_out')
      // On to the provider by an address of the handler's: the provider's has the ID token in it.
      if (provider) location.assign(new URL(url, location.origin))
      return { revoked }
    },
    on: listening(events),
    inspect: () => refuse('unsupported', 'a token handler tells no page what it holds'),
    async reconnect() {},
    close() {
      if (isClosed) return
      isClosed = true
      for (const stop of stops) stop()
      clearTimeout(timer)
      hush()
      for (const socket of sockets) socket.close()
      session = null
      // What is pending fails with the error that says so.
      refuse('closed').catch((error) => closing.abort(error))
    },
  }

  // The beginning.

  const start = performance.now()
  const learn = async (): Promise<void> => {
    const response = await ask('config', BACKGROUND).catch(() => null)
    const said = response?.ok && ((await response.json().catch(() => null)) as About | null)
    if (!said || !Array.isArray(said.routes)) {
      const what = response ? `does not come from a token handler (status ${response.status})` : 'is missing'
      return refuse('handler_unreachable', `the response of ${home.origin}${base}/config ${what}`)
    }
    about = said
  }
  await learn()
  for (let trouble; (trouble = await read());) {
    const { fault, after } = trouble
    if (performance.now() + after * 1000 > start + timeout * 1000) return fail(fault.code, fault.message)
    await new Promise((resolve) => setTimeout(resolve, after * 1000))
  }
  const resumed = session && 'cookie'
  tune()
  // Others may have another one, or none: this page comes from the login.
  tell()
  stops.push(
    watchUser((what) => (what === 'active' ? sign() : look())),
    listen(window, 'focus', look),
    listen(window, 'pagehide', hush),
    listen(window, 'pageshow', comeBack),
  )
  return auth
}

/** The body as it can be sent elsewhere: files and forms by reference, streams as they are. */
const bodyOf = async (
  request: Request,
  body: BodyInit | null | undefined,
): Promise<Blob | ReadableStream | undefined> => {
  if (body instanceof ReadableStream) return body
  if (request.body === null || /^(GET|HEAD)$/.test(request.method)) return
  return request.blob().catch(async (error) => {
    if (!(body instanceof FormData)) throw error
    return (await import('../form.js')).formBlob(body, request.headers.get('content-type')!)
  })
}

/** An answer with the address that the page asked for. */
const dress = (response: Response, url: string): Response => {
  const { clone } = response
  return Object.defineProperties(response, {
    url: { value: url.split('#')[0] },
    clone: { value: () => dress(clone.call(response), url) },
  })
}

/** An answer that tells how far it is. */
const watched = (
  response: Response,
  url: string,
  sent: Blob | ReadableStream | undefined,
  onProgress: (progress: Progress) => void,
): Response => {
  // What it throws is its own affair, as with the listener of an event.
  const tell = (progress: Progress) => {
    try {
      onProgress(progress)
    } catch (error) {
      reportError(error)
    }
  }
  if (sent instanceof Blob && sent.size) tell({ type: 'upload', loaded: sent.size, total: sent.size })
  const length = response.headers.get('content-length')
  let total = length === null ? null : Number(length)
  let loaded = 0
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      loaded += piece.byteLength
      // What was sent compressed is longer than it says.
      if (total !== null && loaded > total) total = null
      controller.enqueue(piece)
      tell({ type: 'download', loaded, total })
    },
  })
  return dress(new Response(response.body?.pipeThrough(count), response), url)
}
