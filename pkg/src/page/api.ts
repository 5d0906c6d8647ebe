/** The public interface of `strongroom`, the page's side. */
import type { Demand, DeviceCode, EndReason, Holding, Session, TraceEvent } from '../protocol/messages.js'

export type { Demand, DeviceCode, EndReason, Holding, Session, TraceEvent } from '../protocol/messages.js'

/** A connection from one page to its vault. */
export interface Strongroom {
  /** The session as of now, or `null`. Changes are announced by `on('change')`. */
  readonly session: Session | null
  /** Where the session came from with which `connect()` resolved; `null` if there was none. */
  readonly resumed: Resumed | null
  /** Why there is no session any more; `null` before the first one ends. */
  readonly endReason: EndReason | null
  /**
   * Returns true if somebody is signed in in another vault of this origin and client, and not in this one: after a
   * deployment that changed the worker file, or in the dedicated worker of another tab. Only with `persist: 'memory'`;
   * a `change` follows each time. Reload the page, or offer to sign in. See docs/deployment.md.
   */
  readonly elsewhere: boolean
  /**
   * `fetch` with the access token added inside the vault. Bound, so it can be handed to any client
   * library. Rejects with `TypeError` when the network fails, with the signal's reason when aborted,
   * and with {@link StrongroomError} when the vault refuses.
   */
  readonly fetch: (input: RequestInfo | URL, init?: VaultRequestInit) => Promise<Response>
  /**
   * An `EventSource` (HTML 9.2) whose requests carry the access token, and each new one the token of then. A
   * redirect is not followed. An `error` event has what happened in `error`: a {@link StrongroomError} if the vault
   * refused. It is no activity of the user's. See docs/fetch.md.
   *
   * @throws TypeError if the URL is none.
   */
  eventSource(url: string | URL, init?: EventSourceInit): EventSource
  /**
   * A `WebSocket` that the vault opens, with the access token where the rule's `webSocket` says. It is closed with
   * code 3000 when the session ends (`reason`: why), and with 4009 when a limit is exceeded. An `error` event has
   * what happened in `error`, if the vault knows. See docs/fetch.md.
   *
   * @throws TypeError if the URL is none.
   */
  webSocket(url: string | URL, protocols?: string | string[]): WebSocket
  /**
   * Signs the user in by the authorization code flow with PKCE (RFC 6749 4.1, RFC 7636).
   *
   * `redirect` leaves the page; the promise settles only if that fails. If `handleCallback()` of this page is in flight,
   * or begins in the same turn, `login()` waits for it first. It resolves if the callback brings a session and these
   * options ask for no more than the finished login did. It rejects with the callback's error. See docs/login.md.
   * `popup` must be called in a click handler and resolves with the session. `device` is for screens without a keyboard
   * (RFC 8628): `onCode` receives the code that the user types in on another device, and the promise resolves with the
   * session.
   */
  login(options?: LoginOptions): Promise<Session>
  /**
   * Finishes a login if the page's address is the configured redirect URI with a response in it, and
   * removes the response from the address at once. Otherwise does nothing. Call it once at start. If it rejects, the
   * error has `returnTo`, and everything else works as before.
   */
  handleCallback(url?: string | URL): Promise<CallbackResult | null>
  /**
   * Ends the session in all tabs, and revokes its refresh token (RFC 7009) if the provider supports it and can be
   * reached: the session is over either way.
   */
  logout(options?: LogoutOptions): Promise<LogoutResult>
  /**
   * Calls `listener` on each event; returns the function that stops it.
   *
   * @throws {@link StrongroomError} `message_invalid` if there is no event of this name.
   */
  on<K extends keyof Events>(type: K, listener: (event: Events[K]) => void): () => void
  /** What the vault holds, without its values. Needs `inspect: true` in the configuration. */
  inspect(): Promise<Holding[]>
  /**
   * Starts another vault after `failed`, and goes on with it: listeners stay, and hear of its session, if it
   * has one, by `change`. Event sources and sockets do not go on. Needs a function that makes the worker, as
   * `connect()` takes it. Does nothing as long as the vault is there, and after `close()`.
   *
   * @throws {@link StrongroomError} As `connect()`.
   */
  reconnect(): Promise<void>
  /** Lets go of the vault. Pending calls reject with `closed`. */
  close(): void
}

/** How `connect()` came by a session. */
export type Resumed =
  /** The worker had it: another tab is open, or the worker outlived the page (`extendedLifetime`). */
  | 'vault'
  /** It was kept (`persist: 'sealed'`), and this page's worker began with it. */
  | 'storage'
  /** The same, and a service worker had its key (`persist: 'escrow'`). */
  | 'escrow'
  /** The provider knew the user, and was asked by a trip there and back. */
  | 'redirect'
  /** The provider knew the user, and was asked in a hidden frame. */
  | 'iframe'
  /** The browser had the cookie, and the token handler opened it (`strongroom/edge`). */
  | 'cookie'

/** What can be listened to with {@link Strongroom.on}. */
export interface Events {
  /** The session began, was renewed or ended, or is gone with its vault; and `reconnect()` has found another vault. */
  change: { session: Session | null; reason: EndReason | null }
  /**
   * The session is about to end, `at` milliseconds since the Unix epoch: a tenth of `session.idle` ahead, at most
   * a minute. A `change` follows when the user does something, or when it has ended.
   */
  expiring: { at: number }
  /** Something happened in the vault. Needs `inspect: true` in the configuration. */
  trace: TraceEvent
  /** The vault stopped for good; every call from now on rejects with this error. */
  failed: StrongroomErrorLike
}

/** `RequestInit` and what only a vault understands. */
export interface VaultRequestInit extends RequestInit {
  /** Not the user's doing (a poll): does not count as activity. */
  background?: boolean
  /**
   * Is called with each piece of the answer as it comes, after it was put where `response.body` reads it, and when
   * the body was handed over: see {@link Progress}.
   */
  onProgress?: (progress: Progress) => void
}

/**
 * How far a call is, in bytes.
 *
 * `download`: what has come, decompressed; `total` is what `Content-Length` says, as long as that can be right.
 *
 * `upload`: what was handed over to the network. No script is told what of that has left the device. Of a stream
 * (`duplex: 'half'`) it is each piece; of everything else there is one call, when the answer begins.
 */
export interface Progress {
  type: 'upload' | 'download'
  loaded: number
  /** `null` if it is not known. */
  total: number | null
}

/** Options of {@link Strongroom.login}. */
export interface LoginOptions {
  /**
   * How the user gets to the provider. Default `'redirect'`. `'device'` needs `deviceFlow: true` in the
   * configuration; of the other options it heeds `scope`, `signal` and `timeout`. A token handler has no `'device'`.
   */
  mode?: 'redirect' | 'popup' | 'device'
  /** With `mode: 'device'`: is called once, with what the user is to be shown. */
  onCode?: (code: DeviceCode) => void
  /** A path within the app to come back to, with its query and fragment. Default: where the page is. */
  returnTo?: string
  /**
   * OpenID Connect Core 3.1.2.1: `none` alone, or one or more of `login`, `consent`, `select_account` and `create`
   * (Initiating User Registration 1.0), separated by spaces. Anything else is refused. With
   * `consent: 'always'` in the configuration `consent` is added, but not to `none`.
   */
  prompt?: string
  /** The user's identifier, if known. */
  loginHint?: string
  /** Preferred languages, such as `de fr`. */
  uiLocales?: string
  /**
   * Requested authentication context classes, the preferred one first. A wish (OpenID Connect Core 3.1.2.1): a
   * provider may sign the user in otherwise, and says in `acr` how, which is in `session.claims` if the
   * configuration's `claims` names it. Who needs one for sure has the API check it, and `stepUp` in its rule.
   */
  acrValues?: string
  /**
   * Seconds since the last active sign-in that are still good enough. The ID token's `auth_time` is held against it
   * (3.1.3.7), with `clockTolerance`: a provider that does not say, or ignored it, fails the login with
   * `id_token_invalid`.
   */
  maxAge?: number
  /** Scopes to ask for besides the configured ones; the configuration's `loginScopes` must name them. */
  scope?: string
  /** Other parameters for the authorization request; the configuration's `loginParams` must name them. */
  params?: Record<string, string>
  /** Gives the login up. */
  signal?: AbortSignal
  /** Seconds a popup login may take, also if the user has closed the popup unnoticed. Default 600. */
  timeout?: number
  /**
   * Rejects with `login_canceled` when the popup has looked closed for five seconds. Only for providers none of whose
   * pages, nor those of providers behind them, are served with a `Cross-Origin-Opener-Policy`, and for pages of yours
   * with none or with `same-origin-allow-popups` (HTML 7.1.3): with any other a popup looks closed while the user is
   * signing in, and no script can tell the difference. Default `false`: a popup that was closed at the provider goes unnoticed until
   * `signal` or `timeout`.
   */
  detectClose?: boolean
}

/** What a finished callback was for. */
export interface CallbackResult {
  /** The `returnTo` of the login. */
  returnTo: string
}

/** Options of {@link Strongroom.logout}. */
export interface LogoutOptions {
  /** Also end the user's session at the provider (OpenID Connect RP-Initiated Logout): leaves the page. */
  provider?: boolean
  /**
   * With `provider`: an address registered there, to come back to. Over a token handler its `postLogoutRedirectUri`
   * counts.
   */
  returnTo?: string
}

/** The result of {@link Strongroom.logout}. */
export interface LogoutResult {
  /**
   * True if the provider has confirmed that the refresh token is revoked. False if there was no refresh token, or if the
   * provider announces no `revocation_endpoint`, refused, or did not respond at once.
   */
  revoked: boolean
}

/** Options of `connect()`. */
export interface ConnectOptions {
  /**
   * Seconds the worker has to answer. Default 10. A page that is prerendered gets its worker when it is shown,
   * and its time begins then.
   */
  timeout?: number
  /**
   * What to do where there is no session: a login without the user (`prompt=none`, OpenID Connect Core 3.1.2.1),
   * which succeeds if the provider has a session of its own. Default `'none'`: nothing.
   *
   * `'redirect'` takes the page to the provider and back to the very address; `connect()` resolves in the page that
   * comes back. `'iframe'` asks in a hidden frame, for ten seconds at most: for providers of the same site, since
   * browsers keep cookies from frames of another, and only where the policies of page and redirect URI let it in.
   *
   * Whatever comes of it, `connect()` does not reject for it: see `session` and `resumed`. After a login that
   * brought nothing there is no other for five minutes in this tab, unless somebody signs in. After
   * `logout()`, after a limit of the session and after `security` there is none until somebody signs in. Pass
   * the same at the page of the redirect URI.
   */
  resume?: 'redirect' | 'iframe' | 'none'
}

/** The shape of `StrongroomError`: every refusal carries a stable `code` (docs/errors.md). */
export interface StrongroomErrorLike extends Error {
  readonly code: string
  /**
   * With `step_up_required` and `insufficient_scope`: options of the login that the API asks for (RFC 9470). Not
   * there if the configuration lets no page ask for that scope.
   */
  readonly login?: Demand
  /**
   * On errors of {@link Strongroom.handleCallback}: the `returnTo` of the login that failed, if the response belongs to
   * a login that began here. Pass it to the next `login()`, or show that page.
   */
  readonly returnTo?: string
  /**
   * With `login`, on errors of {@link Strongroom.fetch}: signs in as the API asks, by default in a popup, so call it
   * in a click handler, and sends the request again. Rejects as `login` and `fetch` do; with a `TypeError` if the
   * request's body is used up (of a `Request`, or a stream). With `mode: 'redirect'` it leaves the page, and the
   * request is lost.
   */
  readonly stepUp?: (options?: LoginOptions) => Promise<Response>
}

declare global {
  interface Document {
    /** Nobody sees this page yet (Prerendering Revamped 2.2). */
    readonly prerendering?: boolean
  }
  /** What lib.dom.d.ts does not know yet. */
  interface WorkerOptions {
    /** Keeps a SharedWorker for up to 300 s without a page (Chromium 148): across a reload or a redirect. */
    extendedLifetime?: boolean
  }
}
