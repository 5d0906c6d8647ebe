import { DEFAULT_BASE } from '../../glue/constants.js'
import { StrongroomError } from '../page/errors/error.js'
import type { TokenHandlerConfig } from './config.js'
import { type HandlerHealth, writeLine } from './events.js'
import { type Check, type Context, Host, type Scope } from './host.js'
import {
  type EdgeSession,
  type Outer,
  type OuterRequest,
  type RequestAuth,
  requestAuth,
} from './request-auth.js'

/** A token handler, whose methods a server calls. */
export interface TokenHandler {
  /**
   * Responds to requests for the handler's own endpoints and the routes, and to all other requests with 404.
   *
   * @param env The value that the platform passes. The configuration's functions receive this value.
   */
  fetch(request: Request, env?: unknown, context?: Context): Promise<Response>
  /** Responds as {@link fetch} does, but resolves with `undefined` for other URLs, which the app handles. */
  handle(request: Request, env?: unknown, context?: Context): Promise<Response | undefined>
  /**
   * Responds to the checks of a reverse proxy that carries the traffic of a site itself, such as nginx with `auth_request`
   * or Caddy with `forward_auth`. Serve it at an address that only the proxy reaches, as in
   * `createServer(toNodeListener(handler.check)).listen(4181, '127.0.0.1')`. The path of a check is the name of an entry of
   * `guards`: `/<guard>`, or `/<guard>/nginx` for nginx. `fetch()` and `handle()` never respond to a check. Experimental: see
   * docs/oauth2-proxy.md.
   */
  check(request: Request, env?: unknown, context?: Context): Promise<Response>
  /**
   * Returns the session of a request, for pages that are rendered on the server. Reading the session does not count as
   * the user's activity, and sets no cookie.
   *
   * With `session.bind`, pass navigations to {@link handle} first. If the browser may have to renew its bound cookie, that
   * method responds with a page that causes the renewal.
   *
   * @returns `null` if there is no session, or if it is bound and the request has no valid bound cookie.
   * @throws Error if the session cannot be read now, or if the browser says that it could not renew its bound cookie. The
   *   session continues, and the caller may try again.
   */
  session(request: OuterRequest, env?: unknown, context?: Context): Promise<EdgeSession | null>
  /**
   * Returns an object for the server code of this request, such as a loader or an action: it calls APIs with the user's
   * access token, and returns the headers that the page's response must have. Create one object for each request.
   *
   * @param request The page's request. Only its method, URL and headers are used.
   */
  for(request: OuterRequest, env?: unknown, context?: Context): RequestAuth
  /**
   * Ends sessions in all isolates: all sessions of a user, those that began in one session of the provider, or one session.
   * Isolates learn of it when they next read a session's record (`session.recheck`). A later login is not affected. This
   * function does not check who calls it: your own endpoint must check that its caller may end these sessions, and that a
   * page of yours sent the request. See docs/edge-sessions.md#end-sessions.
   *
   * @returns True, or false if the coordinator could not be written. Call it again then: repeating is harmless.
   * @throws `StrongroomError` `config_invalid` if the call needs `session.admin`, or `message_invalid`.
   */
  end(sessions: SessionsToEnd, options?: EndOptions, env?: unknown, context?: Context): Promise<boolean>
  /**
   * Returns the latest sessions of a user that have not ended, at most 20. The list is best-effort: a session is missing if
   * its entry could not be written just after its login, or if it began before `session.admin` was set, and it may have ended
   * unnoticed, such as at the idle limit. See docs/edge-sessions.md#list-sessions.
   *
   * @throws `StrongroomError` `config_invalid` without `session.admin`, `coordinator_unavailable`, or `message_invalid`.
   */
  sessions(of: { user: string }, env?: unknown, context?: Context): Promise<SessionList>
  /**
   * Reads the configuration now and not with the first request, so a server with an invalid configuration does not
   * start. Sends no request to the provider or the coordinator.
   *
   * @param env The environment, as for {@link fetch}. Default: `process.env`, if the platform has it.
   * @throws `StrongroomError` `config_invalid`: the message has a line for each invalid option.
   */
  ready(env?: unknown): Promise<void>
  /**
   * Returns what this isolate knows about the provider and the coordinator, for a page of your own. It sends no request.
   * Probes use `<base>/health/live` and `<base>/health/ready`, which do not depend on these servers.
   */
  health(): HandlerHealth
}

/** The sessions that {@link TokenHandler.end} ends. */
export type SessionsToEnd =
  /** All sessions of this user: the `sub`. */
  | { user: string }
  /** The sessions that began in this session of the provider: the `sid` of their ID tokens. */
  | { providerSession: string }
  /** One session: its public ID, as in the log and in `onSessionEnd`. Needs `session.admin`. */
  | { session: string }

/** The options of {@link TokenHandler.end}. */
export interface EndOptions {
  /** The name of who ends the sessions, for the log and `onSessionEnd`. At most 200 bytes. */
  by?: string
  /** The reason in words, for the log and `onSessionEnd`. At most 200 bytes. */
  why?: string
  /** The public IDs of sessions that continue, at most 16. */
  spare?: string[]
  /** The reason that pages get. With both, only the user begins the next login. Default `logged_out`. */
  reason?: 'logged_out' | 'security'
}

/** Sessions of a user. */
export interface SessionList {
  sessions: ListedSession[]
  /** Always true: entries may be missing. */
  mayBeIncomplete: true
}

/** A session of a user. Times are in milliseconds since the Unix epoch. */
export interface ListedSession {
  /** The public ID, for {@link TokenHandler.end}. It gives no access to the session. */
  session: string
  /** The time of the login. */
  startedAt: number
  /** The time of the last refresh, if there was one. */
  refreshedAt?: number
  /** True if the session is bound to a key of its browser. */
  isBound: boolean
  /** The description that `session.describe` returned. */
  description?: string
}

/** The methods of a token handler that take a request: those that adapters need. The result of `tenants()` has them, too. */
export type RequestHandler = Pick<TokenHandler, 'fetch' | 'handle' | 'for' | 'session'>

/** Loads the core's module in the platform's way. */
export type Load = () => WebAssembly.Module | Promise<WebAssembly.Module>

/** The core's module, for platforms and bundles in which the handler cannot load it. */
export interface ModuleOption {
  wasm?: WebAssembly.Module | BufferSource
}

/** Creates `createTokenHandler` for a platform, which calls `onStart` when a handler starts. */
export const handlerFactory =
  (load: Load, onStart?: () => void) =>
  (config: TokenHandlerConfig, options: ModuleOption = {}): TokenHandler =>
    scopedHandlerFactory(load, onStart)(config, options)

/** Creates `createTokenHandler` for a platform, with a further argument for one of several tenants. */
export const scopedHandlerFactory =
  (load: Load, onStart?: () => void) =>
  (config: TokenHandlerConfig, options: ModuleOption, scope?: Scope): TokenHandler => {
    let starting: Promise<Host> | undefined
    let started: Host | undefined
    const start = async (env: unknown): Promise<Host> => {
      onStart?.()
      const given = options.wasm ?? (await load())
      started = new Host(config, env, await compiled(given), scope)
      scope?.onStart(started)
      return started
    }
    /**
     * Returns the error with which the start failed. This error contains no secret. The next request tries to start
     * again.
     */
    const notStarted = (error: unknown): StrongroomError => {
      starting = undefined
      const { code = 'handler_failed', message } = error as StrongroomError
      return new StrongroomError(code, message)
    }
    /** Resolves with the running host, or rejects if the configuration is wrong. */
    const hostFor = async (env: unknown): Promise<Host> => {
      try {
        const host = await (starting ??= start(env))
        return host.isBroken ? await (starting = start(env)) : host
      } catch (error) {
        throw notStarted(error)
      }
    }
    /** Resolves with the running host, or with `undefined` if the configuration is wrong, which is logged. */
    const running = async (env: unknown): Promise<Host | undefined> => {
      try {
        return await hostFor(env)
      } catch (error) {
        const { code, message } = error as StrongroomError
        writeLine(config, { level: 'error', code, message })
        return undefined
      }
    }
    const { base = DEFAULT_BASE } = config
    let isMountKnown = false
    /** Says once that the app's pages get no session, because the adapter gets only requests below `base`. */
    const checkMount = ({ mount }: Context = {}) => {
      if (isMountKnown || !`${mount}/`.startsWith(`${base}/`)) return
      isMountKnown = true
      const message = `the adapter is mounted at or below ${base}, so no other page of the app gets the session: add it without a path, as in app.use(strongroom(handler))`
      writeLine(config, { level: 'warn', code: 'config_invalid', message })
    }
    const handle = async (request: Request, env?: unknown, context?: Context, outer?: Outer) => {
      checkMount(context)
      const probe = probeOf(request, base)
      if (probe === 'live') return health(true)
      if (context?.hasNoHost && !probe) return new Response(null, { status: 400 })
      const host = await running(env)
      if (probe === 'ready') return health(host !== undefined && !context?.isDraining)
      if (!host) return failure()
      try {
        return await host.respond(request, context, outer)
      } catch {
        return failure()
      }
    }
    const check = async (request: Request, env?: unknown, context?: Context) => {
      const host = await running(env)
      if (!host) return failure()
      try {
        return (await host.respond(request, context, undefined, checkOf(request))) ?? failure()
      } catch {
        return failure()
      }
    }
    const forRequest = (request: OuterRequest, env?: unknown, context?: Context): RequestAuth =>
      requestAuth((inner, outer) => handle(inner, env, context, outer), base, request)
    return {
      handle: (request, env, context) => handle(request, env, context),
      check,
      for: forRequest,
      session: (request, env, context) => forRequest(request, env, context).session(),
      async ready(env = (globalThis as { process?: { env: unknown } }).process?.env) {
        try {
          await (starting ??= start(env))
        } catch (error) {
          throw notStarted(error)
        }
      },
      end: async (sessions, options, env, context) =>
        (await hostFor(env)).manage<boolean>({ end: sessions, options }, context),
      sessions: async (of, env, context) =>
        (await hostFor(env)).manage<SessionList>({ sessions: of ?? null }, context),
      health: () => {
        const unknown = { isDown: false }
        const known = started?.isBroken === false ? started.health() : undefined
        return { isStarted: !!known, ...(known ?? { requests: 0, provider: unknown, coordinator: unknown }) }
      },
      fetch: async (request, env, context) => (await handle(request, env, context)) ?? noApp(base),
    }
  }

/** Returns the check that a reverse proxy has sent. The core verifies what the proxy says. */
const checkOf = ({ url, headers }: Request): Check => {
  const said = (name: string) => headers.get(`x-forwarded-${name}`) ?? ''
  return {
    check: new URL(url).pathname,
    method: said('method'),
    url: `${said('proto')}://${said('host')}${said('uri')}`,
  }
}

/**
 * Returns the kind of a server's probe: if the process works (`live`), or if it may get requests (`ready`). Neither asks
 * the provider or the coordinator, because sessions survive their outages, and a restart would not end one.
 */
export const probeOf = ({ method, url }: Request, base: string): 'live' | 'ready' | undefined => {
  if (!url.includes('/health/') || (method !== 'GET' && method !== 'HEAD')) return undefined
  const { pathname } = new URL(url)
  const kinds = ['live', 'ready'] as const
  return kinds.find((kind) => pathname.replace(/\/$/, '') === `${base}/health/${kind}`)
}

/** Returns the response to a probe. */
export const health = (isGood: boolean): Response =>
  new Response(isGood ? 'ok' : 'unavailable', { status: isGood ? 200 : 503, headers: PLAIN })

/** The headers of a text that no cache keeps. */
export const PLAIN = { 'cache-control': 'no-store', 'content-type': 'text/plain; charset=utf-8' }

/** Returns the response for an address of the app, to which a login also returns, if the handler serves no app. */
const noApp = (base: string): Response =>
  new Response(
    `There is no app at this address.

This server serves only ${base}/ and the routes of its token handler. All other addresses belong to an app, which is missing here: a request for them must not go to fetch() of the handler, but to the app.

If you come from a login, the login has worked, and you are signed in.
`,
    { status: 404, headers: PLAIN },
  )

const failure = (): Response =>
  new Response('The server could not respond', { status: 500, headers: { 'cache-control': 'no-store' } })

/** Returns the core's module. */
export const compiled = async (given: WebAssembly.Module | BufferSource): Promise<WebAssembly.Module> =>
  isModule(given) ? given : WebAssembly.compile(given)

/** Returns true for a WebAssembly module of any realm: handlers in the Edge Runtime get modules of another realm. */
const isModule = (given: WebAssembly.Module | BufferSource): given is WebAssembly.Module =>
  Object.prototype.toString.call(given) === '[object WebAssembly.Module]'
