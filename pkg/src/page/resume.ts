/**
 * Coming back to a session without the user: a login with `prompt=none` (OpenID Connect Core 3.1.2.1) where
 * `connect()` finds no session. A file of its own, which is loaded by pages that ask for it.
 *
 * It cannot go round in circles: an attempt is written down in this tab before it begins, and there is none where
 * that cannot be done, nor soon after another, nor at a page that is itself an answer of the provider.
 */
import { isResponse, ownPath, stateOf, webUrl } from './address.js'
import type { CallbackResult, ConnectOptions, Resumed, Strongroom } from './api.js'
import { listen } from './listen.js'
import type { Connection } from './connection.js'
import type { refuse as Refuse } from './error-text.js'

/** Callbacks by address: what `handleCallback()` answers. */
type Handled = Map<string, Promise<CallbackResult | null>>

/** An attempt, as it is written down. */
interface Attempt {
  /** Milliseconds since the Unix epoch. */
  at: number
  /** Where the page was. */
  returnTo: string
  /** Which answer is its. */
  state?: string | null
  /** It brought a session. */
  isDone?: boolean
}

/** In sessionStorage: the last attempt of this tab. */
const ATTEMPT = 'strongroom.resume'
/** In localStorage: when a session ended so that only the user may begin another one. */
const ENDED = 'strongroom.ended'
/** In localStorage: when the last attempts of all tabs were. An app may clear what its tab had written down. */
const RECENT = 'strongroom.recent'
/** So many of them in a minute are enough. */
const MAX_RECENT = 6

/** Seconds before another attempt after one that brought nothing, and after one that brought a session. */
const PAUSE = 300
const SHORT_PAUSE = 10

/** Seconds for the frame to bring an answer, and for a page to be left. */
const FRAME_TIMEOUT = 10
const NAVIGATION_TIMEOUT = 30

/** After these a new session without the user would undo what was decided. */
const FINAL = ['logged_out', 'idle', 'absolute', 'security']

/** What goes on in this page: several connections share one attempt. */
let inFlight: Promise<unknown> | undefined

/**
 * Resolves with how the session came, if it came; rejects only if `how` is none of its values. The last two are index.js's
 * own, or they would be here twice.
 */
export const resume = async (
  auth: Strongroom,
  connection: Connection,
  how: ConnectOptions['resume'],
  handled: Handled,
  refuse: typeof Refuse,
): Promise<Resumed | undefined> => {
  if (how === 'none') return
  if (how !== 'redirect' && how !== 'iframe') {
    return refuse(
      'unsupported',
      `connect() cannot resume by '${how}', only by 'redirect', 'iframe' or 'none'`,
    )
  }
  recordEnds(auth)
  recordLogins(auth)
  const { at } = connection
  const isFramed = 'pendingState' in at
  if (isFramed && how === 'iframe') {
    return refuse(
      'unsupported',
      "connectFrame() cannot resume by 'iframe': nobody may put the vault's callback page into a frame. Use 'redirect'",
    )
  }
  const here = new URL(location.href)
  if (parent !== window && isForAnotherPage(here)) return handToParent(auth)
  const isBegun = inFlight
  if (!isBegun) {
    const state = isFramed ? at.pendingState() : isResponse(here) ? stateOf(here) : null
    if (state !== null) {
      const attempt = lastAttempt()
      if (!attempt?.state || attempt.state !== state) return
      inFlight = takeResponse(auth, attempt, handled)
    } else {
      if (document.prerendering) await shown()
      if (auth.session || !begin()) return
      inFlight = how === 'redirect' ? leavePage(connection) : loginInFrame(connection)
    }
  }
  const done = inFlight!
  // An address that cannot be shown is no reason not to start.
  await done.catch(() => {})
  if (inFlight === done) inFlight = undefined
  if (!isBegun && auth.session) write({ at: Date.now(), returnTo: ownPath(), isDone: true })
  // Behind the announcement of a session that another connection of this page has brought.
  if (isBegun) await connection.query({ t: 'inspect' }).catch(() => {})
  return auth.session ? how : undefined
}

/** Until a page that is prerendered is shown. */
const shown = () =>
  new Promise((resolve) => document.addEventListener('prerenderingchange', resolve, { once: true }))

/** The page is back from the provider: with a code, or with word that the user is needed. */
const takeResponse = async (auth: Strongroom, { returnTo }: Attempt, handled: Handled) => {
  const result = await auth.handleCallback().catch((error) => {
    console.info(`strongroom: no session was resumed: ${error.message}`)
    return { returnTo }
  })
  if (!result) return
  write({ at: Date.now(), returnTo })
  history.replaceState(history.state, '', result.returnTo)
  // For the app's own handleCallback(), which is to take its router there.
  handled.set(location.href, Promise.resolve(result))
}

/** Writes an attempt down, if there may be one. */
const begin = (): boolean => {
  const now = Date.now()
  const last = lastAttempt()
  const pause = last?.isDone ? SHORT_PAUSE : PAUSE
  // A clock that was set back says nothing.
  if (last && Math.abs(now - last.at) < pause * 1000) return false
  try {
    // In a frame it would be the frame that leaves, or another frame in it.
    if (parent !== window || localStorage.getItem(ENDED)) return false
    const times: number[] = JSON.parse(localStorage.getItem(RECENT) ?? '[]')
    const recent = times.filter((at) => Math.abs(now - at) < 60_000)
    if (recent.length >= MAX_RECENT) return false
    localStorage.setItem(RECENT, JSON.stringify([...recent, now]))
  } catch {
    return false
  }
  return write({ at: now, returnTo: ownPath() })
}

const lastAttempt = (): Attempt | null => {
  try {
    return JSON.parse(sessionStorage.getItem(ATTEMPT)!)
  } catch {
    return null
  }
}

/** Whether it was written: what cannot be read back is not. */
const write = (attempt: Attempt): boolean => {
  const text = JSON.stringify(attempt)
  try {
    sessionStorage.setItem(ATTEMPT, text)
    return sessionStorage.getItem(ATTEMPT) === text
  } catch {
    return false
  }
}

/** Remembers, for tabs and vaults to come, that the user has logged out, until somebody signs in. */
const recordEnds = (auth: Strongroom) => {
  const record = () => {
    try {
      const { session, endReason, elsewhere } = auth
      // A user has signed in through another worker since this session ended.
      if (elsewhere) return
      if (FINAL.includes(endReason!)) localStorage.setItem(ENDED, `${Date.now()}`)
      // A session that had begun before may be another worker's, and is nobody's signing in.
      else if (session && session.startedAt > Number(localStorage.getItem(ENDED)))
        localStorage.removeItem(ENDED)
    } catch {
      // Then there is no attempt either.
    }
  }
  auth.on('change', record)
  record()
}

/** Forgets an attempt that is over when somebody has signed in. One that brought the session is written down again. */
const recordLogins = (auth: Strongroom) => {
  const record = () => {
    const last = auth.session && lastAttempt()
    if (last && !last.isDone && !last.state) sessionStorage.removeItem(ATTEMPT)
  }
  auth.on('change', record)
  record()
}

/** Whether a login began in a page that did not leave for it. A frame in which it did is an app like any other. */
const isForAnotherPage = (url: URL) => isResponse(url) && stateOf(url)!.endsWith('.p')

/**
 * In the frame of `loginInFrame`: hands the answer over, and keeps the app from starting in a page that is about to go. Whatever
 * the answer is, the page around has it.
 */
const handToParent = (auth: Strongroom): Promise<never> => {
  auth.handleCallback().catch(() => {})
  return new Promise(() => {})
}

/** Takes the page to the provider, in the place of this entry of the history. Resolves only if it stays. */
const leavePage = (connection: Connection): Promise<void> =>
  new Promise((resolve) => {
    const returnTo = ownPath()
    setTimeout(resolve, NAVIGATION_TIMEOUT * 1000)
    connection.send(
      {
        respond(message) {
          if (message.t !== 'navigate') return resolve()
          const url = webUrl(message.url)
          const attempt = { at: Date.now(), returnTo, state: stateOf(url) }
          if (!write(attempt)) return resolve()
          location.replace(url)
          return true
        },
        // The vault cannot begin a login: the app's own says why.
        fail: () => resolve(),
      },
      { t: 'login', mode: 'redirect', prompt: 'none', returnTo },
    )
  })

/**
 * Asks in a hidden frame. For the vault it is a popup's login: the page that the provider sends the frame to
 * calls `handleCallback()`, and this page's login is done.
 */
const loginInFrame = (connection: Connection): Promise<void> =>
  new Promise((resolve) => {
    const frame = document.createElement('iframe')
    let stop: (() => void) | undefined
    const end = () => {
      clearTimeout(timer)
      stopListening()
      stop?.()
      frame.remove()
      resolve()
    }
    const giveUp = () => {
      connection.drop(id, 'cancel')
      end()
    }
    const go = async (url: URL) => {
      if (!('port' in connection.at)) {
        const fail = (failure: Promise<never>) => failure.catch(giveUp)
        stop = (await import('./popup-login.js')).follow(connection, url, fail)
      }
      frame.hidden = true
      frame.src = url.href
      document.documentElement.append(frame)
    }
    const id = connection.send(
      {
        respond(message) {
          if (message.t !== 'navigate') return end()
          go(webUrl(message.url)).catch(giveUp)
          return true
        },
        fail: end,
      },
      { t: 'login', mode: 'popup', prompt: 'none' },
    )
    const timer = setTimeout(giveUp, FRAME_TIMEOUT * 1000)
    const stopListening = listen(window, 'pagehide', giveUp)
  })
