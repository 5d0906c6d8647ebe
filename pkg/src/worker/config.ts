/** The configuration of a vault. The worker's file sets the configuration, and a page cannot change it. */
export interface VaultConfig {
  /** The provider's issuer identifier, exactly as its metadata says: an https URL, or http on loopback. */
  issuer: string
  /** The client identifier (RFC 6749 2.2) of a public client: a browser cannot keep a client secret. */
  clientId: string
  /**
   * The URL to which the provider sends its response: a path such as `/callback`, a URL, or a path such as `./callback`
   * in the folder of the worker's file. It must have the worker's origin, except with `customLogin`.
   */
  redirectUri: string
  /**
   * True if the page at `redirectUri` is a callback page, which has only `finishLogin()` of `strongroom/callback`. The
   * vault then refuses what such a page cannot finish: `resume: 'iframe'`, and with a dedicated worker and
   * `session.persist: 'memory'` also `login({ mode: 'popup' })`. Default false. See docs/callback-page.md.
   */
  callbackPage?: boolean
  /**
   * The scopes of a login, separated by spaces. They must contain `openid`, except with `identity`. `offline_access`
   * asks for a refresh token.
   */
  scope: string
  /** The APIs that may be called with the access token. All other requests are refused. */
  apis: ApiRule[]
  /** Limits of the session. */
  session?: SessionLimits
  /**
   * The user of a server without OpenID Connect, which issues no ID tokens. `'none'`: nothing says who the user is, so
   * `session.claims` is empty, and every login counts as the login of another user. An object names members of the token
   * response, or of the response of a profile address. `scope` must not contain `openid`; an empty string requests no
   * scope. See docs/oauth.md.
   */
  identity?: 'none' | TokenResponseIdentity | ProfileIdentity
  /**
   * The ID token's claims that the page may see, besides `sub`. Default: name, email, preferred_username, picture,
   * locale.
   */
  claims?: string[]
  /**
   * Puts the session's latest ID token into the address of a logout at the provider (`id_token_hint`), for providers that
   * refuse a logout without it. The page sees this address. Default false. Cannot be used with a vault on an origin of
   * its own. See docs/sessions.md#the-hint-at-a-logout.
   */
  idTokenHint?: boolean
  /**
   * The path of the app at which another site, such as the portal of the provider, may begin a login. The site opens this
   * path with `iss`, and perhaps `login_hint` and `target_link_uri` (OpenID Connect Core 4). Register its URL as the client's
   * `initiate_login_uri`. It must not be `redirectUri`. Cannot be used with a vault on an origin of its own. See
   * docs/other-logins.md#logins-that-a-portal-begins.
   */
  initiateLoginUri?: string
  /**
   * Asks the provider's UserInfo endpoint for claims after each login (OpenID Connect Core 5.3). The page sees those that
   * `claims` names and the ID token lacks. The login fails with `profile_failed` if the request fails, or its response is
   * about another user. Default false. See docs/login.md#userinfo.
   */
  userInfo?: boolean
  /**
   * Members of the provider's metadata (RFC 8414), which replace or extend the discovered ones, such as a
   * `revocation_endpoint` that the provider does not announce. If `issuer`, `authorization_endpoint`, `token_endpoint`
   * and `jwks_uri` are given, there is no discovery.
   */
  metadata?: Partial<ProviderMetadata>
  /**
   * The provider's metadata as `npx strongroom metadata` wrote them when the app was built. The vault uses them for the
   * first login or refresh without a request for the live document, and reads that document once in each worker, in the
   * background. The live document then replaces all of them. Members of `metadata` replace those of both.
   *
   * Pinned metadata that cannot be used, such as those of another issuer, are ignored, and the page warns with
   * `metadata_outdated`. It also warns if they differ from the live document. See docs/pinned-metadata.md.
   */
  pinned?: PinnedMetadata | undefined
  /**
   * The ID token's signing algorithm. Default: all of these algorithms that the metadata names. `none` and HMAC (HS256,
   * …) are never accepted.
   */
  idTokenSignedResponseAlg?:
    | 'RS256'
    | 'RS384'
    | 'RS512'
    | 'PS256'
    | 'PS384'
    | 'PS512'
    | 'ES256'
    | 'ES384'
    | 'ES512'
    | 'EdDSA'
    | 'Ed25519'
  /** More parameters for the authorization request, such as `audience`. Protocol parameters are refused. */
  authorizationParams?: Record<string, string>
  /**
   * The API that the login's access tokens are for (RFC 8707), an absolute URI without a fragment. Each login and each
   * refresh of these tokens names it. A rule with `resource`, `audience` or `scope` names only its own values. A rule with
   * this `resource` alone uses the login's tokens.
   *
   * A session belongs to its resource: after a change of this option, users sign in again. A stored session is not revoked,
   * and continues if the option is changed back. Vaults of one origin that differ in it have a session each. With `userInfo`,
   * providers may refuse such a token. Default: the provider decides.
   */
  resource?: string
  /**
   * Binds the tokens to a key (DPoP, RFC 9449). Without the key, the tokens are useless. The vault's worker creates a
   * key pair for each login by WebCrypto (ES256). The private key is not extractable. Every token request and every
   * call carries a new proof that is signed with the key. Nonces are supported. There is no fallback: a response with
   * Bearer tokens is refused (`token_response_invalid`). Default false.
   *
   * The provider must support DPoP (`dpop_signing_alg_values_supported` with ES256), and so must every API in `apis`.
   * The CORS configuration of the provider and of each API must allow the request headers `DPoP` and `Authorization`.
   * If a server uses nonces, its CORS configuration must also expose `DPoP-Nonce` and `WWW-Authenticate`. Sockets
   * cannot carry a proof, so `webSocket` in a rule is refused.
   */
  dpop?: boolean
  /**
   * Pushes authorization requests to the provider (PAR, RFC 9126): the URL that the user's browser opens then contains
   * only a reference to the request, and script of the page cannot change the request.
   *
   * `'auto'` (default): requests are pushed if the provider's metadata has a `pushed_authorization_request_endpoint`.
   * If that endpoint does not accept this client or origin, the vault stops pushing and warns with `login_not_pushed`;
   * any other failure fails the login. `true`: a login that cannot be pushed fails. `false`: requests are not pushed.
   *
   * A push costs one request to the provider per login. A reference is good for one use, so after Back or a reload at
   * the provider the user has to start the login again.
   */
  par?: boolean | 'auto'
  /**
   * `'provider'` (default): the provider decides whether to ask the user for consent. `'always'`: each login sends
   * `prompt=consent`, besides the `prompt` of `login()`. Logins with `prompt: 'none'` do not send `prompt=consent`.
   *
   * Some providers issue a refresh token for `offline_access` only with `'always'` (OpenID Connect Core 11). The vault
   * warns with `refresh_token_missing` if no refresh token arrives. At other providers users cannot consent, and
   * `'always'` would keep these users from signing in.
   */
  consent?: 'provider' | 'always'
  /**
   * The reaction if the provider grants scopes that the login did not ask for. `'warn'` (default): the page prints
   * `scope_exceeded` on its console, since many providers grant more scopes of their own accord. `'refuse'`: the login
   * fails with `scope_exceeded`. Where requests are not pushed, script of the page can ask for more scopes.
   */
  unrequestedScopes?: 'warn' | 'refuse'
  /**
   * `true`: a response without `iss` (RFC 9207) ends its login with `callback_invalid`, also an error response. Default
   * `false`: only if the provider's metadata announces `iss`.
   *
   * It is for apps with several issuers (docs/login.md#several-issuers): a hostile one can otherwise get the code and the
   * tokens of another one (mix-up).
   *
   * Set it only where error responses have `iss`, too, as `strongroom doctor` says: otherwise silent logins fail.
   */
  requireIss?: boolean
  /**
   * Audiences that an ID token may name besides this client although it has no `azp` (OpenID Connect Core 3.1.3.7).
   * Default: none.
   */
  trustedAudiences?: string[]
  /**
   * Claims, such as an organization's ID, that must have the same value in each ID token of a session. If a refresh brings
   * another value, the session ends with `claims_changed`. Arrays are compared as sets; numbers and objects must be written
   * in the same way. What is not noticed: docs/login.md#a-claim-that-must-not-change. Default: none.
   */
  sameClaims?: string[]
  /**
   * The number of accounts that users may have side by side, from 2 to 10. Each is a vault of its own, in a worker whose name is
   * the account's number: docs/accounts.md. Default: one session, and the worker's name has no meaning.
   */
  accounts?: number
  /**
   * Only with `accounts`, if one user may sign in to several. `forget`: a session that ends by a logout or a limit leaves its
   * refresh token valid. Many providers would otherwise end the user's other accounts too. `logout({ provider: true })` still
   * revokes. Default `revoke`.
   */
  logout?: 'revoke' | 'forget'
  /**
   * The part of the redirect URI in which the provider responds. `'fragment'` keeps the code out of servers' logs
   * (OAuth 2.0 Multiple Response Type Encoding Practices 2.1); a response in the query is then ignored. Default
   * `'query'`.
   */
  responseMode?: 'query' | 'fragment'
  /** Names of parameters that pages may add to an authorization request by `login({ params })`. Default: none. */
  loginParams?: string[]
  /** Scopes that pages may ask for besides `scope`, by `login({ scope })`. Default: none. */
  loginScopes?: string[]
  /**
   * Tells pages why the provider ended a session, if the provider reveals the reason (`refresh_expired`, `revoked`,
   * `reuse_detected`, `consent_withdrawn`, `mfa_required` instead of `provider_ended`), and the error code with which
   * the provider requires interaction (`session.needs`). See docs/sessions.md#the-providers-reason. Default false.
   */
  reasons?: boolean
  /**
   * Allows `login({ mode: 'custom' })`, by which an app in a shell opens the provider's page itself. Default false.
   *
   * `redirectUri` may then be of another origin: an https URL such as `https://<id>.chromiumapp.org/callback`, a URL of a
   * private-use scheme with a dot such as `com.example.app:/callback` (RFC 8252 7.1), or `http://127.0.0.1/callback` or
   * `http://[::1]/callback` (RFC 8252 7.3). With such a redirect URI, `'redirect'` and `'popup'` are refused.
   */
  customLogin?: boolean
  /** Allows `login({ mode: 'device' })`, for signing in on another device (RFC 8628). Default false. */
  deviceFlow?: boolean
  /** Seconds by which the provider's clock may differ. Default 60. */
  clockTolerance?: number
  /** The time limit of a request to the provider in seconds. Default 10. */
  requestTimeout?: number
  /**
   * The time limit of a refresh in seconds, at least `requestTimeout`. Calls wait for a refresh for at most
   * `requestTimeout`. Default 30.
   */
  refreshTimeout?: number
  /**
   * Shows pages the vault's events and holdings, without values. Every script of the page then sees the calls of all
   * tabs, so use this option only while you develop: docs/inspector.md. Default false.
   */
  inspect?: boolean
}

/** A rule of `apis`, which allows requests with the access token to the URLs of an API. */
export interface ApiRule {
  /**
   * An https URL (http is allowed on loopback) whose path ends in `/`. The rule covers all URLs below this path, except
   * with `exact`. The URL is relative to the worker's URL.
   */
  url: string
  /**
   * The rule is for this URL only, with any query, and not for URLs below it. Its path need not end in `/`, and must be
   * written as in the calls. Other rules that cover this URL do not apply. Default false.
   */
  exact?: boolean
  /** The allowed methods. Default `['GET', 'HEAD']`. */
  methods?: string[]
  /**
   * The parts of a response that are searched for the session's access tokens. If a token is found, the call fails with
   * `token_reflected`, since an API that echoes its request would hand the token to the page.
   *
   * `'refuse'` (default): headers, body, and messages of sockets are searched; a page must then not ask for a part of a
   * response (`Range`), and gets `Content-Length` only together with a whole body of at most 64 KB. `'headers'`: only
   * headers are searched, for large downloads where the search is too slow. If the API echoes its request and compresses
   * its responses, the page can then learn the token from their lengths. `'allow'`: nothing is searched. If several
   * rules allow a request, the first one counts. docs/reflection.md lists what is found and what is not.
   */
  reflection?: 'refuse' | 'headers' | 'allow'
  /**
   * The cookies of APIs that calls may carry and that responses may set. `'same-origin'` (default): those of the
   * worker's own origin. `'omit'`: none, whatever the page asks for; recommended for an API on your own origin that sets
   * readable cookies. `'include'`: those of any origin, if the page asks for `credentials: 'include'`, which is
   * `unsupported` without this value. A WebSocket handshake always carries cookies.
   */
  credentials?: 'same-origin' | 'omit' | 'include'
  /**
   * Lets the browser keep responses in its HTTP cache. Default false: every call, except `PUT` and `DELETE`, is sent
   * with `cache: 'no-store'`, whatever the page asks for. If the browser cached a response that is refused because it
   * contains the token, a page could read this response from the cache in pieces. The response would also be on the
   * disk. `true` gives up this protection for the rule: `true` implies `reflection: 'allow'`, and any other `reflection` is an error.
   */
  cache?: boolean
  /**
   * Request headers that pages may set although strongroom refuses them by default, such as `['X-Amzn-Trace-Id',
   * 'Range']`. Allow a header only for an API that does not trust the header's value. `_` counts as `-`. Some headers
   * cannot be allowed, such as `Authorization` and `Cookie`. docs/fetch.md#request-headers lists them.
   */
  allowHeaders?: string[]
  /** More request headers that pages may not set, such as `['X-Api-Key']`. */
  denyHeaders?: string[]
  /**
   * A path on the app's origin, such as `'/media/'`, whose parts consist only of A-Z, a-z, 0-9, `-`, `_` and `~`.
   * Pictures, videos, sounds, subtitles and fonts below it are loaded from `url`: an `<img src="/media/a/1.jpg">` shows
   * `<url>a/1.jpg`. Needs a service worker with `media()` of `strongroom/media`, the method `GET`, and
   * `reflection: 'headers'` or `'allow'`, because elements ask for parts of files. The rule comes before wider ones. See
   * docs/media.md.
   */
  media?: string
  /**
   * The API's identifier (RFC 8707), an absolute URI. A rule with `resource`, `audience` or `scope` gets its own access
   * tokens for exactly these values. The vault requests them with the session's refresh token when a call first needs
   * one. Rules with the same values share a token. Each login names the `resource` of all rules. A rule without these
   * three options, or with the `resource` of the login alone, uses the login's access token. The others need a refresh token.
   */
  resource?: string
  /**
   * The API's identifier for providers that use the parameter `audience` instead of `resource`. A login does not send
   * `audience`.
   */
  audience?: string
  /**
   * The scopes of the API's own access tokens (RFC 6749 6), a subset of the login's scopes. Default: the provider's
   * choice.
   */
  scope?: string
  /**
   * Lets pages open sockets (`auth.webSocket`) to `wss` URLs below `url`, and says where the token goes, since scripts
   * cannot set headers of a socket's handshake. See docs/event-sources-and-sockets.md#authwebsocket-and-websocket.
   */
  webSocket?: SocketToken
  /**
   * Lets the vault read the header `WWW-Authenticate` of responses that refuse a call. The call rejects with
   * `step_up_required` if the API requires another or more recent authentication (RFC 9470), or with
   * `insufficient_scope` if it requires more scopes (RFC 6750 3.1). The error has the options of a login that satisfies
   * the API. The API must expose the header (`Access-Control-Expose-Headers: WWW-Authenticate`). Default
   * false.
   */
  stepUp?: boolean
}

/** The place of the token in a socket's handshake or messages. */
export type SocketToken =
  /**
   * A sub-protocol after the page's own sub-protocols: `prefix` (default: empty) and the token. With `encoding:
   * 'base64url'` the token is encoded in base64url. The server must choose one of the sub-protocols. The page sees the
   * choice only if it is one of the page's own sub-protocols.
   */
  | { token: 'protocol'; prefix?: string; encoding?: 'base64url' }
  /** The first message on the socket: this string, with the token in place of `{token}`. */
  | { token: 'message'; message: string }
  /**
   * A parameter of the query (RFC 6750 2.3), by default `access_token`. Only for servers that support nothing else,
   * since URLs are written to logs.
   */
  | { token: 'query'; parameter?: string }

/** Limits of a session, in seconds. */
export interface SessionLimits {
  /** The maximum time without activity of the user. Default 1800. */
  idle?: number
  /** The maximum time of a session. Default 43200. */
  absolute?: number
  /**
   * The place where the session is stored. `'memory'` (default): in the worker as long as it runs. `'sealed'`: also in
   * IndexedDB, encrypted with a key that is not extractable. The session survives reloads, and dedicated workers of
   * several tabs share it. The encryption protects the session neither from script in this origin, which can use the
   * key, nor in a copy of the browser's profile, which has the key. `'escrow'`: also in IndexedDB, encrypted with a key in the
   * memory of your service worker, which gives the key only to the vault: see `strongroom/escrow`. The session survives
   * a reload, but not a restart of the browser.
   */
  persist?: 'memory' | 'sealed' | 'escrow'
}

/** The members of RFC 8414 / OpenID Connect Discovery that strongroom reads. */
export interface ProviderMetadata {
  issuer: string
  authorization_endpoint: string
  token_endpoint: string
  jwks_uri: string
  revocation_endpoint?: string
  end_session_endpoint?: string
  pushed_authorization_request_endpoint?: string
  require_pushed_authorization_requests?: boolean
  device_authorization_endpoint?: string
  userinfo_endpoint?: string
  authorization_response_iss_parameter_supported?: boolean
  id_token_signing_alg_values_supported?: string[]
  code_challenge_methods_supported?: string[]
}

/**
 * The members of a provider's metadata that `npx strongroom metadata` writes: all endpoints, which pages must not request
 * (except `userinfo_endpoint`), and what a login needs to know. The algorithms of signatures are not among them.
 */
export interface PinnedMetadata {
  /** The day on which the document was read (UTC), such as `2026-11-28`. */
  at: string
  issuer: string
  authorization_endpoint: string
  token_endpoint: string
  /** Only a server without OpenID Connect may lack it. */
  jwks_uri?: string
  require_pushed_authorization_requests?: boolean
  authorization_response_iss_parameter_supported?: boolean
  code_challenge_methods_supported?: string[]
  /** Each other endpoint. */
  [endpoint: `${string}_endpoint`]: string
  /** Objects with endpoints, such as `mtls_endpoint_aliases` (RFC 8705 5). */
  [other: string]: unknown
}

/** The members of token responses that say who the user is (RFC 6749 5.1 allows such members). */
export interface TokenResponseIdentity extends UserMembers {
  /** The response that has the members. */
  from: 'token_response'
}

/** The members of a response that say who the user is. */
export interface UserMembers {
  /**
   * The member that identifies the user: a string or a whole number, unique and never reassigned at this server. It
   * becomes `session.claims.sub`, a number as its digits. A login without this member fails.
   */
  sub: string
  /** More members that become claims, except objects and arrays. Default: none. */
  claims?: string[]
}

/** The user is who a profile address says. */
export interface ProfileIdentity extends UserMembers {
  /**
   * The profile address: an https URL, or http on loopback, that is no endpoint of the server except its UserInfo
   * endpoint. After each login it gets a GET request with the access token. It must respond with status 200 and a JSON
   * object of at most 64 KB; a redirect is not followed.
   */
  url: string
}
