/**
 * One object for the whole app, made when a module is loaded. It connects when it is first used, finishes a login whose
 * response is in the URL, and tells listeners about each change.
 */
import type {
  Auth,
  AuthOptions,
  AuthSource,
  AuthState,
  LoginOptions,
  Strongroom,
  StrongroomErrorLike,
  WorkerSource,
} from './api.js'
import { connect, connectFrame } from './connect.js'
import { needsUser } from './end-reason.js'
import { createTarget, failTarget, type LazyClient } from './lazy-target.js'

/** Milliseconds. A vault that fails again within this time after a new connection is not replaced again. */
const PAUSE = 60_000

/** WebKit's shared workers may end with a tab, and cannot store keys: docs/browsers.md. */
const createWorker = ({ shared, dedicated }: WorkerSource) => {
  const isWebKit = navigator.vendor.startsWith('Apple')
  return shared && (!dedicated || (globalThis.SharedWorker && !isWebKit)) ? shared() : dedicated!()
}

const showPath = (path: string) => history.replaceState(history.state, '', path)

/**
 * Creates the object through which an app signs in and calls its APIs. Nothing happens until it is used, so a module may
 * create it, also on a server.
 *
 * @param source The app's workers, or `{ frame }` with the URL of a vault on its own origin, or the path of a token
 *   handler such as `/auth`.
 */
export const createAuth = (
  source: AuthSource,
  { onReturn = showPath, ...options }: AuthOptions = {},
): Auth => {
  const listeners = new Set<(state: AuthState) => void>()
  let state: AuthState = {
    status: 'connecting',
    session: null,
    endReason: null,
    elsewhere: false,
    expiring: null,
    error: null,
  }
  let client: LazyClient | undefined
  /** Resolves when the vault has responded. Then a callback is in flight. */
  let opened: Promise<LazyClient> | undefined
  /** Resolves after the callback. */
  let ready: Promise<LazyClient> | undefined
  let lastReconnect = -PAUSE

  const update = (changes: Partial<AuthState>) => {
    state = { ...state, ...changes }
    for (const listener of listeners) listener(state)
  }
  const view = ({ session, endReason, elsewhere }: Strongroom) => ({
    session,
    endReason,
    elsewhere,
    expiring: null,
  })
  const fail = (error: StrongroomErrorLike) => update({ status: 'failed', error })

  const open = async () => {
    const next = await (typeof source === 'string'
      ? connect(source, options)
      : 'frame' in source
        ? connectFrame(source.frame, options)
        : connect(() => createWorker(source), options))
    next.on('change', ({ session }) => update({ ...view(next), ...(session && { error: null }) }))
    next.on('expiring', ({ at }) => update({ expiring: at }))
    next.on('failed', (error) => {
      const isAgain = performance.now() - lastReconnect < PAUSE
      if (isAgain) fail(error)
      else auth.reconnect().catch(() => {})
    })
    return (client = next)
  }

  /** Finishes a login. Its failure is in the state, and the app works as before. */
  const finish = async (next: LazyClient, callback: ReturnType<Strongroom['handleCallback']>) => {
    let error: StrongroomErrorLike | null = null
    const back = await callback.catch((failure) => (error = failure))
    if (back?.returnTo) onReturn(back.returnTo)
    update({ status: 'connected', ...view(next), error })
    return next
  }

  const start = () => {
    if (ready) return
    let callback: ReturnType<Strongroom['handleCallback']>
    opened = open().then((next) => {
      callback = next.handleCallback()
      return next
    })
    ready = opened.then((next) => finish(next, callback))
    ready.catch(fail)
  }
  const connected = () => {
    start()
    return ready!
  }

  const auth: Auth = {
    get state() {
      return state
    },
    subscribe(listener) {
      // A server renders the state as it is.
      if (globalThis.document) start()
      // Each subscription counts, also if the listener is the same.
      const own = (state: AuthState) => listener(state)
      listeners.add(own)
      own(state)
      return () => listeners.delete(own)
    },
    connect: connected,
    fetch: async (input, init) => (await connected()).fetch(input, init),
    eventSource: (url, init) => live('eventSource', url, init),
    webSocket: (url, protocols) => live('webSocket', url, protocols),
    // Without a turn in between when connected, so that a popup opens in the click.
    login(login?: LoginOptions) {
      if (client) return client.login(login)
      start()
      // In the turn in which the callback begins, so that the login waits for it.
      return opened!.then((next) => next.login(login))
    },
    logout: async (logout) => (await connected()).logout(logout),
    async requireSession(login) {
      await connected()
      const { session, endReason, error } = state
      if (session || error || needsUser(endReason)) return session
      return auth.login(login)
    },
    async reconnect() {
      lastReconnect = performance.now()
      update({ status: 'connecting', error: null })
      try {
        if (!client) ready = undefined
        else await client.reconnect()
        const next = await connected()
        update({ status: 'connected', ...view(next) })
      } catch (error) {
        fail(error as StrongroomErrorLike)
        throw error
      }
    },
    close() {
      client?.close()
    },
  }

  /** Returns an event source or a socket that opens when the vault is connected. */
  const live = (kind: 'eventSource' | 'webSocket', url: string | URL, options: any): any => {
    if (client) return client[kind](url, options)
    const target = createTarget(url)
    connected().then(
      (next) => next[kind](url, options, target),
      (error) => failTarget(target, error),
    )
    return target
  }
  return auth
}
