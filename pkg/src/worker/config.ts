/** The configuration of a vault. It is fixed in the worker's file; a page cannot change it. */
export interface VaultConfig {
  /** The provider's issuer identifier, exactly as its metadata says: an https URL. */
  issuer: string
  /** RFC 6749 2.2. A public client: there is no secret in a browser. */
  clientId: string
  /** Where the provider sends its answer; relative to the worker's address. Same origin as the worker. */
  redirectUri: string
  /** Space-separated; must contain `openid`. `offline_access` asks for a refresh token. */
  scope: string
  /** What may be called with the access token. Everything else is refused. */
  apis: ApiRule[]
  /** How long a session may last. */
  session?: SessionLimits
  /** The ID token's claims that the page may see, besides `sub`. Default: name, email, preferred_username, picture, locale. */
  claims?: string[]
  /**
   * Members of the provider's metadata (RFC 8414), in place of or beside those that are discovered: a
   * `revocation_endpoint`, say, which the provider has and does not announce. With `issuer`,
   * `authorization_endpoint`, `token_endpoint` and `jwks_uri` among them, nothing is discovered. Needs
   * strongroom_extended_bg.wasm.
   */
  metadata?: Partial<ProviderMetadata>
  /**
   * The ID token's signing algorithm. Default: what the metadata offers of RS256, PS256 and ES256. Naming one here
   * loads strongroom_extended_bg.wasm, which knows all of these; where that is loaded for another reason, all that the
   * metadata offers are accepted. `none` and HMAC (HS256, …) never are.
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
   * Bind the tokens to a key (DPoP, RFC 9449): they are of no use to whoever gets hold of them without it. The key
   * pair is made in the vault's worker for each login, by WebCrypto (ES256), and is not extractable; every token
   * request and every call carries a fresh proof that is signed with it. Nonces are handled. With `true` there is no
   * falling back: an answer with Bearer tokens is refused (`token_response_invalid`). Default false.
   *
   * The provider must support it (`dpop_signing_alg_values_supported` with ES256), and so must every API in `apis`.
   * Their CORS must let the request headers `DPoP` and `Authorization` in, and expose `DPoP-Nonce` and
   * `WWW-Authenticate` if they want nonces. Sockets cannot carry a proof: `webSocket` in a rule is refused. It needs
   * strongroom_extended_bg.wasm, as `inspect` does.
   */
  dpop?: boolean
  /**
   * Pushes authorization requests to the provider (PAR, RFC 9126): the address for the user's browser then contains only
   * a reference to the request, and script of the page cannot change the request.
   *
   * `'auto'` (default): requests are pushed if the provider's metadata has a `pushed_authorization_request_endpoint`. If
   * that endpoint does not accept this client or origin, the vault stops pushing and warns with `login_not_pushed`; any
   * other failure fails the login. `true`: a login that cannot be pushed fails. `false`: requests are not pushed.
   *
   * A push costs one request to the provider per login. A reference is good for one use, so after Back or a reload at
   * the provider the user has to start the login again.
   */
  par?: boolean | 'auto'
  /**
   * `'provider'` (default): the provider decides whether to ask the user for consent. `'always'`: each login sends
   * `prompt=consent`, besides the `prompt` of `login()`; silent logins (`none`) do not.
   *
   * Some providers issue a refresh token for `offline_access` only with `'always'` (OpenID Connect Core 11). The vault
   * warns with `refresh_token_missing` if none arrives. At other providers users cannot consent, and `'always'` would
   * keep them out.
   */
  consent?: 'provider' | 'always'
  /**
   * The reaction if the provider grants scopes that the login did not ask for. `'warn'` (default): `scope_exceeded` on the
   * page's console, since many providers grant more scopes of their own accord. `'refuse'`: the login fails with that
   * error. Where requests are not pushed, script of the page can ask for more scopes. Needs strongroom_extended_bg.wasm.
   */
  unrequestedScopes?: 'warn' | 'refuse'
  /**
   * Audiences that an ID token may name besides this client although it has no `azp` (OpenID Connect Core 3.1.3.7).
   * Default: none. Needs strongroom_extended_bg.wasm.
   */
  trustedAudiences?: string[]
  /**
   * The part of the redirect URI in which the provider responds. `'fragment'` keeps the code out of servers' logs (OAuth
   * 2.0 Multiple Response Type Encoding Practices 2.1); a response in the query is then ignored. Default `'query'`. This
   * option and `loginParams`, `loginScopes`, `reasons`, `deviceFlow` and `inspect` need strongroom_extended_bg.wasm.
   */
  responseMode?: 'query' | 'fragment'
  /** Names of parameters that pages may add to an authorization request by `login({ params })`. Default: none. */
  loginParams?: string[]
  /** Scopes that pages may ask for besides `scope`, by `login({ scope })`. Default: none. */
  loginScopes?: string[]
  /**
   * Tell pages why the provider ended a session, as far as it lets on (`refresh_expired`, `revoked`,
   * `reuse_detected`, `consent_withdrawn`, `mfa_required` in place of `provider_ended`), and by which error code it
   * wants the user (`session.needs`). See docs/sessions.md. Default false.
   */
  reasons?: boolean
  /** Allows `login({ mode: 'device' })`: signing in on another device (RFC 8628). */
  deviceFlow?: boolean
  /** Seconds by which the provider's clock may differ. Default 60. */
  clockTolerance?: number
  /** Seconds a request to the provider may take. Default 10. */
  requestTimeout?: number
  /**
   * Tell pages what happens inside, and what is held, without values: for demos and debugging. Default false.
   * It is in a module of its own, which is loaded instead of the other: serve strongroom_extended_bg.wasm, too,
   * wherever strongroom_bg.wasm is served by hand, and pass the full one if you pass `wasm` to `vault()`.
   */
  inspect?: boolean
}

/** Which requests may carry the access token. */
export interface ApiRule {
  /** An https URL whose path ends in `/`: everything below it. Relative to the worker's address. */
  url: string
  /** Default `['GET', 'HEAD']`. */
  methods?: string[]
  /**
   * The parts of a response that are searched for the session's access tokens. If a token is found, the call fails with
   * `token_reflected`, since an API that echoes its request would hand the token to the page.
   *
   * `'refuse'` (default): headers, body, and messages of sockets are searched; a page must then not ask for a part of a
   * response (`Range`). `'headers'`: only headers are searched, for large downloads where the search is too slow.
   * `'allow'`: nothing is searched. If several rules allow a request, the first one counts. docs/deployment.md lists
   * what is found and what is not.
   */
  reflection?: 'refuse' | 'headers' | 'allow'
  /**
   * Lets the browser keep responses in its HTTP cache. Default false: every call is sent with `cache: 'no-store'`,
   * whatever the page asks for. Otherwise a page could read a refused response, and the token in it, from the cache in
   * pieces, and the response would be on the disk. `true` gives up that protection for the rule: it implies
   * `reflection: 'allow'`, and any other `reflection` is an error. Needs strongroom_extended_bg.wasm.
   */
  cache?: boolean
  /**
   * Request headers that pages may set although strongroom refuses them, such as `['X-Amzn-Trace-Id', 'Range']`. Allow a
   * header only for an API that does not trust it. `_` counts as `-`. Some headers cannot be allowed, such as
   * `Authorization` and `Cookie`. docs/fetch.md has the list. Needs strongroom_extended_bg.wasm, as does `denyHeaders`.
   */
  allowHeaders?: string[]
  /** More request headers that pages may not set, such as `['X-Api-Key']`. */
  denyHeaders?: string[]
  /**
   * The API's identifier (RFC 8707): an absolute URI. With it, `audience` or `scope` the API gets access tokens of its
   * own, for that and no more: they are fetched with the session's refresh token when a call first needs one, and
   * rules that name the same share them. All resources are named at login. Without any of the three a rule has the
   * login's own access token. They need strongroom_extended_bg.wasm, as `inspect` does, and a refresh token.
   */
  resource?: string
  /** The same, by the parameter `audience` that some providers have instead. It is not sent at login. */
  audience?: string
  /** The scopes of the API's own access tokens (RFC 6749 6): some of the login's. Default: the provider's choice. */
  scope?: string
  /**
   * Lets pages open sockets (`auth.webSocket`) to `wss` addresses below `url`, and says where the token goes: no
   * script can set a header of a socket's handshake. It needs strongroom_extended_bg.wasm, as `inspect` does.
   */
  webSocket?: SocketToken
  /**
   * Reads `WWW-Authenticate` of answers that refuse a call, and rejects it with `step_up_required` if the API wants
   * another or more recent authentication (RFC 9470), or with `insufficient_scope` if it wants more scope (RFC 6750
   * 3.1), with a login that satisfies it. The API must let the header be read
   * (`Access-Control-Expose-Headers: WWW-Authenticate`). Needs strongroom_extended_bg.wasm.
   */
  stepUp?: boolean
}

/** Where a socket's token goes. */
export type SocketToken =
  /**
   * A sub-protocol after those that the page names: `prefix` (default: nothing) and the token, which `encoding:
   * 'base64url'` encodes once more. The server must choose one of them; which of the page's own, the page is told.
   */
  | { token: 'protocol'; prefix?: string; encoding?: 'base64url' }
  /** The first message: this text, with the token in place of `{token}`. */
  | { token: 'message'; message: string }
  /**
   * A parameter of the query (RFC 6750 2.3), by default `access_token`: for servers that can do nothing else, since
   * addresses are written to logs.
   */
  | { token: 'query'; parameter?: string }

/** Limits of a session, in seconds. */
export interface SessionLimits {
  /** Ends after so long without activity of the user. Default 1800. */
  idle?: number
  /** Ends after so long whatever happens. Default 43200. */
  absolute?: number
  /**
   * Where the session is kept. `'memory'` (default): in the worker, for as long as it lives. `'sealed'`: also in
   * IndexedDB, encrypted by a key that is not extractable, so that it survives reloads, and dedicated workers of
   * several tabs share it. That keeps it out of disks, backups and other origins' reach, not out of the reach of
   * script in this origin, which can use the key. `'escrow'`: also in IndexedDB, encrypted by a key that is in the
   * memory of a service worker of yours, which gives it to the vault and nobody else: see `strongroom/escrow`. It
   * survives a reload, not the browser. Both need strongroom_extended_bg.wasm, as `inspect` does.
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
  authorization_response_iss_parameter_supported?: boolean
  id_token_signing_alg_values_supported?: string[]
  code_challenge_methods_supported?: string[]
}
