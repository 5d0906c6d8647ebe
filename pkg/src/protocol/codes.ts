/** The codes of errors. docs/errors.md lists the codes with advice, and src/base/error.rs defines them. */

/** The stable identifier of an error. A released code is never renamed or reused. */
export type Code =
  /** The configuration of the vault, of its frame or of the token handler is wrong. */
  | 'config_invalid'
  /** A message from the page, or an option of a call, is not valid. */
  | 'message_invalid'
  /** A documented limit on size or number was exceeded. */
  | 'limit_exceeded'
  /** There is no session. */
  | 'login_required'
  /** The session ended while the call was waiting; the message gives the reason. */
  | 'session_ended'
  /** The provider wants the user to interact before it issues another token. */
  | 'interaction_required'
  /** The user, or the provider on the user's behalf, refused the request at the authorization endpoint. */
  | 'login_denied'
  /** The provider responded to the authorization request with another error. */
  | 'login_failed'
  /** The provider granted scopes that the login did not ask for. */
  | 'scope_exceeded'
  /** `offline_access` was requested, and the provider issued no refresh token. */
  | 'refresh_token_missing'
  /** The provider announces pushed authorization requests (RFC 9126) and does not let this client use them. */
  | 'login_not_pushed'
  /** The callback's `state` does not belong to a login of this vault or, over a token handler, of this browser. */
  | 'login_unknown'
  /** The callback URL was opened a second time. */
  | 'login_replayed'
  /** More than ten minutes passed between `login()` and its callback. */
  | 'login_expired'
  /** The page gave up the login, another login replaced it, or the user logged out while the login was in flight. */
  | 'login_canceled'
  /** The callback's parameters contradict each other or are malformed. */
  | 'callback_invalid'
  /** The page that called `handleCallback()` is not the configured `redirectUri`. */
  | 'redirect_uri_mismatch'
  /** A response came from another issuer than the configured one (RFC 9207, OIDC Discovery). */
  | 'issuer_mismatch'
  /** The provider could not be reached, or responded with a temporary error. */
  | 'provider_unavailable'
  /** The provider's metadata or keys are unusable. */
  | 'metadata_invalid'
  /** The token endpoint's response is unusable. */
  | 'token_response_invalid'
  /** The token endpoint refused this client or its request. */
  | 'client_rejected'
  /** The authorization code was refused. */
  | 'code_rejected'
  /** The ID token failed validation (OIDC Core 3.1.3.7 or 12.2). */
  | 'id_token_invalid'
  /** The URL matches no rule in `apis`, or no route of the token handler. */
  | 'url_not_allowed'
  /** The URL is allowed, but not with this method. */
  | 'method_not_allowed'
  /** The page may not set this header. */
  | 'header_not_allowed'
  /** The API responded with a redirect, which the vault and the token handler do not follow. */
  | 'redirect_blocked'
  /** The API's response contains an access token of the session. */
  | 'token_reflected'
  /** The request needs a feature that this version or browser does not support. */
  | 'unsupported'
  /** The browser's storage refused to store required data. */
  | 'storage_unavailable'
  /** The API requires another or a more recent authentication of the user (RFC 9470). */
  | 'step_up_required'
  /** The API requires a token with more scope (RFC 6750 3.1). */
  | 'insufficient_scope'
  /** The API repeats the same challenge right after the user signed in for it. */
  | 'step_up_failed'
  /** The worker's Content-Security-Policy blocks or reports a socket whose URL would contain the token. */
  | 'socket_blocked'
  /**
   * The token handler refused a request. Either nothing proves that a page of the app sent the request, or the URL does
   * not serve requests of this kind, such as navigations.
   */
  | 'cross_site_request'
  /**
   * The session's cookie cannot be used: it is incomplete, was not written by this handler, or is older than a change
   * of the handler's version or option `dpop`.
   */
  | 'cookie_invalid'
  /** Data is sealed with a key that is not configured. */
  | 'key_unknown'
  /** The coordinator cannot be reached, or returned invalid data. */
  | 'coordinator_unavailable'
  /** A request carried a session cookie that was replaced longer ago than the grace period. */
  | 'session_replayed'
  /** A logout token is not acceptable (OpenID Connect Back-Channel Logout 1.0 section 2.6). */
  | 'logout_token_invalid'
  /** An upstream API did not respond, or the token handler cannot forward its response. */
  | 'upstream_unavailable'
  /** The user did not sign in within the login's time limit. */
  | 'timeout'
  /** The worker's script could not be loaded, or threw before it called `vault()`. */
  | 'worker_failed'
  /** The worker did not respond to the handshake within the time limit of `connect()`. */
  | 'worker_timeout'
  /** The vault's frame did not load, or another document loaded in its place. */
  | 'frame_blocked'
  /** The vault's frame did not respond within the time limit of `connectFrame()`. */
  | 'frame_timeout'
  /** The vault's frame does not serve pages of this origin. */
  | 'origin_not_allowed'
  /** The standalone worker could not fetch its configuration. */
  | 'config_unavailable'
  /** The WebAssembly module could not be loaded. */
  | 'wasm_failed'
  /** The Content-Security-Policy of the worker, or of the page that uses `strongroom/core`, forbids WebAssembly. */
  | 'wasm_blocked'
  /** The vault stopped because of an internal error, or its worker was terminated. The vault's secrets are gone. */
  | 'vault_crashed'
  /** The user signed in in a newer version of the app, and the vault of this version has stopped. */
  | 'vault_outdated'
  /** The browser blocked the popup window. */
  | 'popup_blocked'
  /** The page was left during the operation, and restored from the back-forward cache. */
  | 'page_left'
  /** The token handler did not respond, or the response is not from a token handler. */
  | 'handler_unreachable'
  /** The token handler could not start, for a reason other than its configuration. */
  | 'handler_failed'
  /** The token handler stopped because of an internal error. */
  | 'handler_crashed'
  /** The client was closed by `close()`. */
  | 'closed'
