/**
 * Solid components and functions for an `Auth`. On a server, and in the page until `AuthProvider` is mounted, they
 * render the initial state, in which the vault is not connected yet.
 *
 * @module
 */
import {
  createComponent,
  createContext,
  createEffect,
  createMemo,
  createSignal,
  mergeProps,
  onCleanup,
  onMount,
  Show,
  useContext,
} from 'solid-js'
import type { Accessor, Component, JSX } from 'solid-js'
import type { DefaultClaims, LoginOptions, Session } from '../page/api.js'
import type { Auth, AuthState } from '../page/auth/auth.js'
import { INITIAL_STATE } from '../page/auth/initial-state.js'
import { subscribeToUserChange } from './user-change.js'

const Context = createContext<Auth<any>>()

/** Makes `auth` available to the components and functions of this module, and connects it when mounted. */
export const AuthProvider = (props: { auth: Auth<any>; children?: JSX.Element }): JSX.Element => {
  const [state, setState] = createSignal<AuthState<any>>(INITIAL_STATE)
  onMount(() => onCleanup(props.auth.subscribe(setState)))
  const value = {
    ...props.auth,
    get state() {
      return state()
    },
  }
  return createComponent(Context.Provider, {
    value,
    get children() {
      return props.children
    },
  })
}

/**
 * Returns the provided `Auth`, whose property `state` is reactive.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export const useAuth = <Claims = DefaultClaims>(): Auth<Claims> => {
  const auth = useContext(Context)
  if (!auth) throw new Error('strongroom/solid needs <AuthProvider auth={auth}> around the app.')
  return auth
}

/** Returns an accessor whose value is the session, or `null`. */
export const useSession = <Claims = DefaultClaims>(): Accessor<Session<Claims> | null> => {
  const auth = useAuth<Claims>()
  return () => auth.state.session
}

/**
 * Calls `listener` when another user has signed in, also in another tab, before the page shows the new session. Use it to
 * clear the cached data of the first user (docs/clients.md). Call it in a component that is always mounted.
 */
export const useUserChange = (listener: () => void): void => {
  const auth = useAuth()
  onMount(() => onCleanup(subscribeToUserChange(auth, listener)))
}

/** Properties of {@link RequireSession}. */
export interface RequireSessionProps {
  /** The part of the page that needs a session. */
  children?: JSX.Element
  /**
   * Shown if the user has to decide about a login: after a session ended with `logged_out`, `idle`, `absolute`,
   * `session_expired` or `security`, and after an error. The fallback needs a button that calls `login()`.
   */
  fallback?: JSX.Element
  /** Shown while the vault connects, and until a login leaves the page. */
  pending?: JSX.Element
  /** Options of the login. */
  login?: LoginOptions | undefined
}

/** Properties of Solid's `Show`. */
interface ShowProps {
  when: unknown
  fallback: JSX.Element
  children: JSX.Element
}

const NO_PROPS = { children: undefined, fallback: undefined, pending: undefined, login: undefined }

/** Shows its children if there is a session. Otherwise the component signs the user in by `requireSession()`. */
export const RequireSession = (given: RequireSessionProps): JSX.Element => {
  // Keeps the getters of the own properties, and reads no others.
  const props = mergeProps(NO_PROPS, given)
  const auth = useAuth()
  const session = createMemo(() => auth.state.session)
  const status = createMemo(() => auth.state.status)
  const [mustDecide, setMustDecide] = createSignal(false)
  createEffect(() => {
    // The effect runs again when `status` changes, because a new connection may bring a session.
    status()
    if (session()) return
    let isCurrent = true
    const decide = () => isCurrent && setMustDecide(true)
    auth.requireSession(props.login).then(decide, decide)
    onCleanup(() => {
      isCurrent = false
      setMustDecide(false)
    })
  })
  // The cast is needed because the overloads of `Show` are made for JSX.
  return createComponent(Show as Component<ShowProps>, {
    get when() {
      return session()
    },
    get fallback() {
      return mustDecide() ? props.fallback : props.pending
    },
    get children() {
      return props.children
    },
  })
}
