/**
 * Resumes a session without interaction, by a login with `prompt=none` (OpenID Connect Core 3.1.2.1), if `connect()`
 * finds no session. A page loads this file if it uses the option `resume`.
 *
 * Redirect loops cannot occur: attempts.ts limits the attempts, and no attempt is made if the page's URL contains a
 * response of the provider.
 */
import { POPUP_MARK } from '../../../glue/constants.js'
import { isResponse, ownPath, showUrl, stateOf, webUrl } from '../address.js'
import type { CallbackResult, ConnectOptions, Resumed, Strongroom } from '../api.js'
import { type Attempt, beginAttempt, lastAttempt, recordLogins, recordAttempt } from './attempts.js'
import { needsUser } from './end-reason.js'
import { listen } from '../listen.js'
import { load } from '../load.js'
import { AWAY, readNote, writeNote, type LoginNote } from '../login/note.js'
import type { Connection } from '../connection/connection.js'
import { whenShown } from '../prerendering.js'
import type { LazyClient } from '../streaming/lazy-target.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { hasMethod, ownOf, portOf } from '../../protocol/own.js'

/** The results of `handleCallback()` by URL. */
type Handled = Map<string, Promise<CallbackResult | null>>

/** The maximum duration in seconds of a login in a frame, and of leaving the page. */
const FRAME_TIMEOUT = 10
const NAVIGATION_TIMEOUT = 30

/**
 * Returns the end of a host's name, which hosts of one site share. Hosts under a suffix such as co.uk share it too,
 * although they are of different sites.
 */
const siteOf = ({ hostname }: Location | URL) => hostname.split('.').slice(-2).join('.')

/** The attempt in flight. Several connections of a page share this attempt. */
let inFlight: Promise<unknown> | undefined

/**
 * Resolves with `how` if a session was resumed, and otherwise with `undefined`. Rejects only if `how` is not valid or
 * cannot be used here. connect.ts passes its own `handled` and `refuse`, so that the bundle of this file does not
 * contain copies of them.
 */
export const resume = async (
  auth: LazyClient,
  connection: Connection,
  how: ConnectOptions['resume'],
  handled: Handled,
  refuse: typeof Refuse,
  app: number,
  hasCallbackPage: boolean,
): Promise<Resumed | undefined> => {
  if (how === 'none') return
  if (how !== 'redirect' && how !== 'iframe') {
    return refuse(
      'unsupported',
      `connect() cannot resume by '${how}', only by 'redirect', 'iframe' or 'none'`,
    )
  }
  if (hasCallbackPage && how === 'iframe') {
    return refuse(
      'unsupported',
      "connect() cannot resume by 'iframe' with callbackPage: true, since no frame may show the callback page. Use 'redirect'",
    )
  }
  auth.on('change', auth.recordEnd)
  auth.recordEnd()
  recordLogins(app, auth)
  const { at } = connection
  const isFramed = hasMethod(at, 'pendingState')
  if (isFramed && how === 'iframe') {
    return refuse(
      'unsupported',
      "connectFrame() cannot resume by 'iframe', since the vault's callback page cannot be in a frame. Use 'redirect'",
    )
  }
  const here = new URL(location.href)
  if (parent !== window && isForAnotherPage(here, app)) return handToParent(auth)
  const isBegun = inFlight
  if (!isBegun) {
    const state = isFramed
      ? at.pendingState()
      : isResponse(here)
        ? stateOf(here)
        : (finishedState(app) ?? stateOfError(here, app))
    if (state !== null) {
      const attempt = lastAttempt(app)
      if (!attempt?.state || attempt.state !== state) return
      inFlight = takeResponse(auth, app, attempt, handled)
    } else {
      await whenShown()
      if (auth.session || needsUser(auth.recordEnd())) return
      if (here.searchParams.has('iss') && (await isInitiated(auth, handled))) return
      if (!beginAttempt(app)) return
      inFlight = how === 'redirect' ? leavePage(connection, app) : loginInFrame(connection)
    }
  }
  const done = inFlight!
  // A failed attempt must not keep the app from starting.
  await done.catch(() => {})
  if (inFlight === done) inFlight = undefined
  if (!isBegun && auth.session) recordAttempt(app, { at: Date.now(), returnTo: ownPath(), isDone: true })
  // If another connection of this page has resumed a session, the vault announces this session. The response to
  // `inspect` arrives after this announcement.
  if (isBegun) await connection.query({ t: 'inspect' }).catch(() => {})
  return auth.session ? how : undefined
}

/**
 * Resolves with true if another site begins a login at this page's URL. The app's own handleCallback() gets the result,
 * and then begins this login in place of a silent one.
 */
const isInitiated = async (auth: Strongroom, handled: Handled) => {
  const result = auth.handleCallback()
  const isOne = await result.then(
    (back) => back !== null,
    () => true,
  )
  if (isOne) handled.set(location.href, result)
  return isOne
}

/**
 * Warns the developer if no attempt can ever succeed: with a redirect URI of another origin, the response would not
 * reach this page.
 */
const warnIfUnsupported = (error: any) => {
  if (error?.code === 'unsupported') {
    console.warn(`strongroom: no session was resumed, so leave out the option resume: ${error.message}`)
  }
}

/** Processes the provider's response after a redirect: a code, or an error if the provider needs the user. */
const takeResponse = async (auth: Strongroom, app: number, { returnTo }: Attempt, handled: Handled) => {
  const result = await auth.handleCallback().catch((error) => {
    console.info(`strongroom: no session was resumed: ${error.message}`)
    return { returnTo }
  })
  if (!result) return
  recordAttempt(app, { at: Date.now(), returnTo })
  showUrl(result.returnTo)
  // The app's own handleCallback() gets the same result.
  handled.set(location.href, Promise.resolve(result))
}

/** Returns true if the URL is the response to a login that another page began with a popup or frame. */
const isForAnotherPage = (url: URL, app: number) => isResponse(url, app) && stateOf(url)!.endsWith(POPUP_MARK)

/** Returns the `state` of the login that the callback page has just finished, or `null`. */
const finishedState = (app: number): string | null => {
  try {
    return ownOf(JSON.parse(readNote(app)!) as LoginNote | null).state ?? null
  } catch {
    // There is no sessionStorage, or the note is that of a page that has left.
    return null
  }
}

/** The errors with which a provider says that it needs the user (OpenID Connect Core 3.1.2.6). */
const NEEDS_USER = /[?&#]error=(login|interaction|consent|account_selection)_required(&|#|$)/

/**
 * Returns the `state` of this tab's attempt, if the provider has left it out of an error that is the response to it, and
 * otherwise `null`.
 */
const stateOfError = (here: URL, app: number): string | null => {
  try {
    const isAwaited = stateOf(here) === null && readNote(app)!.startsWith(AWAY)
    return isAwaited && NEEDS_USER.test(here.search + here.hash) ? (lastAttempt(app)?.state ?? null) : null
  } catch {
    // The tab has no note, or no sessionStorage.
    return null
  }
}

/**
 * Runs in the frame of `loginInFrame`. Passes the response to the surrounding page, and keeps the app from starting in
 * the frame, which is about to be removed.
 */
const handToParent = (auth: Strongroom): Promise<never> => {
  auth.handleCallback().catch(() => {})
  return new Promise(() => {})
}

/**
 * Redirects the page to the provider, and replaces its history entry. Resolves only if the browser does not leave the
 * page.
 */
const leavePage = (connection: Connection, app: number): Promise<void> =>
  new Promise((resolve) => {
    const returnTo = ownPath()
    setTimeout(resolve, NAVIGATION_TIMEOUT * 1000)
    connection.send(
      {
        respond(message) {
          if (message.t !== 'navigate') return resolve()
          const url = webUrl(message.url)
          const attempt = { at: Date.now(), returnTo, state: stateOf(url) }
          if (!recordAttempt(app, attempt)) return resolve()
          writeNote(app, AWAY + returnTo)
          location.replace(url)
          return true
        },
        // If the vault cannot begin a login, the promise resolves. The app's own login gets the reason.
        fail(error) {
          warnIfUnsupported(error)
          resolve()
        },
      },
      { t: 'login', mode: 'redirect', prompt: 'none', returnTo },
    )
  })

/**
 * Signs the user in in a hidden frame. The vault treats this login as a popup login. The page at the redirect URI runs
 * in the frame and calls `handleCallback()`, which completes the login of this page.
 */
const loginInFrame = (connection: Connection): Promise<void> =>
  new Promise((resolve) => {
    const frame = document.createElement('iframe')
    let stop: (() => void) | undefined
    let provider: URL | undefined
    const end = () => {
      clearTimeout(timer)
      stopListening()
      stop?.()
      provider = undefined
      frame.remove()
      resolve()
    }
    const giveUp = () => {
      connection.drop(id, 'cancel')
      end()
    }
    /** Warns the developer if the provider asks for the user, perhaps because it has not received its cookies. */
    const warn = (error: any) => {
      if (error?.code === 'interaction_required' && provider && siteOf(provider) !== siteOf(location)) {
        console.warn(
          `strongroom: resume: 'iframe' found no session at ${provider.origin}, which is of another site: browsers keep its cookies from a frame in this page. Use resume: 'redirect'.`,
        )
      }
    }
    const fail = (error: unknown) => {
      warn(error)
      warnIfUnsupported(error)
      end()
    }
    const go = async (url: URL) => {
      provider = url
      if (!portOf(connection.at)) {
        const failed = (error: unknown) => {
          warn(error)
          giveUp()
        }
        stop = (await load(() => import('../login/login.js'), 'follow')).follow(
          connection,
          url,
          (failure) => void failure.catch(failed),
        )
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
        fail,
      },
      { t: 'login', mode: 'popup', prompt: 'none' },
    )
    const timer = setTimeout(giveUp, FRAME_TIMEOUT * 1000)
    const stopListening = listen(window, 'pagehide', giveUp)
  })
