/**
 * The public interface of `createAuth()`. This interface is not part of api.ts, because workers import api.ts, and
 * TypeScript's library for workers has no type `SharedWorker`.
 */
import type {
  ConnectOptions,
  DefaultClaims,
  EndReason,
  LoginOptions,
  Session,
  Strongroom,
  StrongroomErrorLike,
} from '../api.js'

/**
 * The app's workers. Each function must contain a literal expression such as `new Worker(new URL(…))`, because bundlers
 * look for this expression.
 */
export interface WorkerSource {
  /** Creates the worker that all tabs share. With `account`, pass `name` to the worker. */
  shared?: (name: string) => SharedWorker
  /**
   * Creates a worker for this tab alone. This worker is used in WebKit, whose shared workers cannot keep a session, and
   * on platforms without `SharedWorker`. See docs/browsers.md.
   */
  dedicated?: (name: string) => Worker
  /**
   * The account's number, from 0, if the worker's file has `accounts`. Each account has a vault, a session and a
   * `createAuth()` of its own. Default: the account 0. See docs/accounts.md.
   */
  account?: number
  /**
   * The URL of the WebAssembly module that the worker will request: `import wasm from 'strongroom/wasm-url'`. On first
   * use, the browser then requests the module at the same time as the worker's file. The server must allow browsers to
   * keep the file, and the page's Content-Security-Policy must name it: docs/headers.md.
   */
  wasm?: string | URL
  /**
   * The path of a token handler's endpoints on this origin (`strongroom/edge`), such as `/auth`, for browsers without
   * WebAssembly, in which no vault runs. For all users, the app is then only as well protected as the weaker of vault and
   * handler. Default: such a browser gets the error `wasm_missing`. See docs/fallback.md.
   */
  fallback?: string
}

/** The vault or token handler that an {@link Auth} connects to. */
export type AuthSource =
  | WorkerSource
  /** The URL of a vault on its own origin (docs/vault-origin.md). */
  | { frame: string | URL; fallback?: never }
  /** The path of a token handler's endpoints on this origin (docs/edge.md). */
  | string

/** Options of `createAuth()`. */
export interface AuthOptions extends Omit<ConnectOptions, 'account'> {
  /**
   * Called after a redirect login, also if the login failed, to show the page from which the user went to sign in. Also
   * called when another site begins a login, to show its target. `returnTo` is the path of this page, with query and
   * fragment. Default: `history.replaceState`. An app with a router should pass a function that navigates to this path.
   */
  onReturn?: (returnTo: string) => void
}

/** The state of an {@link Auth}. `auth.state` returns the same object until a member changes. */
export interface AuthState<Claims = DefaultClaims> {
  /**
   * `connecting`: the vault has not responded yet, or a login is being finished. `failed`: the vault could not be
   * reached or has stopped, and `error` says why; see `reconnect()`.
   */
  readonly status: 'connecting' | 'connected' | 'failed'
  /** The kind of the other side: a vault, or a token handler. `null` before the first connection. */
  readonly via: 'vault' | 'handler' | null
  /** The current session, or `null`. */
  readonly session: Session<Claims> | null
  /**
   * The reason why the last session ended; `null` before the first session ends. The reason is kept in localStorage
   * until the next session, so that it survives a reload. After `logout({ provider: true })` the reason is `logged_out`
   * when the user returns from the provider.
   */
  readonly endReason: EndReason | null
  /** See {@link Strongroom.elsewhere}. */
  readonly elsewhere: boolean
  /**
   * The time at which the session is about to end, in milliseconds since the Unix epoch, or `null`. The value is set a
   * tenth of `session.idle` before that time, but at most a minute before. The value becomes `null` again when activity
   * of the user has postponed the end, or when the session has ended.
   */
  readonly expiring: number | null
  /**
   * The error with which the connection, the last callback or the last login failed; `null` once there is a session, and
   * when another login begins. A login that was canceled (`login_canceled`) leaves no error here.
   */
  readonly error: StrongroomErrorLike | null
}

/**
 * The object through which an app signs in and calls its APIs: see `createAuth()`. All methods are bound to the object.
 * Methods that need the vault wait for the connection, and for a login that is being finished.
 *
 * @typeParam Claims The claims that the configuration's `claims` names.
 */
export interface Auth<Claims = DefaultClaims> extends Pick<
  Strongroom,
  'fetch' | 'eventSource' | 'webSocket' | 'media' | 'download' | 'logout'
> {
  /** The current state. */
  readonly state: AuthState<Claims>
  /**
   * Calls `listener` with the current state, and then with each new state. Returns a function that ends the
   * subscription. With this method an `Auth` is a Svelte store. React's `useSyncExternalStore` takes `auth.subscribe`
   * and `() => auth.state`. An error that a listener throws is reported, and does not stop other listeners.
   */
  readonly subscribe: (listener: (state: AuthState<Claims>) => void) => () => void
  /**
   * Signs the user in, as {@link Strongroom.login} does. Before the vault is connected, and while a login is being
   * finished, `login()` waits. A popup then opens some time after the click, which browsers allow for a few seconds. If
   * the connection takes longer, the login fails with `popup_blocked`. To avoid this, enable the button only when
   * `status` is `connected`.
   *
   * If the login fails, `state.error` has the error too, so the promise may be ignored.
   */
  login(options?: LoginOptions): Promise<Session<Claims>>
  /**
   * Resolves with the session. Without a session, this method calls `login(options)`, which by default leaves the page.
   * Concurrent calls share one login, with the options of the first call. Use this method in route guards.
   *
   * Resolves with `null` if the user has to decide about a login: after a session ended with `logged_out`, `idle`,
   * `absolute`, `session_expired` or `security` (also after a reload, until the user signs in), after the connection or
   * a login has failed (see `state.error`), and after this method has begun three logins in this tab within a minute.
   * In these cases, show a page with a button for `login()`.
   */
  requireSession(options?: LoginOptions): Promise<Session<Claims> | null>
  /**
   * Connects, and resolves with the client, which has methods that an `Auth` lacks, such as `on()` and `inspect()`.
   *
   * @throws `StrongroomError` The errors of the function `connect()` of this package.
   */
  connect(): Promise<Strongroom>
  /**
   * Connects again if `status` is `failed`. Calls made in the meantime wait for the new vault. Does nothing while the
   * vault works. A vault that stops is replaced automatically. If the new vault stops within a minute too, `status`
   * becomes `failed`. Unless the configuration or the app is wrong, this object then connects again by itself:
   * docs/errors.md#when-a-server-fails-for-a-moment.
   *
   * @throws `StrongroomError` The errors of `connect()`.
   */
  reconnect(): Promise<void>
  /**
   * Disconnects from the vault, also if the vault has not responded yet. Pending and later calls reject with `closed`.
   * Does nothing before the first use.
   */
  close(): void
}
