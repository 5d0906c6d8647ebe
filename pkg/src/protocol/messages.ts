/**
 * Every message that crosses between page and vault. Nothing here has room for a token, a code, a
 * verifier or an answer of the authorization server; keep it so.
 *
 * On the wire a message is an array:
 *
 * - `[text]` or `[text, payload]`: control. `text` is the JSON of one of the types below; `payload`
 *   is what JSON cannot carry (a request's body, a response's header list).
 * - `[id, chunk]`: a piece of the body of call `id`: bytes, `null` at the end, `false` when the
 *   connection broke.
 * - a bare text, from the vault, once on every port: the name of a lock (Web Locks) that its worker holds for
 *   as long as it lives. Whoever gets that lock knows that the worker is gone.
 * - `id`, a bare number, from the page: send four more pieces of the body of call `id`.
 * - a bare number that is not whole, from the page, once: it holds the lock of this name.
 *
 * The vault parses `text` with its own strict reader; src/vault/message.rs is the other side.
 */

/** The version of this protocol. A vault answers another version with `message_invalid`. */
export const PROTOCOL = 1

/** The message by which a page hands a port to the vault's worker. */
export const HANDSHAKE = 'strongroom'

/** The JSON of a page's last message. The worker also sends it to the core in the name of a page that is gone. */
export const BYE = '{"t":"bye"}'

/** The Web Lock that a page holds as long as it is there. */
export const lockName = (name: number): string => `strongroom ${name}`

/** What a page may send. `id` is unique within its port and names the answer. */
export type PageMessage =
  /**
   * First on every port; answered by `ready` or `failed`. A second one changes nothing. `loaded`: the time at which the
   * page was loaded, in milliseconds since the Unix epoch. Of two deployments, the one with the last loaded page is newer.
   */
  | { t: 'hello'; version: number; loaded: number }
  /** Begin a login; answered by `navigate`, then, in popup mode, by `done`; in device mode by `device` and `done`. */
  | ({ t: 'login'; id: number } & LoginParameters)
  /** Give up login `id`. */
  | { t: 'cancel'; id: number }
  /** The page is at what may be the redirect URI; answered by `settled`. */
  | { t: 'callback'; id: number; url: string }
  /** A request for an API; the payload is its body. Answered by `head`, `network_error` or `error`. */
  | ({ t: 'fetch'; id: number } & RequestHead)
  /**
   * A socket to an API; the payload is the port that it is passed on by (src/browser/api_socket.rs). Answered there by
   * `socket`, or by `error`.
   */
  | { t: 'socket'; id: number; url: string; protocols: string[] }
  /** The page no longer wants call or socket `id`. Not answered. */
  | { t: 'abort'; id: number }
  /** End the session everywhere; answered by `done`. */
  | { t: 'logout'; id: number; provider: boolean; returnTo?: string }
  /** What does the vault hold? Answered by `inspection`, if the configuration allows it. */
  | { t: 'inspect'; id: number }
  /** The user does something in the page; at most every 15 s. Not answered. */
  | { t: 'active' }
  /** The device is online again, or the page visible: what failed may work now. Not answered. */
  | { t: 'woke' }
  /** The page is leaving; its port can be forgotten. */
  | { t: 'bye' }

/** The parameters of an authorization request that a page may choose. */
export interface LoginParameters extends Demand {
  mode: 'redirect' | 'popup' | 'device'
  /** Where the user was: a path within the app, handed back by `handleCallback()`. */
  returnTo?: string
  loginHint?: string
  uiLocales?: string
  /** What the configuration's `loginParams` lets pages add. */
  params?: Record<string, string>
}

/** What an API may want of a login (RFC 9470, RFC 6750 3.1). */
export interface Demand {
  /** OpenID Connect Core 3.1.2.1. */
  prompt?: string
  acrValues?: string
  /** Seconds. */
  maxAge?: number
  /** Scopes besides those of the configuration, which must name them in `loginScopes`. */
  scope?: string
}

/** What a user needs to sign in on another device (RFC 8628 3.2). */
export interface DeviceCode {
  /** To be typed in. */
  userCode: string
  /** Where. */
  verificationUri: string
  /** The same address with the code in it: for a QR code. */
  verificationUriComplete?: string
  /** Until when, in milliseconds since the Unix epoch. */
  expiresAt: number
}

/** The head of a request, as `Request` normalised it. */
export interface RequestHead {
  url: string
  method: string
  headers: [string, string][]
  /** Not the user's doing (a poll): does not keep the session from idling. */
  background?: boolean
  credentials?: RequestCredentials
  cache?: RequestCache
  integrity?: string
  keepalive?: boolean
  priority?: 'high' | 'low' | 'auto'
}

/** What a vault may send. */
export type VaultMessage =
  /** The handshake's answer. */
  | {
      t: 'ready'
      version: number
      session: Session | null
      reason: EndReason | null
      /** Where the session was kept, if the vault began with this page and has it from there. */
      from?: 'storage' | 'escrow'
      elsewhere?: boolean
    }
  /** Somebody has signed in in a newer vault: the page is to reconnect. This vault stops within five minutes. */
  | { t: 'outdated' }
  /** This vault cannot serve anyone: wrong configuration, no wasm, or a crash. Ends everything pending. */
  | { t: 'failed'; code: string; message: string }
  /** Where login `id` goes: the provider's authorization endpoint, or the error page of none. */
  | { t: 'navigate'; id: number; url: string }
  /** What the user of login `id` is to type in on another device. */
  | ({ t: 'device'; id: number } & DeviceCode)
  /** A callback was dealt with. `popup`: it belongs to another page's popup, close this one. */
  | { t: 'settled'; id: number; callback: boolean; returnTo: string | null; popup: boolean }
  /**
   * The session began, was renewed, or ended (`null`, with the reason). Sent to every port. `elsewhere`: true if
   * somebody is signed in in another vault of this origin and client, and not here; absent if that is not known.
   */
  | {
      t: 'session'
      session: Session | null
      reason: EndReason | null
      from?: undefined
      elsewhere?: boolean
    }
  /** A warning for developers, once per vault. The page prints it on its console. */
  | { t: 'warning'; warning: string; message: string }
  /** The session is about to end, at this time, unless the user does something. Sent to every port. */
  | { t: 'expiring'; at: number }
  /** The head of call `id`'s response; the payload is its header list. */
  | {
      t: 'head'
      id: number
      status: number
      statusText: string
      url: string
      redirected: boolean
      /** Whether `[id, chunk]` messages follow. */
      body: boolean
    }
  /** Socket `id` is open. Sent on its own port. `protocol`: one of the page's own, or nothing. */
  | { t: 'socket'; id: number; protocol: string }
  /** Call `id` failed as `fetch` fails when the network does. */
  | { t: 'network_error'; id: number }
  /**
   * Operation `id` was refused or failed. `login`: the options of a login that would help. `returnTo`, for a callback:
   * the page on which the user was when the login began. The page's error has both.
   */
  | { t: 'error'; id: number; code: string; message: string; login?: Demand; returnTo?: string }
  /**
   * Operation `id` is complete. `url`: the address of the provider's own logout. `revoked`: true if the provider has
   * confirmed that the refresh token is revoked.
   */
  | { t: 'done'; id: number; url: string | null; revoked: boolean }
  /** What the vault holds: kinds, ages and fingerprints, never values. */
  | { t: 'inspection'; id: number; holdings: Holding[] }
  /** What just happened, for the session inspector; only if the configuration says `inspect: true`. */
  | ({ t: 'trace' } & TraceEvent)

/** The page's view of a session. Times are in milliseconds since the Unix epoch. */
export interface Session {
  /** Claims of the validated ID token that the configuration's `claims` names. */
  claims: Record<string, unknown> & { sub: string }
  /** The scopes that were granted (RFC 6749 3.3, 5.1). */
  scopes: string[]
  /** `interaction_required`: the provider wants the user before it issues another access token. */
  state: 'active' | 'interaction_required'
  /** With `interaction_required` and `reasons: true`: the error code by which the provider said so. */
  needs?: string
  /**
   * With `persist`: `false` as long as the browser's storage does not take the session, because it is full or
   * denied, or because no service worker takes its key in escrow. The session goes on, and is gone with its worker.
   */
  kept?: boolean
  startedAt: number
  /** When the absolute limit ends the session, whatever happens. */
  expiresAt: number
  /** When the idle limit ends it, if the user does nothing from now on. */
  idleExpiresAt: number
  /** When the vault will need a new access token. The page need not care. */
  accessTokenExpiresAt: number
}

/** Why a session ended. */
export type EndReason =
  /** Somebody called `logout()`. */
  | 'logged_out'
  /** The provider refused the refresh token: revoked, expired or its session ended. */
  | 'provider_ended'
  /** There is no refresh token and the access token has expired. */
  | 'expired'
  /** The idle limit was reached. */
  | 'idle'
  /** The absolute limit was reached. */
  | 'absolute'
  /** The provider answered for another user or issuer; everything was revoked. */
  | 'security'
  /** What was kept of the session (`persist: 'sealed'`) is gone or cannot be read. */
  | 'storage_lost'
  /** Over a token handler: the same user has signed in anew in the same browser. */
  | 'replaced'
  /** With `reasons: true` in place of `provider_ended`, where the provider lets on which it is: it had expired, */
  | 'refresh_expired'
  /** or was revoked, */
  | 'revoked'
  /** or one that was consumed had come again, */
  | 'reuse_detected'
  /** or the user has withdrawn their consent, */
  | 'consent_withdrawn'
  /** or a second factor is wanted by now. */
  | 'mfa_required'

/** One thing that the vault holds. */
export interface Holding {
  kind: 'access_token' | 'refresh_token' | 'id_token' | 'pending_login'
  /** Since when, in milliseconds since the Unix epoch. */
  since: number
  /** Until when, where that is known. */
  expiresAt: number | null
  /** How often this was renewed: the rotation's count. */
  generation: number | null
  /** The first 8 hexadecimal digits of a salted hash; the salt never leaves the vault. */
  fingerprint: string | null
  /** Of an access token that a rule has to itself (docs/resources.md): what the rule names, or `null`. */
  resource?: string | null
  audience?: string | null
  scope?: string | null
}

/** Something that happened in the vault. `at` is in milliseconds since the Unix epoch. */
export interface TraceEvent {
  at: number
  event:
    /** The authorization request was made. */
    | 'login_started'
    /** The code was exchanged and the ID token validated. */
    | 'login_completed'
    /** A request left for an API (`detail`: method and URL without its query). */
    | 'call_sent'
    /** An API answered (`status`). */
    | 'call_answered'
    /** A call waits for the refresh. */
    | 'call_waiting'
    /** A call is sent again after a 401. */
    | 'call_retried'
    /** The refresh token is on its way to the token endpoint. */
    | 'refresh_started'
    /** New tokens were adopted (`generation`). */
    | 'refresh_completed'
    /** The refresh failed (`detail`: the verdict); it may be tried again. */
    | 'refresh_failed'
    /** The session came from the store. */
    | 'session_restored'
    /** The session ended (`detail`: the reason). */
    | 'session_ended'
    /** The refresh token was revoked at the provider (RFC 7009). */
    | 'token_revoked'
    /** Warnings, by their codes in docs/errors.md (`detail`: what happened). */
    | 'login_not_pushed'
    | 'refresh_token_missing'
    | 'scope_exceeded'
  /** Which call the event belongs to, counted by the vault over all its pages. */
  call: number | null
  status: number | null
  generation: number | null
  detail: string | null
}
