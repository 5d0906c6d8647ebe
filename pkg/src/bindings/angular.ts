/**
 * Angular providers, signals, a guard and an interceptor for an `Auth`.
 *
 * @module
 */
import { Location } from '@angular/common'
import { HttpErrorResponse, HttpHeaders, type HttpInterceptorFn, HttpResponse } from '@angular/common/http'
import {
  computed,
  DestroyRef,
  type EnvironmentProviders,
  inject,
  InjectionToken,
  makeEnvironmentProviders,
  provideAppInitializer,
  signal,
  type Signal,
} from '@angular/core'
import { type CanActivateFn, Router } from '@angular/router'
import { Observable } from 'rxjs'
import type { DefaultClaims, Session } from '../page/api.js'
import type { Auth, AuthState } from '../page/auth/auth.js'
import { INITIAL_STATE } from '../page/auth/initial-state.js'
import type { GuardOptions } from './guard-options.js'
import { ownOf } from '../protocol/own.js'
import { subscribeToUserChange } from './user-change.js'

export type { GuardOptions } from './guard-options.js'

/** The methods of an `Auth`, and its state as signals. */
export interface AngularAuth<Claims = DefaultClaims> extends Omit<Auth<Claims>, 'state'> {
  readonly state: Signal<AuthState<Claims>>
  readonly session: Signal<Session<Claims> | null>
}

const AUTH = new InjectionToken<AngularAuth<any>>('strongroom')

/**
 * Makes an `Auth` available to {@link injectAuth}, {@link sessionGuard} and {@link authInterceptor}. The app starts
 * when the vault is connected and the login whose response is in the URL, if any, is finished. The router's first
 * navigation is therefore to the page that the user wanted. If the connection fails, the app starts nevertheless, and
 * `state().error` is the reason.
 */
export const provideAuth = (auth: Auth<any>): EnvironmentProviders =>
  makeEnvironmentProviders([
    {
      provide: AUTH,
      useFactory: () => {
        const state = signal<AuthState<any>>(INITIAL_STATE)
        inject(DestroyRef).onDestroy(auth.subscribe(state.set))
        return { ...auth, state, session: computed(() => state().session) }
      },
    },
    provideAppInitializer(() => {
      inject(AUTH)
      return globalThis.document && auth.connect().catch(() => {})
    }),
  ])

/**
 * Returns the methods of the provided `Auth`, and its state as signals. Call this function in an injection context.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export const injectAuth = <Claims = DefaultClaims>(): AngularAuth<Claims> => inject(AUTH)

/**
 * Calls `listener` when another user has signed in, also in another tab, before the page shows the new session. Use it to
 * clear the cached data of the first user (docs/clients.md). Call it in an injection context of a part
 * that always exists, such as the root component.
 */
export const onUserChange = (listener: () => void): void => {
  inject(DestroyRef).onDestroy(subscribeToUserChange(injectAuth(), listener))
}

/**
 * Returns a guard, as in `canActivate: [sessionGuard()]`. The guard signs the user in if there is no session. On a
 * server the guard lets every navigation pass, since sessions exist only in the browser. `fallback` is a URL of the
 * app.
 */
export const sessionGuard =
  (options?: GuardOptions<string>): CanActivateFn =>
  async (_route, { url }) => {
    const [auth, router, location] = [injectAuth(), inject(Router), inject(Location)]
    if (!globalThis.document) return true
    const { fallback, login } = ownOf(options)
    const returnTo = location.prepareExternalUrl(url)
    if (await auth.requireSession({ ...login, returnTo }).catch(() => null)) return true
    const target = fallback instanceof Function ? fallback(url) : fallback
    return target ? router.parseUrl(target) : false
  }

/**
 * Returns an interceptor that sends requests of `HttpClient` through `auth.fetch`. The interceptor emits no progress
 * events.
 *
 * @param matches Returns true for the URLs of APIs that need the session. The vault checks its own rules for each
 *   request.
 */
export const authInterceptor =
  (matches: (url: URL) => boolean): HttpInterceptorFn =>
  (request, next) => {
    const { method, responseType, urlWithParams: url } = request
    if (!globalThis.document || !matches(new URL(url, document.baseURI))) return next(request)
    const { fetch } = injectAuth()
    return new Observable((subscriber) => {
      const controller = new AbortController()
      const names = request.headers.keys()
      const headers = new Headers(names.map((name) => [name, String(request.headers.getAll(name))]))
      const type = request.detectContentTypeHeader()
      if (type && !headers.has('content-type')) headers.set('content-type', type)
      const body = request.serializeBody()
      const send = async () => {
        const response = await fetch(url, { method, headers, body, signal: controller.signal })
        const { ok, status, statusText } = response
        const init = { headers: new HttpHeaders(response.headers), status, statusText, url }
        if (!ok) throw new HttpErrorResponse({ ...init, error: parse(await response.text()) })
        const value =
          responseType === 'json'
            ? parse(await response.text(), true)
            : await response[responseType === 'arraybuffer' ? 'arrayBuffer' : responseType]()
        return new HttpResponse({ ...init, body: value })
      }
      send().then(
        (response) => {
          subscriber.next(response)
          subscriber.complete()
        },
        (error) =>
          subscriber.error(
            error instanceof HttpErrorResponse ? error : new HttpErrorResponse({ error, status: 0, url }),
          ),
      )
      return () => controller.abort()
    })
  }

/**
 * Returns the JSON value of a body, or `null` for an empty body. Returns the body itself if it is not JSON, or throws
 * if `isStrict` is true.
 */
const parse = (body: string, isStrict = false): unknown => {
  try {
    return body ? JSON.parse(body) : null
  } catch (error) {
    if (isStrict) throw error
    return body
  }
}
