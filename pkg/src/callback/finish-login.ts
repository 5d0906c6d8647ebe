/**
 * The callback page: the page at the redirect URI, as a page of its own with only this code. With its headers, script on
 * the app's other pages cannot read the response of a login that it has begun itself.
 *
 * ```ts
 * // callback.ts, the only script of /callback
 * import { finishLogin } from 'strongroom/callback'
 * import { dedicated, shared } from './workers.ts'   // as createAuth() gets them
 *
 * finishLogin({ shared, dedicated, app: () => import('./main.ts') })
 * ```
 *
 * The vault's configuration needs `callbackPage: true`, and the page needs headers: docs/callback-page.md.
 *
 * @module
 */
import { POPUP_MARK } from '../../glue/constants.js'
import { accountOf, appOf, hasParameters, showUrl, stateOf } from '../page/address.js'
import type { WorkerSource } from '../page/auth/auth.js'
import { createWorker } from '../page/auth/create-worker.js'
import { refusals, watchRefusals } from '../page/connection/refused-worker.js'
import { createError } from '../page/errors/error-text.js'
import { isNews } from '../page/errors/news.js'
import { listen } from '../page/listen.js'
import { writeNote, type LoginNote } from '../page/login/note.js'
import {
  type AnyWorker,
  HANDSHAKE_TIMEOUT,
  type LoginOutcome,
  passResponse,
} from '../page/login/pass-response.js'
import { announce } from '../page/login/popup-announcement.js'
import { whenShown } from '../page/prerendering.js'
import type { Warning } from '../protocol/frame-messages.js'
import { isLoopback } from '../protocol/loopback.js'
import { repeat } from '../protocol/repeat.js'
import { warnAboutPage } from './page-warnings.js'
import { hasMethod, ownOf } from '../protocol/own.js'

// api.ts also declares the worker options that TypeScript's library does not have.
export type { StrongroomErrorLike } from '../page/api.js'

/** Options of {@link finishLogin}. `shared` and `dedicated` create the same workers as those of `createAuth()`. */
export interface FinishLoginOptions extends Pick<WorkerSource, 'shared' | 'dedicated'> {
  /**
   * Loads the app's entry, as in `() => import('./main.ts')`. Needed if the session is only in the memory of a worker
   * that would end with this page: the app then starts in this document, at the address to which the login returns.
   * Everywhere else the browser continues to that address, and this function is not called.
   */
  app?: () => unknown
  /** The page to go to if the target of the login is not known. Default: the folder of the callback page. */
  home?: string
}

/** Milliseconds after which a popup that could not close continues to the app. */
const CLOSE_DELAY = 1000

/**
 * Finishes the login whose response is in the page's URL, and continues to the app. Call this function once, before
 * anything else in the page's only script.
 *
 * The function takes the response out of the URL, and passes it to the vault and to nothing else. If the login fails,
 * `createAuth()` in the app has the error in `auth.state.error`.
 *
 * Resolves when the browser was sent to the app, or the app's entry has been loaded. Never rejects, unless `app` does.
 */
export const finishLogin = async (given: FinishLoginOptions): Promise<void> => {
  const options = ownOf(given)
  // The headers of this page forbid frames. Without them, a frame of the app's pages gets nothing here.
  if (parent !== window) return
  const { pathname, href } = location
  // Nothing comes before this. After it, the response is in no address, no history and no Referer.
  showUrl(pathname)
  const home = appPage(new URL(options.home ?? './', location.href)) ?? new URL('/', location.origin)
  const url = new URL(href)
  if (!hasParameters(url)) return location.replace(home)
  await whenShown()
  warnAboutPage()

  const state = stateOf(url)
  const popupState = state?.endsWith(POPUP_MARK) ? state : undefined
  // The opener must not take the popup for one that the user has closed.
  if (popupState) announce(popupState)
  const goBack = popupState ? undefined : (url: string) => location.replace(url)
  const printed: Promise<void>[] = []
  const warn = (warning: Warning) => printed.push(print(warning))
  const { outcome, worker, address, outlivesPage } = await pass(
    ownOf({ ...options, account: accountOf(url) }),
    ({ worker, failure }) => passResponse(worker, href, warn, failure, goBack),
  )
  await Promise.all(printed)
  if (popupState) {
    if (outcome.t === 'error') announce(popupState, outcome)
    window.close()
    // Script may not be allowed to close the window.
    setTimeout(() => location.replace(home), CLOSE_DELAY)
    return
  }

  const target = targetOf(outcome, home)
  const returnTo = target.href.slice(target.origin.length)
  const note: LoginNote = { state, returnTo }
  if (outcome.t === 'error') {
    const { code, message } = outcome
    Object.assign(note, { code, message })
    if (isNews(code)) console.error(`strongroom: ${code}: ${(await createError(code, message)).message}`)
  }
  try {
    writeNote(outcome.app ?? appOf(url), JSON.stringify(note))
  } catch {
    // Without sessionStorage, the app gets neither the error nor the event that a login has ended.
  }
  // Only a response that has created a session may stay in this document: the performance entries contain the code, and
  // a code that was not redeemed may still be valid.
  const isNew = outcome.t === 'settled' && !outcome.again
  if (!isNew || outcome.kept || outlivesPage) return location.replace(target)
  if (!options.app) {
    console.error(
      "strongroom: the session is lost, because this page's worker ends with the page. Pass finishLogin() the option app, or set session.persist in the worker's file: docs/callback-page.md",
    )
    return location.replace(target)
  }
  showUrl(target)
  if (worker && hasMethod(worker, 'terminate')) handOver(worker, address!, accountOf(url))
  await options.app()
}

/** Returns a URL that is a page of the app. The callback page would go to itself again and again. */
const appPage = (url: URL): URL | undefined =>
  url.origin === location.origin && url.pathname !== location.pathname ? url : undefined

/**
 * Creates the worker, and has `attempt` pass the response to it. If the worker's file fails, the response is unused, so it is
 * passed to a new worker, at the times of connect.ts.
 */
const pass = async (
  options: WorkerSource,
  attempt: (started: Started) => Promise<LoginOutcome>,
): Promise<Started & { outcome: LoginOutcome }> => {
  let started = start(options, true)
  const first = await attempt(started)
  // The page may have been in the back-forward cache until now.
  const deadline = performance.now() + HANDSHAKE_TIMEOUT * 1000
  const again = async () => {
    started = start(options, false)
    const next = await attempt(started)
    if (hasFailed(next)) throw { isFinal: isLoopback(location.hostname) }
    return next
  }
  const canRetry = started.worker && hasFailed(first) && !refusals.size
  const outcome = canRetry ? await repeat(again, deadline, {}).catch(() => first) : first
  return { ...started, outcome }
}

/** Returns true if the worker's file has failed. */
const hasFailed = (outcome: LoginOutcome): boolean =>
  outcome.t === 'error' && outcome.code === 'worker_failed'

/** Returns the app's page at which the login ends. */
const targetOf = (outcome: LoginOutcome, home: URL): URL =>
  appPage(new URL(outcome.returnTo ?? home, location.origin)) ?? home

/** A worker, and the failure of its file. */
interface Started {
  worker: AnyWorker | undefined
  /** The URL of a dedicated worker's file. */
  address: string | undefined
  /** True if the worker stays when this page ends. */
  outlivesPage: boolean
  /** Resolves when the worker fails. */
  failure: Promise<LoginOutcome>
}

const addressOf = (url: string | URL): string => new URL(url, document.baseURI).href

/**
 * Hands the worker, which has the session, to the app that starts in this document: the first worker that the app creates
 * from the same file for the same account is this one. The app's script has functions of its own, because the callback page is
 * one file.
 */
const handOver = (worker: Worker, address: string, account: number): void => {
  let isTaken = false
  globalThis.Worker = new Proxy(Worker, {
    construct(genuine, given: [string | URL, WorkerOptions?], target) {
      const isOther = addressOf(given[0]) !== address || (+(given[1]?.name ?? 0) || 0) !== account
      if (isTaken || isOther) return Reflect.construct(genuine, given, target)
      isTaken = true
      return worker
    },
  })
}

/**
 * Creates the worker, and watches the constructors: a shared worker outlives this page only if the engine reads the option
 * `extendedLifetime`, and the worker was created with it.
 */
const start = (options: WorkerSource, isExplained: boolean): Started => {
  const { SharedWorker: Genuine, Worker: GenuineDedicated } = globalThis
  let outlivesPage = false
  let address: string | undefined
  globalThis.Worker = new Proxy(GenuineDedicated, {
    construct(genuine, given: [string | URL]) {
      address = addressOf(given[0])
      return Reflect.construct(genuine, given)
    },
  })
  if (Genuine) {
    globalThis.SharedWorker = new Proxy(Genuine, {
      construct(_, [url, given]) {
        // The second argument may also be the worker's name.
        const options = typeof given === 'string' ? { name: given } : given
        return new Genuine(url, {
          ...options,
          get extendedLifetime() {
            return (outlivesPage = !!options?.extendedLifetime)
          },
        })
      },
    })
  }
  const failed = async (event?: Event): Promise<LoginOutcome> => {
    if (!isExplained) return { t: 'error', code: 'worker_failed', message: '' }
    const make = () => createWorker(options)
    const explained = import('../page/connection/worker-failure.js').then(({ explain }) =>
      explain(event, make, refusals),
    )
    return { t: 'error', code: 'worker_failed', message: await explained.catch(() => '') }
  }
  watchRefusals()
  try {
    const worker = createWorker(options)
    const failure = new Promise<LoginOutcome>((resolve) => {
      const stop = listen(worker, 'error', (event: Event) => {
        stop()
        resolve(failed(event))
      })
    })
    return { worker, address, outlivesPage, failure }
  } catch (error) {
    // For example, a Content-Security-Policy forbids the worker.
    console.error(error)
    return { worker: undefined, address, outlivesPage, failure: failed() }
  } finally {
    if (Genuine) globalThis.SharedWorker = Genuine
    globalThis.Worker = GenuineDedicated
  }
}

/** Prints a warning of the vault, as other pages do. */
const print = ({ warning, message }: Warning) =>
  createError(warning, message).then((text) => console.warn(`strongroom: ${warning}: ${text.message}`))
