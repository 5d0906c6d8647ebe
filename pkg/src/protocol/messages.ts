/**
 * All messages between page and vault. No type below has a member for a token, a verifier or a response of the
 * authorization server, with two exceptions. The page's message `callback` has the URL with the authorization code. The
 * vault's message `device` has the user code, the URLs and the expiry of a device authorization response, but not its
 * device code. Add no other exception.
 *
 * On the wire a message is an array:
 *
 * - `[text]` or `[text, payload]`: control. `text` is the JSON of one of the types below; `payload` is a request's
 *   body, a response's headers, or a socket's port.
 * - `[id, chunk]`: a chunk of the body of call `id`: bytes, `null` at the end, `false` if the connection broke.
 * - a string, from the vault, once on every port: the name of a lock (Web Locks) that the vault's worker holds as long
 *   as it runs. A page that gets the lock knows that the worker is gone.
 * - `id`, an integer, from the page: a request for four more chunks of the body of call `id`.
 * - a number that is not an integer, from the page, once: the name of the lock that the page holds.
 *
 * The vault parses `text` with its own strict reader: src/vault/message.rs.
 */

import type { EndReason } from '../generated/end-reasons.js'
import type { Differing, DifferingWritten, PageMembers, Same, VaultMembers } from '../generated/members.js'
import type { Session } from '../generated/session.js'

/** The message by which a page hands a port to the vault's worker. */
export const HANDSHAKE = 'strongroom'

/** The message by which the frame of a vault origin hands over the port of a page of another origin. */
export const FRAMED_HANDSHAKE = 'strongroom framed'

/**
 * The JSON of a page's last message. The worker also sends this message to the core on behalf of a page that is gone.
 */
export const BYE = '{"t":"bye"}'

/** Returns the name of the Web Lock that a page holds as long as it exists. */
export const lockName = (name: number): string => `strongroom ${name}`

/** The messages that a page sends to the vault. `id` is unique within its port and identifies the response. */
export type PageMessage =
  /**
   * The first message on every port. Response: `ready` or `failed`. A second `hello` has no effect. `loaded`: the time
   * at which the page was loaded, in milliseconds since the Unix epoch. The deployment whose page was loaded last is
   * the newer one.
   */
  | { t: 'hello'; version: number; loaded: number }
  /**
   * Begins a login. Response: `navigate` in redirect mode, `navigate` and later `done` in popup and custom mode, `device`
   * and later `done` in device mode.
   */
  | ({ t: 'login'; id: number } & LoginParameters)
  /** Cancels login `id`. */
  | { t: 'cancel'; id: number }
  /**
   * The page's URL, or the URL that `open` of a custom login returned, may be a response. Response: `settled`. With
   * `mayRepeat`, the response may be `navigate`: the login has expired at the provider, and the page must go there again.
   */
  | { t: 'callback'; id: number; url: string; mayRepeat?: true }
  /**
   * A request to an API; the payload is its body. Response: `head`, `network_error` or `error`. If the payload is a port,
   * `head` and the chunks of the body go to that port, and the page gets `[id, null]` when the call is over. On that port,
   * a number requests one more chunk, and any other message ends the call.
   */
  | ({ t: 'fetch'; id: number } & RequestHead)
  /**
   * A socket to an API; the payload is a port for its messages (src/browser/api_socket.rs). Response: `socket` on that
   * port, or `error`.
   */
  | { t: 'socket'; id: number; url: string; protocols: string[] }
  /** Cancels call or socket `id`. No response. */
  | { t: 'abort'; id: number }
  /** Ends the session in all tabs. Response: `done`. */
  | { t: 'logout'; id: number; provider: boolean; returnTo?: string }
  /**
   * Requests a list of the tokens and logins that the vault holds. Response: `inspection`, if the configuration allows
   * it.
   */
  | { t: 'inspect'; id: number }
  /** The user is active in the page. Sent at most every 15 s. No response. */
  | { t: 'active' }
  /** The page has become visible: failed requests may succeed now. No response. */
  | { t: 'visible' }
  /** The page has become hidden. No response. */
  | { t: 'hidden' }
  /** The device is online again: failed requests may succeed now. No response. */
  | { t: 'online' }
  /** The device is offline. No response. */
  | { t: 'offline' }
  /** The page is being left, and its port can be dropped. */
  | { t: 'bye' }

/** The parameters of an authorization request that a page may choose. */
export interface LoginParameters extends Demand {
  mode: 'redirect' | 'popup' | 'device' | 'custom'
  /** With mode `custom`: the port of a loopback redirect URI (RFC 8252 7.3). */
  port?: number
  /** The path within the app where the user was. `handleCallback()` returns this path. */
  returnTo?: string
  loginHint?: string
  uiLocales?: string
  /** Parameters that the configuration's `loginParams` allows. */
  params?: Record<string, string>
}

/** The requirements of an API for a login (RFC 9470, RFC 6750 3.1). */
export interface Demand {
  /** OpenID Connect Core 3.1.2.1. */
  prompt?: string
  acrValues?: string
  /** Seconds. */
  maxAge?: number
  /** Scopes besides the configured ones. The configuration's `loginScopes` must name these scopes. */
  scope?: string
}

/** The data for signing in on another device (RFC 8628 3.2). */
export interface DeviceCode {
  /** The code that the user types in. */
  userCode: string
  /** The URL of the page where the user types in the code. */
  verificationUri: string
  /** The same URL with the code in it, for a QR code. */
  verificationUriComplete?: string
  /** Milliseconds since the Unix epoch. */
  expiresAt: number
}

/** The head of a request, with the values that the platform's `Request` has normalized. */
export interface RequestHead {
  url: string
  method: string
  headers: [string, string][]
  /**
   * True for a request that the user did not cause, such as a poll. Such a request does not extend the idle timeout.
   */
  background?: boolean
  /** True for a background request that a user waits for, such as that of an event source. */
  awaited?: true
  credentials?: RequestCredentials
  cache?: RequestCache
  integrity?: string
  keepalive?: boolean
  priority?: 'high' | 'low' | 'auto'
  /**
   * True for the request of an element, such as an image. `url` is an address on the app's origin, which the vault maps
   * to that of an API by the option `media` of a rule.
   */
  media?: true
}

/** The messages that a vault sends to a page. */
export type VaultMessage =
  /** The response to `hello`. */
  | {
      t: 'ready'
      version: number
      /** A hash of issuer, client, resource and account, by which a page names the app's records. */
      app: number
      /** The number of the account, if the app has several. */
      account?: number
      session: Session | null
      reason: EndReason | null
      /** The page at the redirect URI has only `finishLogin()`, and must not be in a frame. */
      callbackPage?: true
      /** The place where the vault found the session, if the vault started with this page. */
      from?: 'storage' | 'escrow'
      elsewhere?: boolean
    }
  /** A user has signed in in a newer vault, and the page must reconnect. This vault stops within five minutes. */
  | { t: 'outdated' }
  /**
   * This vault cannot work, because the configuration is invalid, the wasm could not be loaded, or the vault crashed.
   * All pending requests fail.
   */
  | { t: 'failed'; code: string; message: string }
  /**
   * The URL of the provider to which login `id`, or the page with callback `id`, must navigate. The response to a login
   * says where the provider redirects to.
   */
  | { t: 'navigate'; id: number; url: string; redirectUri: string }
  /** The code for login `id`, which the user types in on another device. */
  | ({ t: 'device'; id: number } & DeviceCode)
  /**
   * The vault has processed a callback. `callback` is always true: earlier pages read it. `popup`: the login belongs to
   * another page, and this popup must close. `kept`: the session survives this page, because it is stored, or because
   * another page is connected. `again`: the response was opened before, and has not begun the session.
   */
  | {
      t: 'settled'
      id: number
      callback: true
      returnTo: string
      popup: boolean
      kept?: true
      again?: true
    }
  /**
   * The callback's URL is a login that another site begins (OpenID Connect Core 4). `targetRefused`: the site chose an
   * address that is not a page of the app, and `returnTo` is `/`. `signedIn`: a user is signed in, and a login must not
   * begin.
   */
  | {
      t: 'initiated'
      id: number
      returnTo: string
      targetRefused: boolean
      signedIn: boolean
      loginHint: string | null
    }
  /**
   * The session began, was refreshed, or ended (`null`, with the reason). Sent to every port. `elsewhere`: true if a
   * user is signed in in another vault of this origin and client, and not in this vault; absent if the vault does not
   * know.
   */
  | {
      t: 'session'
      session: Session | null
      reason: EndReason | null
      from?: undefined
      elsewhere?: boolean
    }
  /** A warning for developers, once per vault. The page prints the warning on its console. */
  | { t: 'warning'; warning: string; message: string }
  /**
   * The session ends at this time. Activity of the user postpones the end, unless this is the absolute limit. Sent to
   * every port.
   */
  | { t: 'expiring'; at: number }
  /**
   * The head of call `id`'s response; the payload is an array of its header list and, if the whole body came with the
   * head, the body's bytes (src/rules/egress/body_delivery.rs).
   */
  | {
      t: 'head'
      id: number
      status: number
      statusText: string
      url: string
      redirected: boolean
      /** True if the response has a body. Unless the body came with the head, `[id, chunk]` messages follow. */
      body: boolean
    }
  /**
   * Socket `id` is open. Sent on the socket's own port. `protocol`: the chosen sub-protocol if the page named it;
   * otherwise empty.
   */
  | { t: 'socket'; id: number; protocol: string }
  /** Call `id` failed with a network error, as in `fetch`. */
  | { t: 'network_error'; id: number }
  /**
   * Operation `id` was refused or failed. `login`: the options of a login that would satisfy the API. `returnTo`, for a
   * callback: the path where the user was when the login began. The error that the page throws has both members.
   */
  | { t: 'error'; id: number; code: string; message: string; login?: Demand; returnTo?: string }
  /**
   * Operation `id` is complete. `url`: the URL of the provider's logout. `revoked`: true if the provider has
   * confirmed that the refresh token is revoked.
   */
  | { t: 'done'; id: number; url: string | null; revoked: boolean }
  /** A list of the tokens and logins that the vault holds: kinds, ages and fingerprints, never values. */
  | { t: 'inspection'; id: number; holdings: Holding[] }
  /** An event for the session inspector. This message is sent only with `inspect: true` in the configuration. */
  | ({ t: 'trace' } & TraceEvent)

/**
 * The build reads kinds and members of all messages from the core's sources. This type does not compile if a kind above
 * differs: the error message names the kind.
 */
export type DifferingKinds = Same<
  Differing<PageMessage, PageMembers, 't' | 'id'> | DifferingWritten<VaultMessage, VaultMembers>
>

/**
 * The claims that pages see by default, besides `sub` (OpenID Connect Core 5.1). An app declares its own by adding to this
 * interface: docs/frameworks.md#types.
 */
export interface DefaultClaims {
  name?: string
  email?: string
  preferred_username?: string
  /** The URL of a picture of the user. */
  picture?: string
  /** A language tag such as `en-US` (RFC 5646). */
  locale?: string
}

/** A token or pending login that the vault holds. */
export interface Holding {
  kind: 'access_token' | 'refresh_token' | 'id_token' | 'pending_login'
  /** The time at which the vault got the token or began the login, in milliseconds since the Unix epoch. */
  since: number
  /** Milliseconds since the Unix epoch; `null` if not known. */
  expiresAt: number | null
  /** The number of refreshes so far. */
  generation: number | null
  /** The first 8 hexadecimal digits of a salted hash; the salt never leaves the vault. */
  fingerprint: string | null
  /**
   * The option `resource` of the rule to which the access token belongs (docs/resources.md), or `null`. `audience` and
   * `scope` are the rule's options of those names.
   */
  resource?: string | null
  audience?: string | null
  scope?: string | null
}

/** An event in the vault. `at` is in milliseconds since the Unix epoch. */
export interface TraceEvent {
  at: number
  event:
    /** The authorization request was created. */
    | 'login_started'
    /** The code was exchanged and the ID token validated. */
    | 'login_completed'
    /** A request was sent to an API (`detail`: method and URL without its query). */
    | 'call_sent'
    /** An API responded (`status`), or a call failed without a response (`detail`). */
    | 'call_answered'
    /** A call waits for a refresh. */
    | 'call_waiting'
    /** A call is sent again after a 401. */
    | 'call_retried'
    /** The refresh token was sent to the token endpoint. */
    | 'refresh_started'
    /** New tokens were adopted (`generation`). */
    | 'refresh_completed'
    /** The refresh failed (`detail`: the outcome). The refresh may be tried again. */
    | 'refresh_failed'
    /**
     * The network may have changed, so a refresh waits for some time (`detail`: `sleep`, `online or offline` or `no
     * response`).
     */
    | 'line_doubted'
    /** A refresh waits for any response of the provider to a request without a token. */
    | 'line_probed'
    /** The session was restored from the store. */
    | 'session_restored'
    /** The session ended (`detail`: the reason). */
    | 'session_ended'
    /** The refresh token was revoked at the provider (RFC 7009). */
    | 'token_revoked'
    /** Warnings, by their codes in docs/errors.md (`detail`: the message). */
    | 'claim_missing'
    | 'login_not_pushed'
    | 'metadata_invalid'
    | 'metadata_outdated'
    | 'refresh_token_missing'
    | 'scope_exceeded'
    | 'scope_reduced'
    | 'sign_in_not_repeated'
    | 'token_response_invalid'
  /** The number of the call, counted by the vault over all its pages. */
  call: number | null
  status: number | null
  generation: number | null
  detail: string | null
}
