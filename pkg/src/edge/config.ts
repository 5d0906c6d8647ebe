import { StrongroomError } from '../page/errors/error.js'
import { isPlain, plainCopy, WHY_NOT_PLAIN } from '../protocol/plain.js'
import type { ProfileIdentity, TokenResponseIdentity } from '../worker/config.js'
import { type CoordinatorSource, failed } from './coordinators/coordinator.js'
import type { HandlerEvent, LogEntry, Observer } from './events.js'
import { SEND, type WithSend } from './upstream/provider.js'

/** A value, or a function that reads the value from the platform's `env`: `env => env.CLIENT_SECRET`. */
export type FromEnv<T> = T | ((env: any) => T)

/**
 * The configuration of a token handler. The configuration is read with the first request or by `ready()`, and cannot
 * change afterwards. Its objects are literals: those of a class, such as a `Map`, are refused.
 */
export interface TokenHandlerConfig {
  /** The provider's issuer identifier, exactly as in its metadata: an https URL, or http on loopback. */
  issuer: FromEnv<string>
  /** The app's registration as a client at the provider. */
  client: {
    /** The client identifier (RFC 6749 2.2). */
    id: FromEnv<string>
    /** The client's authentication at the provider's endpoints. */
    auth: ClientAuth
  }
  /** The keys, names and attributes of cookies. */
  cookie: {
    /**
     * Keys of 32 random bytes each, in base64 (`openssl rand -base64 32`): an array, or one string in which spaces or
     * commas separate the keys. The handler seals with the first key, and opens with any key. To replace a key, first
     * append the new key, and later move it to the front: see docs/edge-operate.md#replace-a-key.
     */
    keys: FromEnv<string | string[]>
    /** The beginning of cookie names, after the prefix. Default `strongroom`. */
    name?: string
    /**
     * `SameSite` of the session's cookie. Default `lax`. With `strict`, a page of the handler forwards the browser
     * after a login.
     */
    sameSite?: 'lax' | 'strict'
    /**
     * Use the prefix `__Host-Http-` instead of `__Host-`. In browsers that support this prefix, only HTTP responses can
     * set such cookies. Default false.
     */
    httpPrefix?: boolean
  }
  /** The limits and the storage of sessions. */
  session?: {
    /**
     * The session ends if the user causes no request for this many seconds. Requests that are marked as background do
     * not count. Default 1800.
     */
    idle?: number
    /** The session ends this many seconds after the login. Default 43200. */
    absolute?: number
    /**
     * Default `sealed-in-cookie`. With `in-store`, the cookie has the session's ID, and the coordinator has the sealed
     * session. Only `sealed-in-cookie` notices a copy of the cookie (docs/edge-sessions.md#a-copied-cookie); with `in-store`,
     * use `bind`.
     */
    storage?: 'sealed-in-cookie' | 'in-store'
    /**
     * The interval in seconds at which an isolate reads a session's record from the coordinator again. After a logout,
     * a copied cookie remains valid in another isolate for up to this time. 0: the record is read at every request.
     * Default 10.
     */
    recheck?: number
    /**
     * Let `handler.end()` end every session: also by the session's public ID, without `backChannelLogout`, and without
     * OpenID Connect. And list the sessions of a user: `handler.sessions()`, and `<base>/sessions` for the user's own page.
     * The handler then reads one key more with each record, and writes the list after each login: see
     * docs/edge-sessions.md#costs. Default false.
     */
    admin?: boolean
    /**
     * Returns a description of the browser that signs in, for the list of sessions, such as `Firefox on Windows`: one line of
     * at most 200 bytes, without marks that change the direction of text. Another description is dropped. Called with the
     * request of the callback. Default: the list has no description.
     */
    describe?: (request: Request) => string
    /** Seconds for which a cookie remains valid after a cookie of a later generation was presented. Default 60. */
    grace?: number
    /**
     * Bind sessions to a key in the browser's security hardware (Device Bound Session Credentials), so that a copied
     * cookie is useless: see docs/edge-bound.md. `false` (default): no session is bound, and nothing is checked.
     * `'report'`: requests that would be refused are only logged. `'if-supported'`: browsers that support it bind their
     * sessions. `'required'`: a session that is still not bound a minute and `session.recheck` after its login is
     * refused. A function chooses for each request.
     */
    bind?: SessionBinding | ((request: Request) => SessionBinding)
    /**
     * Paths of the app whose requests do not wait while the browser renews the bound cookie, such as `/assets`. At most
     * 20. Default: none.
     */
    bindExclude?: string[]
  }
  /**
   * The routes to upstreams, which are the APIs that get the access token. If several prefixes match a path, the
   * longest one applies.
   */
  routes?: Route[]
  /**
   * The sites for which a reverse proxy asks `handler.check` about each request. The key is the name in the path of the
   * check. Needs `session.storage: 'in-store'` and `origin`. Cannot be used with `dpop`. Default: none. Experimental: see
   * docs/oauth2-proxy.md.
   */
  guards?: Record<string, Guard>
  /**
   * The store that coordinates isolates: `durableObject(…)`, `redis(…)`, `postgres(…)`, `denoKv(…)` or, for one
   * process, `inIsolate()`.
   */
  coordinator: CoordinatorSource
  /**
   * The scopes of a login, separated by spaces. They must contain `openid`, except with `identity`. Default `openid
   * offline_access`, with `identity` none.
   */
  scope?: string
  /**
   * The user of a server without OpenID Connect, which issues no ID tokens: `'none'`, or the names of members of the
   * token response or of the response of a profile address. See docs/oauth.md.
   */
  identity?: 'none' | TokenResponseIdentity | ProfileIdentity
  /**
   * Asks the provider's UserInfo endpoint for claims after each login. The page sees those that `claims` names and the
   * ID token lacks. Default false. See docs/login.md#userinfo.
   */
  userInfo?: boolean
  /** The path of the handler's own endpoints. Default `/auth`. */
  base?: string
  /**
   * The origin that browsers see. Set this option if a proxy terminates TLS and requests arrive with another origin. With
   * one string, each request has this origin, whatever its host. With an array, the request's `Host` decides: other hosts
   * get 421, and a session is valid only at the origin of its login. In an array, the first label of a host may be `*`:
   * see docs/edge-deploy.md#several-origins. Without this option, a session is valid only at the host name of its login,
   * with any port.
   */
  origin?: FromEnv<string | string[]>
  /**
   * The ID token's claims that the page may see, besides `sub`. Default: name, email, preferred_username, picture,
   * locale.
   */
  claims?: string[]
  /** `'always'`: each login asks for consent (`prompt=consent`). Default `'provider'`: the provider decides. */
  consent?: 'provider' | 'always'
  /**
   * The reaction if the provider grants scopes that the login did not request. `'warn'` (default): the handler logs
   * `scope_exceeded`. `'refuse'`: the login fails.
   */
  unrequestedScopes?: 'warn' | 'refuse'
  /**
   * `true`: a response without `iss` (RFC 9207) ends its login with `callback_invalid`, also an error response: see
   * docs/options.md#requireiss. Default `false`: only if the provider's metadata announces `iss`.
   */
  requireIss?: boolean
  /** Audiences that an ID token may name besides the client although it has no `azp`. Default: none. */
  trustedAudiences?: string[]
  /**
   * Claims, such as an organization's ID, that must have the same value in each ID token of a session. If a refresh brings
   * another value, the session ends with `claims_changed`: see docs/login.md#a-claim-that-must-not-change. Default: none.
   */
  sameClaims?: string[]
  /** More parameters for the authorization request. */
  authorizationParams?: Record<string, string>
  /**
   * The API that access tokens are for (RFC 8707), an absolute URI without a fragment. Each login and each refresh names it,
   * and the upstreams of all routes get these tokens. After a change of this option, users sign in again. Their old sessions
   * are not revoked, and continue if it is changed back. With `userInfo`, providers may refuse such a token. Default: the
   * provider decides.
   */
  resource?: string
  /** Names of parameters that pages may add to a login's URL. Default: none. */
  loginParams?: string[]
  /**
   * Push authorization requests to the provider (RFC 9126). Default: only if the provider requires it.
   */
  par?: boolean
  /**
   * Bind the tokens to a key (RFC 9449). Each login generates a key, which is sealed with its session, and proofs are
   * sent to the provider and to upstreams. Unbound tokens are refused, and no token is ever sent as a bearer token.
   * Changing this option requires users to sign in again. Default false.
   */
  dpop?: boolean
  /** Serve `<base>/backchannel-logout`. Default true. */
  backChannelLogout?: boolean
  /**
   * Only with `tenants()`, if one user may sign in at several tenants of one provider. `forget`: a session that ends by a
   * logout or a limit leaves its refresh token valid. Many providers would otherwise end the user's sessions at other tenants
   * too. `logout({ provider: true })` still revokes. Default `revoke`.
   */
  logout?: 'revoke' | 'forget'
  /** A path of the app, registered with the provider, to which a logout returns. Default: the provider decides. */
  postLogoutRedirectUri?: string
  /** The provider's metadata (RFC 8414), instead of discovery. */
  metadata?: Record<string, unknown>
  /**
   * The only signing algorithm of ID tokens and logout tokens that the handler accepts. Default: all supported
   * algorithms in the metadata. Without this option, a logout token must have the algorithm of the ID token that the
   * isolate has verified last, if it has verified one.
   */
  idTokenSignedResponseAlg?: string
  /**
   * Write the provider's `error_description` of a failed login to the log. It often names the remedy, and may contain
   * personal data. Default true.
   */
  logDescriptions?: boolean
  /** Seconds by which the provider's clock may differ. Default 60. */
  clockTolerance?: number
  /** Seconds a request to the provider may take, and for which a request waits for a refresh. Default 10. */
  requestTimeout?: number
  /** Seconds a refresh may take, at least `requestTimeout`. Default 30. */
  refreshTimeout?: number
  /**
   * Called with each line of the log: a level, a code of docs/errors.md and a sentence, never a secret. Default: the
   * console.
   */
  log?: (entry: LogEntry) => void
  /**
   * Called with each event that an operator may count, such as logins, refreshes, refused requests and outages: see
   * docs/edge-observe.md. Default: no event is created.
   */
  observe?: ((event: HandlerEvent) => void) | Observer
  /**
   * Called when this isolate has ended a session. A session that a back-channel logout or {@link TokenHandler.end} has ended
   * is reported when it is presented the next time.
   */
  onSessionEnd?: (end: SessionEnd) => void
}

/** The end of a session, for the operator. */
export interface SessionEnd {
  /** A reason of docs/sessions.md. */
  reason: string
  /** The `sub` of the session's user. Empty with `storage_lost`. */
  sub: string
  /** The session's public ID, which is also in the log. It gives no access to the session. */
  session: string
  /** The `by` of the call of `handler.end()` that has ended the session, if it had one. */
  by?: string
  /** The `why` of that call, if it had one. */
  why?: string
}

/** The values of `session.bind`. */
export type SessionBinding = false | 'report' | 'if-supported' | 'required'

/** The client's authentication (OpenID Connect Core 9). */
export type ClientAuth =
  | { method: 'client_secret_basic' | 'client_secret_post'; secret: FromEnv<string> }
  /**
   * The private key is a JWK; `alg` defaults to the `alg` of the key. `audience` is the audience of the client's
   * assertions: `'issuer'` (default), or `'token-endpoint'` for providers that require the URL of their token endpoint
   * there, such as Ory Hydra.
   */
  | {
      method: 'private_key_jwt'
      key: FromEnv<JsonWebKey & { kid?: string }>
      alg?: string
      audience?: 'issuer' | 'token-endpoint'
    }
  /** A public client, which does not authenticate: only PKCE protects its codes. */
  | { method: 'none' }

/** A part of the app that an upstream serves. */
export interface Route {
  /** The beginning of the route's paths, such as `/api/`. */
  prefix: string
  /** The URL that replaces the prefix: an absolute URL that ends in `/`. */
  upstream: FromEnv<string>
  /**
   * The URL by which pages call the route, besides the prefix: an absolute URL that ends in `/`, usually the API's own.
   * Pages get this URL from `GET <base>/config`, so `auth.fetch` of `connect('/auth')` sends calls for this URL to the
   * route. Default: none. Pages never learn `upstream`.
   */
  url?: FromEnv<string>
  /** The allowed methods, in capital letters. Default `['GET']`. */
  methods?: string[]
  /**
   * The check of responses for the access token. Default `refuse`: a response with the token fails with
   * `token_reflected`. `headers`: only headers are searched. `allow`: nothing is searched. With both, the length of a
   * compressed response reaches the page, so an API that echoes its request gives the token away.
   */
  reflection?: 'refuse' | 'headers' | 'allow'
  /**
   * Request headers that go to the upstream although the handler removes them by default, such as `['X-Api-Key']`. `_`
   * counts as `-`. Some headers cannot be allowed, such as `Authorization` and `Cookie`:
   * docs/edge-reference.md#headers lists them.
   */
  allowHeaders?: string[]
  /** Additional request headers that the handler removes. */
  denyHeaders?: string[]
  /**
   * Let users navigate to the route's URLs, by a link of the app. From elsewhere, such as the address bar or another
   * site, users get a page with a link to the URL. Such a request is a GET without the header `X-Strongroom`. The
   * response becomes a page in a sandbox without scripts, or a download. Without a session, users sign in first and
   * return, if the path has at most 1024 characters. Default false.
   */
  navigate?: boolean
  /**
   * Let elements of the app's pages load the route's URLs: `<img>`, `<video>`, `<audio>`, `<track>` and fonts, which
   * cannot send the header `X-Strongroom`. `methods` may have only GET and HEAD, and the route must change nothing, because
   * a picture in a comment is a request with its reader's session. Browsers must send Fetch Metadata. A response of
   * another kind than the element's is replaced by 502. Such a request does not extend the idle timeout. Seeking in videos
   * needs `reflection: 'headers'`. Default false. See docs/media.md.
   */
  media?: boolean
  /**
   * Tell pages which login an API demands when the API refuses a call with `insufficient_user_authentication` (RFC
   * 9470) or `insufficient_scope` (RFC 6750 3.1). Instead of the API's response, pages get the error `step_up_required`
   * or `insufficient_scope`. Default false.
   */
  stepUp?: boolean
  /**
   * Seconds until the upstream's response must begin. Default 60. Later, the handler responds with 502
   * (`upstream_unavailable`). The response's body may take any time, and so may a request with a body of more than 64 KB
   * or of unknown length.
   */
  timeout?: number
}

/** A site behind a reverse proxy that asks `handler.check` about each request. */
export interface Guard {
  /** The secret that the proxy sends as `X-Strongroom-Check`: at least 32 characters. */
  secret: FromEnv<string>
  /**
   * Claims of the ID token with their allowed values, such as `{ groups: ['staff'] }`. A user needs one of the values of each
   * claim. `{ email: { domain: ['example.com'] } }` allows the addresses of a domain. Default: each user may enter.
   */
  allow?: Record<string, string[] | { domain: string[] }>
  /**
   * Headers with claims for the site, such as `{ 'X-User-Email': 'email' }`. Each name must end in a word about the user: `user`,
   * `username`, `uid`, `id`, `sub`, `email`, `name`, `login`, `groups` or `roles`. Visible ASCII is sent as it is, except `%`
   * and `,`, and anything else percent-encoded. Commas separate the items of an array. The proxy gets each header: a missing
   * claim is an empty value, and proxies may leave an empty header out.
   */
  identity?: Record<string, string>
}

/** Returns the configuration for the core as JSON. Each function is replaced by the value that it reads from `env`. */
export const configJson = (config: TokenHandlerConfig, env: unknown): string => {
  const {
    coordinator,
    log,
    observe,
    onSessionEnd,
    session,
    [SEND]: send,
    ...rest
  } = plain(config as TokenHandlerConfig & WithSend, 'config')
  // A function gets requests, and not `env`.
  const { bind, describe, ...times } = plain(session ?? {}, 'session')
  const kept = typeof bind === 'function' ? times : { ...times, bind }
  const read = (path: string, value: Function): unknown => {
    try {
      return value(env)
    } catch (error) {
      const without = env === undefined ? '; no env was passed' : ''
      throw new StrongroomError('config_invalid', `\`${path}\`: ${failed(error)}${without}`)
    }
  }
  const all = plainCopy({ ...rest, session: session && kept }, notPlain, read) as { guards?: unknown }
  // JSON leaves out what is undefined, and a guard without `allow` would let every user in. The core refuses null.
  const guards = all.guards && JSON.parse(JSON.stringify(all.guards, (_, value) => value ?? null))
  return JSON.stringify({ ...all, guards })
}

/** Returns an object of the configuration. Throws if JSON would lose one of its members. */
const plain = <T extends object>(value: T, path: string): T => (isPlain(value, SEND) ? value : notPlain(path))

const notPlain = (path: string): never => {
  throw new StrongroomError('config_invalid', `\`${path}\`${WHY_NOT_PLAIN}`)
}
