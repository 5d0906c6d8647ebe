/**
 * A Vue plugin, a composable and a router guard for an `Auth`. On a server, and in the page until the first component
 * that calls `useAuth()` is mounted, the state is the initial one, in which the vault is not connected yet.
 *
 * @module
 */
import { computed, inject, onMounted, onUnmounted, shallowRef } from 'vue'
import type { App, ComputedRef, InjectionKey, ShallowRef } from 'vue'
import type { DefaultClaims, Session } from '../page/api.js'
import type { Auth, AuthState } from '../page/auth/auth.js'
import { INITIAL_STATE } from '../page/auth/initial-state.js'
import type { GuardOptions } from './guard-options.js'
import { ownOf } from '../protocol/own.js'
import { subscribeToUserChange } from './user-change.js'

export type { GuardOptions } from './guard-options.js'

/** The methods of an `Auth`, and its state as refs. */
export interface VueAuth<Claims = DefaultClaims> extends Omit<Auth<Claims>, 'state'> {
  readonly state: Readonly<ShallowRef<AuthState<Claims>>>
  readonly session: ComputedRef<Session<Claims> | null>
}

const KEY: InjectionKey<{ auth: VueAuth<any>; start(): void }> = Symbol('strongroom')

/** Makes an `Auth` available to {@link useAuth}: `app.use(authPlugin, auth)`. */
export const authPlugin = {
  install(app: App, auth: Auth<any>): void {
    const state = shallowRef<AuthState<any>>(INITIAL_STATE)
    let stop: (() => void) | undefined
    const start = () => {
      stop ??= auth.subscribe((next) => (state.value = next))
    }
    app.onUnmount(() => stop?.())
    const session = computed(() => state.value.session)
    app.provide(KEY, { auth: { ...auth, state, session }, start })
  },
}

/**
 * Returns the methods of the provided `Auth`, and its state as refs. Call this function in `setup`.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export const useAuth = <Claims = DefaultClaims>(): VueAuth<Claims> => {
  const provided = inject(KEY, null)
  if (!provided) throw new Error('strongroom/vue needs app.use(authPlugin, auth).')
  // The subscription starts after mounting, so that the first rendering equals the server's.
  onMounted(provided.start)
  return provided.auth
}

/**
 * Calls `listener` when another user has signed in, also in another tab, before the page shows the new session. Use it to
 * clear the cached data of the first user (docs/clients.md). Call it in `setup` of a component that is
 * always mounted.
 */
export const useUserChange = (listener: () => void): void => {
  const auth = useAuth()
  let stop: (() => void) | undefined
  onMounted(() => (stop = subscribeToUserChange(auth, listener)))
  onUnmounted(() => stop?.())
}

/** The part of a route that a guard needs. */
interface Destination {
  fullPath: string
  /** The path, beginning with the router's base. Vue Router sets this property, but its types do not declare it. */
  href?: string
}

/**
 * Returns a guard for Vue Router, as in `beforeEnter: sessionGuard(auth)`. The guard signs the user in if there is no
 * session. On a server the guard lets every navigation pass, since sessions exist only in the browser.
 */
export const sessionGuard =
  <Target = string>(auth: Auth<any>, options?: GuardOptions<Target>) =>
  async ({ fullPath, href = fullPath }: Destination): Promise<boolean | Target> => {
    if (!globalThis.document) return true
    const { fallback, login } = ownOf(options)
    const session = await auth.requireSession({ ...login, returnTo: href }).catch(() => null)
    if (session) return true
    return fallback instanceof Function ? fallback(fullPath) : (fallback ?? false)
  }
