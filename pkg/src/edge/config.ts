import { StrongroomError } from '../page/error.js'
import { type CoordinatorSource, failed } from './coordinators/coordinator.js'

/** A value, or where it is among what the platform hands to `fetch`: `env => env.CLIENT_SECRET`. */
export type FromEnv<T> = T | ((env: any) => T)

/** The configuration of a token handler. It is read with the first request, and fixed from then on. */
export interface TokenHandlerConfig {
  /** The provider's issuer identifier, exactly as its metadata says: an https URL, or http on loopback. */
  issuer: FromEnv<string>
  /** This client, as the provider knows it. */
  client: {
    /** RFC 6749 2.2. */
    id: FromEnv<string>
    /** How it authenticates at the provider's endpoints. */
    auth: ClientAuth
  }
  /** How cookies are sealed and written. */
  cookie: {
    /**
     * Keys of 32 random bytes each, in base64 (`openssl rand -base64 32`): a list, or one text with spaces or commas
     * between them. The first seals, all of them open. To replace a key, first append the new one, then put it in front:
     * see "Replace a key" in docs/edge.md.
     */
    keys: FromEnv<string | string[]>
    /** What the cookies' names begin with, behind their prefix. Default `strongroom`. */
    name?: string
    /** Of the session's cookie. Default `lax`. With `strict` the way back from the provider has a page in between. */
    sameSite?: 'lax' | 'strict'
    /** Use the prefix `__Host-Http-` in place of `__Host-`: only HTTP may set it, where browsers know it. */
    httpPrefix?: boolean
  }
  /** How long a session lasts, and where it is. */
  session?: {
    /** Ends after so many seconds without a request that is not marked as background. Default 1800. */
    idle?: number
    /** Ends so many seconds after the login, whatever happens. Default 43200. */
    absolute?: number
    /** Default `sealed-in-cookie`. With `in-store` the cookie has a number, and the coordinator the sealed session. */
    storage?: 'sealed-in-cookie' | 'in-store'
    /**
     * After how many seconds an isolate asks the coordinator again whether a session is over: how long a copy of a cookie
     * is good in another isolate after a logout. 0: at every request. Default 10.
     */
    recheck?: number
    /** For how many seconds a cookie is still good after one of a later generation has been presented. Default 60. */
    grace?: number
  }
  /** What is served by upstreams, with the access token. The longest prefix decides. */
  routes?: Route[]
  /** Where isolates agree who refreshes: `durableObject(…)`, `redis(…)`, `denoKv(…)` or, for one process, `inIsolate()`. */
  coordinator: CoordinatorSource
  /** Space-separated; must contain `openid`. Default `openid offline_access`. */
  scope?: string
  /** The path of the handler's own endpoints. Default `/auth`. */
  base?: string
  /** The origin that browsers see, if TLS ends before the handler and requests arrive with another. */
  origin?: FromEnv<string>
  /** The ID token's claims that the page may see, besides `sub`. */
  claims?: string[]
  /** `'always'`: each login asks for consent (`prompt=consent`). Default `'provider'`: the provider decides. */
  consent?: 'provider' | 'always'
  /** `'warn'` (default) logs `scope_exceeded` if scopes beyond the request are granted; `'refuse'` fails the login. */
  unrequestedScopes?: 'warn' | 'refuse'
  /** Audiences that an ID token may name besides the client although it has no `azp`. Default: none. */
  trustedAudiences?: string[]
  /** More parameters for the authorization request. */
  authorizationParams?: Record<string, string>
  /** Names of parameters that pages may add to a login's address. Default: none. */
  loginParams?: string[]
  /** Hand authorization requests to the provider itself (RFC 9126). Default: if the provider demands it. */
  par?: boolean
  /**
   * Bind the tokens to a key (RFC 9449): one is made for each login and sealed with its session, and proofs are sent to
   * the provider and to upstreams. Tokens that are not bound are refused, and nothing is ever sent as a bearer token.
   * Who is signed in when this is changed signs in again. Default false.
   */
  dpop?: boolean
  /** Serve `<base>/backchannel-logout`. Default true. */
  backChannelLogout?: boolean
  /** A path of the app's, registered at the provider, where a logout ends. Default: the provider decides. */
  postLogoutRedirectUri?: string
  /** The provider's metadata (RFC 8414), instead of discovery. */
  metadata?: Record<string, unknown>
  /** The ID token's signing algorithm, if only one is to be accepted. */
  idTokenSignedResponseAlg?: string
  /** Seconds by which the provider's clock may differ. Default 60. */
  clockTolerance?: number
  /** Seconds a request to the provider may take. Default 10. */
  requestTimeout?: number
  /** Is told what goes wrong: a stable code of docs/errors.md and a sentence, never a secret. Default: `console.warn`. */
  log?: (fault: { code: string; message: string }) => void
  /**
   * Is told of each session that this isolate has ended, with its user's `sub`. Not of one that the provider ended by a
   * back-channel logout.
   */
  onSessionEnd?: (end: { reason: string; sub: string }) => void
}

/** How the client authenticates (OpenID Connect Core 9). */
export type ClientAuth =
  | { method: 'client_secret_basic' | 'client_secret_post'; secret: FromEnv<string> }
  /** The private key is a JWK; `alg` is the key's own unless it is given here. */
  | { method: 'private_key_jwt'; key: FromEnv<JsonWebKey & { kid?: string }>; alg?: string }
  /** A public client: PKCE alone protects it. */
  | { method: 'none' }

/** A part of the app that an upstream serves. */
export interface Route {
  /** The path it begins with, such as `/api/`. */
  prefix: string
  /** What takes its place: an absolute URL that ends in `/`. */
  upstream: FromEnv<string>
  /**
   * The address by which pages call it, besides the prefix: an absolute URL that ends in `/`, mostly the API's own. Pages
   * are told of it (`GET <base>/config`), so that `auth.fetch` of `connect('/auth')` sends calls of that address here.
   * Default: none; they are never told of `upstream`.
   */
  url?: FromEnv<string>
  /** In capitals. Default `['GET']`. */
  methods?: string[]
  /**
   * What is done if an answer has the access token in it. Default `refuse`: the answer fails with `token_reflected`.
   * `headers`: only those are searched. `allow`: nothing is.
   */
  reflection?: 'refuse' | 'headers' | 'allow'
  /**
   * Request headers that go to the upstream although the handler removes them by default, such as `['X-Api-Key']`. `_`
   * counts as `-`. Some headers cannot be allowed, such as `Authorization` and `Cookie`. docs/edge.md has the list.
   */
  allowHeaders?: string[]
  /** More request headers that do not go to the upstream. */
  denyHeaders?: string[]
  /**
   * Let users go there by a link of the app's, or by hand: a GET without the header `X-Strongroom`, whose answer becomes
   * a page in a sandbox without scripts, or a download. Without a session they sign in first and come back, if the
   * address has no more than 1024 characters and no other site has sent them. Default false.
   */
  navigate?: boolean
  /**
   * Tell pages what login an API asks for that refuses a call with `insufficient_user_authentication` (RFC 9470) or
   * `insufficient_scope` (RFC 6750 3.1): by the errors `step_up_required` and `insufficient_scope`, in place of the API's
   * answer. Default false.
   */
  stepUp?: boolean
}

/** The configuration without what only the host uses, in JSON, with everything taken from `env`. */
export const written = (config: TokenHandlerConfig, env: unknown): string => {
  const { coordinator, log, onSessionEnd, ...rest } = config
  return JSON.stringify(resolved(rest, env))
}

/** A function is where a value is in `env`. */
const resolved = (value: unknown, env: unknown, path = ''): unknown => {
  if (typeof value === 'function') {
    try {
      return value(env)
    } catch (error) {
      const without = env === undefined ? '; no env was handed over' : ''
      throw new StrongroomError('config_invalid', `\`${path}\`: ${failed(error)}${without}`)
    }
  }
  if (Array.isArray(value)) return value.map((one, i) => resolved(one, env, `${path}[${i}]`))
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).map(([name, one]) => [
    name,
    resolved(one, env, path ? `${path}.${name}` : name),
  ])
  return Object.fromEntries(members)
}
