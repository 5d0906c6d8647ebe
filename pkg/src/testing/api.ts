/** The types that tests of apps use: see index.ts. */
import type { Auth } from '../page/auth/auth.js'
import type { DefaultClaims } from '../page/index.js'

/**
 * The API of a test. Returns the response to a request that carries a valid access token of the world. A rejection is a
 * network failure, as is `Response.error()`. An error other than `TypeError` is also printed.
 */
export type TestApi = (request: Request) => Response | Promise<Response>

/** Claims of a user. `sub` is derived from `name` if it is missing. */
export interface TestUser extends DefaultClaims {
  sub?: string
  [claim: string]: unknown
}

/** A call that an API has received, or that has failed. */
export interface TestCall {
  method: string
  url: string
  /** The headers that the page has set. */
  headers: Record<string, string>
  /** `null` without a response. */
  status: number | null
}

export type SocketData = string | ArrayBuffer

/** The server's end of a socket that a page has opened with `auth.webSocket()`. */
export interface TestSocket {
  /** The URL of the handshake. Contains the access token if the rule says so. */
  readonly url: string
  /** The sub-protocols of the handshake. One contains the access token if the rule says so. */
  readonly protocols: readonly string[]
  /** The sub-protocol that the server chooses. Default: none. */
  protocol: string
  /** Called with each message of the page, and with the vault's first message if the rule says so. */
  onmessage: ((data: SocketData | Blob) => void) | null
  /** Called when the page or the vault closes the socket, or the network fails. */
  onclose: ((code: number, reason: string) => void) | null
  send(data: SocketData): void
  close(code?: number, reason?: string): void
}

/** Options of {@link testWorld}. */
export interface TestOptions {
  /** Responds to calls. Without it, `auth.fetch` rejects with `unsupported`. */
  api?: TestApi
  /**
   * Serves a socket, which opens when the function returns. If the function throws, the handshake fails. Without
   * this option, a socket fails with `unsupported`.
   */
  socket?: (socket: TestSocket) => void
  /** Called after a redirect login, as for `createAuth()`. */
  onReturn?: (returnTo: string) => void
  /**
   * The reaction to a navigation to the provider. `'leave'` (default): the login's promise does not settle, as in a
   * browser, and `world.navigations` has the URL. `'follow'`: the user signs in, and the page is loaded again at the
   * redirect URI. `world.followRedirect()` does the same for one navigation.
   */
  redirects?: 'leave' | 'follow'
  /** The page's URL, if the test does not run in a document. Default: `https://app.example.com/`. */
  url?: string
  /** The lifetime of access tokens in seconds. Default 300. */
  accessTokenLifetime?: number
  /** The time at which the world starts. Default: now. */
  now?: number | Date
  /** Allows the test double in a page that was served over https, such as a published Storybook. */
  allowHttps?: boolean
}

/** The provider of a world. */
export interface TestProvider {
  /** Ends all sessions, as an administrator may. The vault notices with the next call or refresh. */
  revoke(): void
  /** Lets the provider respond to each request with status 503, until `up()`. */
  down(): void
  up(): void
  /** Refuses the next login, with an error code of RFC 6749 4.1.2.1 or RFC 8628 3.5. Default: `access_denied`. */
  deny(error?: string): void
}

/** A vault with its surroundings, in memory and in virtual time. */
export interface TestWorld<Claims = DefaultClaims> {
  /** The app's auth object, as `createAuth()` returns it. Its page is the page of the test. */
  readonly auth: Auth<Claims>
  readonly provider: TestProvider
  /** The time in milliseconds since the Unix epoch. Only `advance()` changes it. */
  readonly now: number
  /** The number of refreshes that the vault has sent. */
  readonly refreshes: number
  /** All calls so far. */
  readonly calls: readonly TestCall[]
  /** The URLs to which the page has navigated. */
  readonly navigations: readonly string[]
  /**
   * Signs a user in at once, as another tab of the app would do. This user is also the user of later logins. Default:
   * Alice, as in all logins until another user is set.
   *
   * @throws `StrongroomError` `unsupported` if the login fails, for instance because the provider is down.
   */
  signIn(user?: TestUser): void
  /**
   * Signs the user out, as another tab of the app would do with `auth.logout()`. The session ends at once in all pages,
   * with the end reason `logged_out`. The session at the provider continues.
   */
  signOut(): void
  /** Sets the user of later logins. The current session stays as it is. */
  setUser(user: TestUser): void
  /** Reports activity of the user, which extends the idle limit. Events in the test's document count too. */
  touch(): void
  /**
   * Lets time pass: milliseconds, or a string such as `'90s'`, `'31m'` or `'1h30m'`. Timers of the vault and of the
   * page's code fire in order, and requests are answered.
   */
  advance(duration: string | number): Promise<void>
  /** Waits until nothing more happens at the current time. A call whose `api` has not responded stays pending. */
  settle(): Promise<void>
  /**
   * Ends the vault's worker, as a crash does. The page creates another worker. With `persist: 'sealed'` or `'escrow'`
   * the session continues there, and otherwise it ends.
   */
  crash(): void
  /** Cuts the network, until `online()`. */
  offline(): void
  /** Restores the network. A provider that is down stays down. */
  online(): void
  /**
   * Signs the user in at an authorization URL. Returns the address of the redirect back, for {@link Auth.login} with
   * `mode: 'custom'`: `open: (url) => world.authorize(url)`.
   */
  authorize(url: string): string
  /**
   * Signs the user in on another device, for {@link Auth.login} with `mode: 'device'`. `userCode` is the code that
   * `onCode` has received. The vault notices when it polls the provider: `advance('5s')`.
   *
   * @throws `StrongroomError` `unsupported` if the provider has not issued this code, or if the code was used.
   */
  enterCode(userCode: string): void
  /**
   * Signs the user in at the URL of the last navigation, and loads the page again at the redirect URI. If the page has
   * navigated to sign out, loads the page again at its current URL.
   */
  followRedirect(): Promise<void>
  /** Loads the page again: pending promises of the old page never settle. */
  reload(): Promise<void>
  /** Disconnects the page. Call it at the end of each test. */
  close(): void
}
