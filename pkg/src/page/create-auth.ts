/**
 * The object that a whole app shares, made when a module is loaded. This object connects on first use, finishes a login
 * whose response is in the URL, and tells listeners about each change.
 */
import { showUrl } from './address.js'
import type { DefaultClaims, LoginOptions, Strongroom, StrongroomErrorLike } from './api.js'
import type { Auth, AuthOptions, AuthSource, AuthState, WorkerSource } from './auth.js'
import { connect, connectFrame } from './connect.js'
import { INITIAL_STATE } from './initial-state.js'
import { listen } from './listen.js'
import { createTarget, failTarget, type LazyClient } from './lazy-target.js'

/** Milliseconds. A vault that fails again within this time after a new connection is not replaced again. */
const PAUSE = 60_000

/** The key in localStorage of the reason why the last session ended. */
const END_REASON = 'strongroom.end'

/** WebKit's shared workers may end with a tab, and cannot store keys: docs/browsers.md. */
const createWorker = ({ shared, dedicated }: WorkerSource) => {
  const isWebKit = /^Apple/.test(navigator.vendor)
  return dedicated && (isWebKit || !shared || !globalThis.SharedWorker) ? dedicated() : shared!()
}

/** Returns the public part of the client's state. */
const view = ({ session, endReason, elsewhere }: Strongroom) => {
  // The reason outlives the vault, so that a guard does not sign the user in after a reload either.
  try {
    if (session) delete localStorage[END_REASON]
    // A tab that missed a logout finds no session, and does not know why.
    else if (endReason && endReason !== 'storage_lost') localStorage[END_REASON] = endReason
    else endReason = localStorage[END_REASON] ?? endReason
  } catch {
    // Without storage, the reason ends with the vault.
  }
  return { session, endReason, elsewhere, expiring: null }
}

/**
 * Creates the object through which an app signs in and calls its APIs. Nothing happens until it is used, so a module may
 * create it, also on a server.
 *
 * @param source The app's workers, or `{ frame }` with the URL of a vault on its own origin, or the path of a token
 *   handler such as `/auth`.
 * @typeParam Claims The claims that the configuration's `claims` names. The vault does not check their types.
 */
export const createAuth = <Claims = DefaultClaims>(
  source: AuthSource,
  { onReturn = showUrl, ...options }: AuthOptions = {},
): Auth<Claims> => {
  const events = new EventTarget()
  let state: AuthState<any> = INITIAL_STATE
  let client: LazyClient | undefined
  /** Resolves when the vault has responded. From then on a callback is in flight. */
  let opened: Promise<LazyClient> | undefined
  /** Resolves after the callback. */
  let ready: Promise<LazyClient> | undefined
  let callback: ReturnType<Strongroom['handleCallback']>
  let nextRenewal = 0

  const update = (changes: Partial<AuthState>) => {
    state = { ...state, ...changes }
    events.dispatchEvent(new Event('change'))
  }
  const fail = (error: StrongroomErrorLike) => update({ status: 'failed', error })

  const create = async () => {
    const { frame } = source as { frame?: string }
    const next: LazyClient = await (frame
      ? connectFrame(frame, options)
      : connect(typeof source === 'string' ? source : () => createWorker(source as WorkerSource), options))
    next.on('change', ({ session }) => update({ ...view(next), ...(session && { error: null }) }))
    next.on('expiring', ({ at }) => update({ expiring: at }))
    next.on('failed', (error) => {
      if (performance.now() < nextRenewal) fail(error)
      else renew()
    })
    return next
  }

  const start = () => ready ?? begin()
  /** Connects, and finishes a login. If the login fails, the error is in the state, and the app works as before. */
  const begin = (): Promise<LazyClient> => {
    const open = async () => {
      if (client) await client.reconnect()
      else client = await create()
      callback = client.handleCallback()
      return client
    }
    const finish = async (next: LazyClient) => {
      let error: StrongroomErrorLike | null = null
      const back = await callback.catch((failure) => (error = failure))
      // An error of the app's function is reported as an unhandled rejection, and changes nothing here.
      if (back?.returnTo) (async () => onReturn(back.returnTo))()
      // The vault has failed in the meantime, and is being replaced.
      if (opening !== opened) return ready!
      update({ status: 'connected', ...view(next), error })
      return next
    }
    const opening = (opened = open())
    ready = opening.then(finish)
    ready.catch(fail)
    return ready
  }
  /** Replaces a vault that has failed: reconnect.ts waits for its worker to end, and calls `createWorker` again. */
  const renew = () => {
    nextRenewal = performance.now() + PAUSE
    begin()
    update({ status: 'connecting', error: null })
  }

  const auth: Auth<any> = {
    get state() {
      return state
    },
    subscribe(listener) {
      // A server renders the state as it is.
      if (globalThis.document) start()
      // Each subscription counts, also if the listener is the same.
      const own = () => listener(state)
      const stop = listen(events, 'change', own)
      own()
      return stop
    },
    connect: start,
    fetch: async (input, init) => (await start()).fetch(input, init),
    eventSource: (url, init) => live('eventSource', url, init),
    webSocket: (url, protocols) => live('webSocket', url, protocols),
    login(login?: LoginOptions) {
      // At once and not in a later task, so that the popup opens in the click.
      if (state.status === 'connected') return client!.login(login)
      start()
      // In the turn in which the callback begins, so that the login waits for it.
      return opened!.then((next) => next.login(login))
    },
    logout: async (logout) => (await start()).logout(logout),
    async requireSession(login) {
      await start()
      return state.session ?? (await import('./guard.js')).signIn(auth, login)
    },
    async reconnect() {
      if (state.status === 'failed') renew()
      await start()
    },
    close() {
      opened?.then((next) => next.close()).catch(() => {})
    },
  }

  /** Returns an event source or a socket that opens when the vault is connected. */
  const live = (kind: 'eventSource' | 'webSocket', url: string | URL, options: any): any => {
    if (state.status === 'connected') return client![kind](url, options)
    const target = createTarget(url)
    start()
      .then((next) => next[kind](url, options, target))
      .catch((error) => failTarget(target, error))
    return target
  }
  return auth
}
