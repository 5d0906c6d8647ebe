/**
 * React components and hooks for an `Auth`. On a server and during hydration, all of them render the initial state, in
 * which the vault is not connected yet.
 *
 * @module
 */
import {
  createContext,
  createElement,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react'
import type { ReactNode } from 'react'
import type { DefaultClaims, LoginOptions, Session } from '../page/api.js'
import type { Auth, AuthState } from '../page/auth/auth.js'
import { INITIAL_STATE } from '../page/auth/initial-state.js'
import { ownOf } from '../protocol/own.js'
import { subscribeToUserChange } from './user-change.js'

const Context = createContext<Auth<any> | null>(null)

/**
 * Makes `auth` available to the components and hooks of this module, and connects `auth` after the first rendering.
 * The page of the redirect URI therefore needs no other component or hook of this module.
 */
export const AuthProvider = ({ auth, children }: { auth: Auth<any>; children?: ReactNode }): ReactNode => {
  useEffect(() => auth.subscribe(() => {}), [auth])
  return createElement(Context.Provider, { value: auth }, children)
}

const useProvided = () => {
  const auth = useContext(Context)
  if (!auth) throw new Error('strongroom/react needs <AuthProvider auth={auth}> around the app.')
  return auth
}

/**
 * Returns the methods of the provided `Auth`, and the members of its state. The component renders again with each new
 * state.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export const useAuth = <Claims = DefaultClaims>(): Auth<Claims> & AuthState<Claims> => {
  const auth = useProvided()
  const state = useSyncExternalStore(
    auth.subscribe,
    () => auth.state,
    () => INITIAL_STATE,
  )
  return { ...auth, ...state, state }
}

/** Returns the session, or `null`. The component renders again only if the session changes. */
export const useSession = <Claims = DefaultClaims>(): Session<Claims> | null => {
  const auth = useProvided()
  return useSyncExternalStore(
    auth.subscribe,
    () => auth.state.session,
    () => null,
  )
}

/**
 * Calls `listener` when another user has signed in, also in another tab, before the page shows the new session. Use it to
 * clear the cached data of the first user (docs/clients.md). Use it in a component that is always mounted.
 */
export const useUserChange = (listener: () => void): void => {
  const auth = useProvided()
  const latest = useRef(listener)
  latest.current = listener
  useEffect(() => subscribeToUserChange(auth, () => latest.current()), [auth])
}

/** Properties of {@link RequireSession}. */
export interface RequireSessionProps {
  /** The part of the page that needs a session. */
  children?: ReactNode
  /**
   * Shown if the user has to decide about a login: after a session ended with `logged_out`, `idle`, `absolute`,
   * `session_expired` or `security`, and after an error. The fallback needs a button that calls `login()`.
   */
  fallback?: ReactNode
  /** Shown while the vault connects, and until a login leaves the page. */
  pending?: ReactNode
  /** Options of the login. */
  login?: LoginOptions | undefined
}

/** Shows its children if there is a session. Otherwise the component signs the user in by `requireSession()`. */
export const RequireSession = (props: RequireSessionProps): ReactNode => {
  const { children, fallback, pending, login } = ownOf(props)
  const { session, status, requireSession } = useAuth()
  const [mustDecide, setMustDecide] = useState(false)
  useEffect(() => {
    if (session) return
    let isCurrent = true
    const decide = () => isCurrent && setMustDecide(true)
    requireSession(login).then(decide, decide)
    return () => {
      isCurrent = false
      setMustDecide(false)
    }
  }, [session, status, requireSession])
  return session ? children : mustDecide ? fallback : pending
}
