/** The public interface of `strongroom` for pages. */
import type { Code } from '../generated/codes.js'
import type { EndReason } from '../generated/end-reasons.js'
import type { Session } from '../generated/session.js'
import type { Demand, DeviceCode, Holding, TraceEvent } from '../protocol/messages.js'

export type { Code } from '../generated/codes.js'
export type { EndReason } from '../generated/end-reasons.js'
export type { Session } from '../generated/session.js'
export type { DefaultClaims, Demand, DeviceCode, Holding, TraceEvent } from '../protocol/messages.js'

/** A connection between one page and its vault. */
export interface Strongroom {
  /** The current session, or `null`. `on('change')` announces changes. */
  readonly session: Session | null
  /** The source of the session with which `connect()` resolved; `null` if there was no session. */
  readonly resumed: Resumed | null
  /** The reason why the last session ended; `null` before the first session ends. */
  readonly endReason: EndReason | null
  /**
   * True if a user is signed in in another vault of this origin and client, but not in this vault. The other vault
   * belongs to a deployment with another worker file, or is the dedicated worker of another tab. Always false unless
   * `persist` is `'memory'`. A `change` event follows each change of this value. Reload the page, or offer to sign in.
   * See docs/deployment.md.
   */
  readonly elsewhere: boolean
  /**
   * `fetch` with the access token, which the vault adds. The function is bound, so it can be passed to any client
   * library. Rejects with `TypeError` when the network fails, with the signal's reason when aborted, and with a
   * `StrongroomError` when the vault refuses.
   */
  readonly fetch: (input: RequestInfo | URL, init?: VaultRequestInit) => Promise<Response>
  /**
   * An `EventSource` (HTML 9.2) whose requests carry the current access token. Redirects are not followed. The property
   * `error` of an `error` event is the cause. The cause is a `StrongroomError` if the vault refused the request.
   * An event source does not extend the idle timeout. See docs/event-sources-and-sockets.md.
   *
   * @throws TypeError if the URL is not valid.
   */
  eventSource(url: string | URL, init?: EventSourceInit): EventSource
  /**
   * A `WebSocket` that the vault opens. The URL must match a rule, which is an entry of `apis` in the configuration.
   * The rule's option `webSocket` says where the access token goes. The socket is closed with code 3000 when the
   * session ends (`reason` is the session's end reason), and with 4009 when a limit is exceeded. The property `error`
   * of an `error` event is the cause, if the vault knows the cause. See docs/event-sources-and-sockets.md.
   *
   * @throws TypeError if the URL is not valid.
   */
  webSocket(url: string | URL, protocols?: string | string[]): WebSocket
  /**
   * Resolves with true when a service worker with `media()` of `strongroom/media` controls the page, so that elements can
   * load addresses below its path. Waits for a service worker that is being installed, and asks it to control the page.
   * Resolves with false after ten seconds without one, and at once if no rule has `media`, over a token handler, or in a
   * browser without service workers. See docs/media.md.
   */
  media(): Promise<boolean>
  /**
   * Downloads a file from an address below the path of `media()`, whose response streams to the disk. Resolves when the
   * download has begun. See docs/media.md#downloads.
   *
   * @throws `StrongroomError` `unsupported` if no service worker with `media()` controls this page, if the address is not
   *   below its path, or over a token handler, and `download_failed` if the file cannot be loaded.
   */
  download(path: string | URL, options?: DownloadOptions): Promise<void>
  /**
   * Signs the user in by the authorization code flow with PKCE (RFC 6749 4.1, RFC 7636).
   *
   * `redirect` leaves the page; the promise settles only if the page is not left. If `handleCallback()` of this page is
   * in flight, or begins in the same turn, `login()` waits for the callback first. `login()` resolves if the callback
   * results in a session and `options` requires nothing beyond the finished login. If the callback fails, `login()`
   * rejects with the callback's error. See docs/login.md#during-a-callback. `popup` must be called in a click handler
   * and resolves with the session. `device` is for screens without a keyboard (RFC 8628): `onCode` receives the code
   * that the user types in on another device, and the promise resolves with the session. `custom` is for shells such as
   * Electron, Tauri, Capacitor and browser extensions: `open` shows the provider's page, and the promise resolves with
   * the session.
   *
   * If a user is signed in and neither the options nor the session need the provider, the promise resolves with the
   * session at once: see docs/login.md#options-of-a-page. Use `prompt: 'select_account'` to change the user.
   */
  login(options?: LoginOptions): Promise<Session>
  /**
   * Finishes a login if the page's URL is the configured redirect URI and contains a response, and removes the response
   * from the URL immediately. If another site begins a login at the configured `initiateLoginUri`, resolves with its
   * target, and with `login` if a login should begin. Otherwise does nothing, and resolves with `null`. Call this method
   * once when the app starts. If this method rejects, the client stays usable. The error has `returnTo` if the response
   * belongs to a login that began here.
   */
  handleCallback(url?: string | URL): Promise<CallbackResult | null>
  /**
   * Ends the session in all tabs, and revokes its refresh token (RFC 7009) if the provider supports revocation and can
   * be reached. The session ends even if the refresh token is not revoked.
   */
  logout(options?: LogoutOptions): Promise<LogoutResult>
  /**
   * Calls `listener` on each event. Returns a function that removes the listener.
   *
   * @throws `StrongroomError` `message_invalid` if there is no event of this name.
   */
  on<K extends keyof Events>(type: K, listener: (event: Events[K]) => void): () => void
  /** Lists the tokens and logins that the vault holds, without values. Needs `inspect: true` in the configuration. */
  inspect(): Promise<Holding[]>
  /**
   * Connects to a new vault after `failed`. Listeners stay, and a `change` event announces the session of the new
   * vault, or `null`. Event sources and sockets are not reopened. `connect()` must have been given a function that
   * makes the worker. Does nothing while the vault works, and after `close()`.
   *
   * @throws `StrongroomError` The errors of `connect()`.
   */
  reconnect(): Promise<void>
  /** Disconnects from the vault. Pending calls reject with `closed`. */
  close(): void
}

/** Options of {@link Strongroom.download}. */
export interface DownloadOptions {
  /** The name of the file. Default: the last segment of the address. */
  name?: string
}

/** The source of the session with which `connect()` resolved. */
export type Resumed =
  /** The worker had the session: another tab is open, or the worker outlived the page (`extendedLifetime`). */
  | 'vault'
  /** This page's worker restored the stored session (`persist: 'sealed'`). */
  | 'storage'
  /** This page's worker restored the session with a key that a service worker held (`persist: 'escrow'`). */
  | 'escrow'
  /** The page went to the provider and back, and the provider had a session of its own. */
  | 'redirect'
  /** A hidden frame went to the provider, and the provider had a session of its own. */
  | 'iframe'
  /** The browser had the cookie of a token handler (`strongroom/edge`). */
  | 'cookie'

/** The events of {@link Strongroom.on}. */
export interface Events {
  /**
   * Fired when the session began, was refreshed or ended, when activity of the user has postponed the end that
   * `expiring` announced, when `elsewhere` has changed, when the session's vault is gone, or when `reconnect()` has
   * connected to a new vault.
   */
  change: {
    session: Session | null
    reason: EndReason | null
    /**
     * Present if the session belongs to another user than the last session of this page. There may have been no event
     * between the two sessions. Clear everything that the page keeps of the first user: see docs/clients.md.
     */
    userChanged?: true
  }
  /**
   * The session is about to end at the time `at`, in milliseconds since the Unix epoch. Fired a tenth of `session.idle`
   * before that time, but at most a minute before. A `change` follows when activity of the user has postponed the end,
   * or when the session has ended.
   */
  expiring: { at: number }
  /** A call of `fetch()` has got its response, or has failed: see {@link CallEvent}. */
  call: CallEvent
  /** An event in the vault. Needs `inspect: true` in the configuration. */
  trace: TraceEvent
  /**
   * The vault has stopped. All further calls reject with this error until `reconnect()` has connected to a new vault.
   */
  failed: StrongroomErrorLike
}

/**
 * A call of `fetch()`, for monitoring: tools that replace the page's `fetch` do not see the calls of a vault, which its
 * worker sends. Contains no query, header or body.
 */
export interface CallEvent {
  /** The address, without query and fragment. */
  url: string
  method: string
  /** The status of the response, or 0 if the call failed. */
  status: number
  /** Milliseconds from the call to the head of the response, or to the failure. */
  duration: number
}

/** `RequestInit` with the options of a vault. */
export interface VaultRequestInit extends RequestInit {
  /**
   * True for a request that the user did not cause, such as a poll. Such a request does not extend the idle timeout.
   * Default false.
   */
  background?: boolean
  /**
   * Called for each chunk of the response, after `response.body` has received it, and when the request's body was
   * handed over to the network: see {@link Progress}.
   */
  onProgress?: (progress: Progress) => void
}

/**
 * The progress of a call, in bytes.
 *
 * `download`: decompressed bytes received so far. `total` is the value of `Content-Length`. It is `null` if this header
 * cannot be read, and after more bytes than the header says have arrived. If the API's rule has `reflection: 'refuse'`,
 * which is the default, the header can be read only for bodies of at most 64 KB that arrive at once.
 *
 * `upload`: bytes handed over to the network. Browsers do not tell scripts how many of these bytes were sent. A stream
 * (`duplex: 'half'`) is reported chunk by chunk. Any other body is reported once, when the response begins.
 */
export interface Progress {
  type: 'upload' | 'download'
  loaded: number
  /** `null` if not known. */
  total: number | null
}

/** Options of {@link Strongroom.login}. */
export interface LoginOptions {
  /**
   * The way in which the user gets to the provider. Default `'redirect'`. `'device'` needs `deviceFlow: true` in the
   * configuration, and uses only the options `scope`, `signal` and `timeout`. `'custom'` needs `customLogin: true` in
   * the configuration, and the option `open`. A token handler supports neither `'device'` nor `'custom'`.
   */
  mode?: 'redirect' | 'popup' | 'device' | 'custom'
  /** With `mode: 'custom'`: opens the authorization URL, and resolves with the address of the response. */
  open?: OpenAuthorization
  /**
   * With `mode: 'custom'`: the port at which the app waits for the response (RFC 8252 7.3), an integer from 1 to 65535.
   * The configuration's `redirectUri` must be `http://127.0.0.1` or `http://[::1]` with a path. Default: the port in
   * `redirectUri`.
   */
  port?: number
  /** With `mode: 'device'`: called once, with the code to show to the user. */
  onCode?: (code: DeviceCode) => void
  /**
   * The path within the app to come back to, with query and fragment. Default: the path of the page. If it is longer
   * than 16 KiB (over a token handler: 2 KiB), the user comes back to the path without query and fragment.
   */
  returnTo?: string
  /**
   * The parameter `prompt` (OpenID Connect Core 3.1.2.1): `none` alone, or one or more of `login`, `consent`,
   * `select_account` and `create` (Initiating User Registration 1.0), separated by spaces. Anything else is refused.
   * With `consent: 'always'` in the configuration `consent` is added, but not to `none`.
   */
  prompt?: string
  /** The user's identifier, if known. */
  loginHint?: string
  /** Preferred languages, such as `de fr`. */
  uiLocales?: string
  /**
   * Requested authentication context classes, in order of preference (OpenID Connect Core 3.1.2.1). The provider may
   * ignore these classes. The provider puts the actual class in `acr`, which is in `session.claims` if the
   * configuration's `claims` names it. If an API requires a class, let the API check it, and set `stepUp` in its rule.
   */
  acrValues?: string
  /**
   * The maximum number of seconds since the user last signed in actively. The ID token's `auth_time` is checked (OpenID
   * Connect Core 3.1.3.7), with `clockTolerance`. The login fails with `id_token_invalid` if `auth_time` is missing or a
   * clock is wrong, and with `sign_in_not_repeated` if the provider did not ask the user to sign in again.
   */
  maxAge?: number
  /** Scopes to request besides the configured scopes. The configuration's `loginScopes` must name these scopes. */
  scope?: string
  /** Other parameters for the authorization request. The configuration's `loginParams` must name these parameters. */
  params?: Record<string, string>
  /** Cancels the login. */
  signal?: AbortSignal
  /**
   * The time limit of the login in seconds, which also ends a login whose popup was closed unnoticed: a number from 0 to
   * 2147483. Default 600.
   */
  timeout?: number
  /**
   * Rejects with `login_canceled` when the popup has looked closed for five seconds. Use this option only if no page of
   * the provider, or of another provider at which the user signs in on the way, is served with a
   * `Cross-Origin-Opener-Policy`. Your own pages must have either no such policy or the policy
   * `same-origin-allow-popups` (HTML 7.1.3). With any other policy a popup looks closed while the user is signing in,
   * and no script can tell the difference. Default `false`: a popup that was closed at the provider goes unnoticed
   * until `signal` or `timeout`.
   */
  detectClose?: boolean
}

/**
 * Opens an authorization URL for {@link Strongroom.login} with `mode: 'custom'`: in a window, a browser or another view
 * of the shell. Resolves with the whole address to which the provider has redirected, which is the redirect URI with the
 * provider's response. The vault checks this address in the same way as that of a callback.
 *
 * If the function rejects, or resolves without an address, the login rejects with `login_canceled`. `signal` is aborted
 * if the login ends while the function is pending: by the option `signal` of `login()`, by its `timeout`, or because the
 * vault is gone.
 */
export type OpenAuthorization = (url: string, options: { signal: AbortSignal }) => string | Promise<string>

/** The result of {@link Strongroom.handleCallback}. */
export interface CallbackResult {
  /** The `returnTo` of the login. */
  returnTo: string
  /**
   * The options of a login that another site has begun, such as the portal of a provider. Absent if a user is signed in,
   * and in a frame. `createAuth()` begins this login as `requireSession()` would: not after a sign-out, and at most three
   * times a minute. With `connect()`, the app must check this itself.
   */
  login?: LoginOptions | undefined
}

/** Options of {@link Strongroom.logout}. */
export interface LogoutOptions {
  /**
   * Also ends the user's session at the provider (OpenID Connect RP-Initiated Logout). Leaves the page. Default false.
   */
  provider?: boolean
  /**
   * With `provider`: the URL to come back to, which must be registered at the provider. A token handler uses its
   * `postLogoutRedirectUri` instead.
   */
  returnTo?: string
}

/** The result of {@link Strongroom.logout}. */
export interface LogoutResult {
  /**
   * True if the provider has confirmed that the refresh token is revoked. False if there was no refresh token, or if
   * the provider announces no `revocation_endpoint`, refused, or did not respond at once. Also false if the response to
   * a refresh was on its way or lost: a newer refresh token in it is revoked if it arrives.
   */
  revoked: boolean
}

/** Options of `connect()`. */
export interface ConnectOptions {
  /** The number of the worker's account, if its file has `accounts`. See docs/accounts.md. */
  account?: number
  /**
   * The time limit for the worker's or handler's response in seconds, within which a failed request for a file or for the
   * handler's configuration is repeated: a number from 0 to 2147483. Default 10. A prerendered page gets its worker when it
   * is shown, and the time starts then.
   */
  timeout?: number
  /**
   * The way to start a session without the user's help: a login without interaction (`prompt=none`, OpenID Connect Core
   * 3.1.2.1), which succeeds if the provider has a session of its own. Default `'none'`: no attempt.
   *
   * `'redirect'` takes the page to the provider and back to the same URL; `connect()` resolves in the page that comes
   * back. `'iframe'` uses a hidden frame, for ten seconds at most. The frame works only with a provider of the same
   * site, since browsers block cookies in frames of another site, and only if the Content-Security-Policy of the page,
   * and the headers of the redirect URI's page, allow the frame.
   *
   * `connect()` does not reject if the attempt fails: `session` and `resumed` show the result. After a failed attempt
   * there is no other attempt for five minutes in this tab, unless the user signs in. After `logout()`, after a limit
   * of the session and after the end reason `security` there is no attempt until the user signs in. Pass the same value
   * on the page of the redirect URI.
   */
  resume?: 'redirect' | 'iframe' | 'none'
}

/** The shape of `StrongroomError`: every refusal has a stable `code` (docs/errors.md). */
export interface StrongroomErrorLike extends Error {
  /** The stable identifier of the error. docs/errors.md lists all codes. */
  readonly code: Code
  /**
   * With `step_up_required` and `insufficient_scope`: options of the login that the API requires (RFC 9470). Absent if
   * the configuration does not let pages request the required scope.
   */
  readonly login?: Demand
  /**
   * On errors of {@link Strongroom.handleCallback}: the `returnTo` of the login that failed, if the response belongs to
   * a login that began here. Pass this path to the next `login()`, or show the page at this path.
   */
  readonly returnTo?: string
  /**
   * With `login`, on errors of {@link Strongroom.fetch}: signs the user in as the API requires, and sends the request
   * again. The default is a popup, so call this method in a click handler. Rejects as `login` and `fetch` do, and with
   * a `TypeError` if the request's body was a stream or came from a `Request`, since such a body can be sent only once.
   * With `mode: 'redirect'` the login leaves the page, and the request is lost.
   */
  readonly stepUp?: (options?: LoginOptions) => Promise<Response>
}

declare global {
  interface Document {
    /** True while the page is prerendered and not shown (Prerendering Revamped 2.2). */
    readonly prerendering?: boolean
  }
  /** Options that lib.dom.d.ts does not have yet. */
  interface WorkerOptions {
    /** Keeps a SharedWorker for up to 300 s without a page (Chromium 148): across a reload or a redirect. */
    extendedLifetime?: boolean
  }
}
