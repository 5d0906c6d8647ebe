import { DEFAULT_BASE, MAX_LOGOUT_BODY } from '../../glue/constants.js'
import { StrongroomError } from '../page/errors/error.js'
import type { TokenHandlerConfig } from './config.js'
import { failed } from './coordinators/coordinator.js'
import { type LogEntry, writeLine } from './events.js'
import {
  compiled,
  health,
  type Load,
  type ModuleOption,
  PLAIN,
  probeOf,
  type RequestHandler,
  scopedHandlerFactory,
  type TokenHandler,
} from './handler.js'
import { BODY_TIME, type Context, type Host } from './host.js'
import type { OuterRequest, RequestAuth } from './request-auth.js'
import { Documents } from './upstream/documents.js'
import { textOf } from './upstream/provider.js'

/** The options of `tenants`. */
export interface TenantsOptions {
  /**
   * Returns the name of the tenant to which a request belongs, or `undefined` without a tenant.
   *
   * @param env The value that the platform passes to `fetch`.
   */
  select(request: OuterRequest, env: any): string | undefined | Promise<string | undefined>
  /**
   * Returns the configuration of a tenant, or `undefined` if the tenant does not exist. Called when a tenant without a
   * handler is selected, so also after its handler was dropped. Create the coordinator once, outside this function: a new
   * `inIsolate()` would have none of the tenant's records.
   */
  create(name: string, env: any): TokenHandlerConfig | undefined | Promise<TokenHandlerConfig | undefined>
  /**
   * Above this number, unused handlers are dropped, first the one that was used least recently. Handlers in use are never
   * dropped: those with a request in flight, and those that could not write a session's end or new tokens to their
   * coordinator. So there can be more, up to four times `most`: a slow request must not lock out other tenants. At that
   * limit, a request of a further tenant waits for a second and then gets 503. Default 100.
   */
  most?: number
  /** Called with each line about `tenants()` itself. The handler of each tenant has a `log` of its own. Default: the console. */
  log?: (entry: LogEntry) => void
}

/**
 * Token handlers of several tenants. Each method selects the request's tenant, and then does what it does in a
 * {@link TokenHandler}. Without a tenant, {@link TokenHandler.fetch} responds with 404, {@link TokenHandler.handle}
 * resolves with `undefined`, there is no session, and calls throw `url_not_allowed`.
 */
export interface Tenants extends RequestHandler {
  /**
   * Returns the handler of the tenant with this name, without `select`. Its `ready()` checks the tenant's configuration
   * before the first request.
   */
  of(name: string): RequestHandler & Pick<TokenHandler, 'ready' | 'end' | 'sessions'>
  /**
   * Drops the handler of a tenant, so that its configuration is read again with its next request. A start in flight begins
   * again. Requests in flight are finished with the earlier configuration.
   *
   * @returns False if the handler stays, because it could not write a session's end or new tokens to its coordinator.
   */
  forget(name: string): boolean
  /**
   * Passes a back-channel logout on to tenants that share one client, and so one address at the provider. Call it for
   * requests for that address. Each tenant gets a copy of the body, which may have 64 KB. Resolves with the first response that is an
   * error, if there is one, so that the provider learns of it.
   */
  backChannelLogout(
    request: Request,
    names: readonly string[],
    env?: unknown,
    context?: Context,
  ): Promise<Response>
}

/** The default of `most`. */
const MOST = 100

/**
 * The factor by which there may be more handlers than `most`, while all of them are in use. Anybody can keep a handler in
 * use for some seconds, with a request whose body is slow.
 */
const OVERFLOW = 4

/** The longest name of a tenant. */
const LONGEST_NAME = 255

/** The milliseconds for which `create` is not called again for a tenant that does not exist, or whose start has failed. */
const PAUSE = 10_000

/** The greatest number of names with a pause. */
const MOST_PAUSES = 1000

const A_MINUTE = 60_000

/** The greatest number of tenants that start at once, and of names that `create` is asked for. */
const MOST_STARTS = 100

/** The greatest number of starts that wait for others. */
const MOST_WAITING = 1000

/** The milliseconds for which a start waits for others, and after which a start no longer counts. */
const LONGEST_START = 10_000

/** The milliseconds for which a start waits until a handler may be dropped. */
const LONGEST_FOR_ROOM = 1000

/** Half a surrogate pair. All of them have one encoding in UTF-8, so different names would become one. */
const HALF_PAIR = /\p{Surrogate}/u

/** The handler of a tenant. */
interface Tenant {
  handler: TokenHandler
  /** The base path of its endpoints. */
  base: string
  host: Host
  /** The number of calls in flight. */
  users: number
  isDropped: boolean
}

/** The start of a tenant. */
interface Start {
  done: Promise<boolean>
  /** True if the tenant was forgotten since the start began. */
  isOutdated: boolean
  /** The tenant, if its handler is kept. */
  tenant?: Tenant
}

/** Selects the tenant of a request. */
type Select = (request: OuterRequest, env: unknown) => string | undefined | Promise<string | undefined>

/** Creates `tenants` for a platform. */
export const tenantsFactory =
  (load: Load, onStart?: () => void) =>
  (options: TenantsOptions, { wasm }: ModuleOption = {}): Tenants => {
    const pool = new Pool(options, async () => compiled(wasm ?? (await load())), onStart)
    return {
      ...methods(pool, (request, env) => options.select(request, env)),
      forget: (name) => pool.forget(name),
      async backChannelLogout(request, names, env, context) {
        const body = await textOf(request.body, MAX_LOGOUT_BODY, BODY_TIME).catch(() => undefined)
        if (body === undefined)
          return textResponse('The body is longer than 64 KB, is not text, or did not arrive in time', 413)
        const pass = ({ handler, base }: Tenant) => {
          const url = new URL(`${base}/backchannel-logout`, request.url)
          return handler.fetch(
            new Request(url, { method: 'POST', headers: request.headers, body }),
            env,
            context,
          )
        }
        const responses = await Promise.all(
          names.map((name) => respond(pool, pool.enter(name, env), pass, notFound)),
        )
        // After a 5xx the provider sends the logout again. A tenant that has got it already then responds with 400.
        const failed = responses.find(({ status }) => status >= 500) ?? responses.find(({ ok }) => !ok)
        return failed ?? responses[0] ?? notFound()
      },
      of: (name) => {
        const use = async <T>(env: unknown, act: (handler: TokenHandler) => Promise<T>): Promise<T> => {
          const tenant = await pool.enter(name, env)
          if (!tenant) throw new StrongroomError('config_invalid', `there is no tenant ${shown(name)}`)
          try {
            return await act(tenant.handler)
          } finally {
            pool.leave(tenant)
          }
        }
        return {
          ...methods(pool, () => name),
          ready: (env) => use(env, async () => {}),
          end: (sessions, options, env, context) =>
            use(env, (handler) => handler.end(sessions, options, env, context)),
          sessions: (of, env, context) => use(env, (handler) => handler.sessions(of, env, context)),
        }
      },
    }
  }

/** Responds with `act` if there is a tenant, and otherwise with `none`. */
const respond = async <T extends Response | undefined>(
  pool: Pool,
  entered: Promise<Tenant | undefined>,
  act: (tenant: Tenant) => Promise<T>,
  none: () => T,
): Promise<T | Response> => {
  let tenant: Tenant | undefined
  try {
    tenant = await entered
  } catch {
    return unavailable()
  }
  if (!tenant) return none()
  try {
    return await act(tenant)
  } finally {
    pool.leave(tenant)
  }
}

/** Returns the methods that take a request. */
const methods = (pool: Pool, select: Select): RequestHandler => {
  /** Responds to a request as the tenant's handler does. */
  const handle = (way: 'fetch' | 'handle', request: Request, env: unknown, context?: Context) =>
    respond<Response | undefined>(
      pool,
      pool.select(select, request, env),
      ({ handler }) => handler[way](request, env, context),
      () => probe(request, context),
    )
  const forRequest = (request: OuterRequest, env?: unknown, context?: Context): RequestAuth => {
    let found: Promise<{ tenant: Tenant; auth: RequestAuth } | undefined> | undefined
    const find = async () => {
      const tenant = await pool.select(select, request, env)
      return tenant && { tenant, auth: tenant.handler.for(request, env, context) }
    }
    const use = async <T>(act: (auth: RequestAuth) => Promise<T>, none: () => T): Promise<T> => {
      const isFirst = !found
      const known = await (found ??= find())
      if (!known) return none()
      // `find` has counted the first use.
      if (!isFirst) known.tenant.users++
      try {
        return await act(known.auth)
      } finally {
        pool.leave(known.tenant)
      }
    }
    return {
      call: (path, init) =>
        use(
          (auth) => auth.call(path, init),
          () => {
            throw new StrongroomError('url_not_allowed', 'the page’s request belongs to no tenant')
          },
        ),
      session: () =>
        use(
          (auth) => auth.session(),
          () => null,
        ),
      endReason: () =>
        use(
          (auth) => auth.endReason(),
          () => null,
        ),
      headers: () =>
        use(
          (auth) => auth.headers(),
          () => new Headers(),
        ),
    }
  }
  return {
    handle: (request, env, context) => handle('handle', request, env, context),
    fetch: async (request, env, context) => (await handle('fetch', request, env, context)) ?? notFound(),
    for: forRequest,
    session: (request, env, context) => forRequest(request, env, context).session(),
  }
}

/**
 * Limits the number of starts in flight. Further starts wait, because most names of a flood belong to no tenant, and then
 * no handler is in use.
 */
class Turns {
  /** The time at which each turn began. */
  readonly #began = new Map<object, number>()
  readonly #waiting = new Set<(turn: object) => void>()

  /** Resolves with a turn, or with `undefined` if too many starts wait, or this one has waited for too long. */
  begin(): Promise<object | undefined> {
    this.#endLost()
    if (this.#began.size < MOST_STARTS) return Promise.resolve(this.#next())
    if (this.#waiting.size >= MOST_WAITING) return Promise.resolve(undefined)
    return wait(this.#waiting, LONGEST_START)
  }

  /** Ends a turn, so that the start that has waited for the longest time begins. */
  end(turn: object): void {
    if (!this.#began.delete(turn)) return
    const [first] = this.#waiting
    if (!first) return
    this.#waiting.delete(first)
    first(this.#next())
  }

  #next(): object {
    const turn = {}
    this.#began.set(turn, performance.now())
    return turn
  }

  /** Ends turns that take too long. A platform may cancel a request, and then its start never ends. */
  #endLost(): void {
    const now = performance.now()
    for (const [turn, began] of this.#began) if (now - began > LONGEST_START) this.end(turn)
  }
}

/** Waits until a function that it adds to `waiting` is called, at most for this time. */
const wait = <T>(waiting: Set<(value: T) => void>, milliseconds: number): Promise<T | undefined> => {
  let timer: ReturnType<typeof setTimeout>
  return new Promise<T | undefined>((resolve) => {
    waiting.add(resolve)
    timer = setTimeout(() => {
      waiting.delete(resolve)
      resolve(undefined)
    }, milliseconds)
  }).finally(() => clearTimeout(timer))
}

/** The handlers of the tenants. */
class Pool {
  readonly #options: TenantsOptions
  readonly #most: number
  readonly #documents = new Documents()
  readonly #createHandler: ReturnType<typeof scopedHandlerFactory>
  /** The tenants. The first one was used least recently. */
  readonly #kept = new Map<string, Tenant>()
  readonly #starting = new Map<string, Start>()
  readonly #turns = new Turns()
  /** Starts that wait until a handler may be dropped. */
  readonly #withoutRoom = new Set<() => void>()
  /** The names for which `create` is not called: until when, and true if the tenant does not exist. */
  readonly #pauses = new Map<string, { until: number; isUnknown: boolean }>()
  /** The times until which messages about too many requests are not reported again. */
  readonly #quietUntil = new Map<string, number>()

  constructor(options: TenantsOptions, load: () => Promise<WebAssembly.Module>, onStart?: () => void) {
    const { most = MOST, select, create } = options
    const invalid = (why: string) => new StrongroomError('config_invalid', why)
    if (!(Number.isInteger(most) && most > 0))
      throw invalid('`most` of tenants() must be a whole number greater than 0')
    for (const [name, given] of Object.entries({ select, create }))
      if (typeof given !== 'function') throw invalid(`\`${name}\` of tenants() must be a function`)
    this.#options = options
    this.#most = most
    let module: Promise<WebAssembly.Module> | undefined
    const once = () =>
      (module ??= load().catch((error: unknown) => {
        module = undefined
        throw error
      }))
    this.#createHandler = scopedHandlerFactory(once, onStart)
  }

  /** Returns the tenant of a request: see {@link enter}. */
  async select(select: Select, request: OuterRequest, env: unknown): Promise<Tenant | undefined> {
    let name
    try {
      name = await select(request, env)
    } catch (error) {
      throw this.#report(new StrongroomError('handler_failed', `\`select\` of tenants(): ${failed(error)}`))
    }
    if (!name) return undefined
    if (typeof name === 'string') return this.enter(name, env)
    const why = '`select` of tenants() must return a string, or undefined without a tenant'
    throw this.#report(new StrongroomError('config_invalid', why))
  }

  /**
   * Returns a tenant, whose handler it starts if necessary, or `undefined` if the tenant does not exist. The caller must
   * then call {@link leave}.
   */
  async enter(name: string, env: unknown): Promise<Tenant | undefined> {
    // Anybody can send a request with such a name.
    if (name.length > LONGEST_NAME || HALF_PAIR.test(name)) return undefined
    for (;;) {
      const tenant = this.#kept.get(name)
      if (tenant) {
        // The tenant that was used last comes last.
        this.#kept.delete(name)
        this.#kept.set(name, tenant)
        tenant.users++
        return tenant
      }
      const pause = this.#pauses.get(name)
      if (pause && performance.now() < pause.until) {
        if (pause.isUnknown) return undefined
        throw new StrongroomError('handler_failed', `the start of a tenant has failed a moment ago`)
      }
      // The tenant may be dropped or forgotten before this call goes on.
      const { done } = this.#starting.get(name) ?? this.#start(name, env)
      if (!(await done)) return undefined
    }
  }

  /** Ends a use of a tenant. */
  leave(tenant: Tenant): void {
    tenant.users--
    if (tenant.users) return
    if (tenant.isDropped) tenant.host.release()
    this.#goOn()
  }

  /** Lets starts look for room again. */
  #goOn(): void {
    for (const goOn of this.#withoutRoom) {
      this.#withoutRoom.delete(goOn)
      goOn()
    }
  }

  /** Drops a tenant's handler: see {@link Tenants.forget}. */
  forget(name: string): boolean {
    this.#pauses.delete(name)
    const start = this.#starting.get(name)
    if (start) start.isOutdated = true
    this.#starting.delete(name)
    const tenant = this.#kept.get(name)
    if (!tenant) return true
    if (tenant.host.holdsUnwritten) return false
    this.#drop(name, tenant)
    return true
  }

  #drop(name: string, tenant: Tenant): void {
    this.#kept.delete(name)
    tenant.isDropped = true
    if (!tenant.users) tenant.host.release()
  }

  #start(name: string, env: unknown): Start {
    const start = { isOutdated: false } as Start
    start.done = this.#startInTurn(name, env, start)
    this.#starting.set(name, start)
    // The start counts as a use until the requests that wait for it are counted: another start must not drop the handler.
    const ended = () => {
      const { tenant } = start
      if (tenant) queueMicrotask(() => this.leave(tenant))
    }
    void start.done.then(ended, ended)
    return start
  }

  /**
   * Starts the handler of a tenant when it is its turn. Resolves with false if the tenant does not exist. If the start is
   * outdated at its end, resolves with true without a handler.
   */
  async #startInTurn(name: string, env: unknown, start: Start): Promise<boolean> {
    const turn = await this.#turns.begin()
    try {
      if (!turn) {
        const why = '`create` of tenants() is too slow for the requests of new names'
        throw this.#tooMany(`${why}: ${MOST_STARTS} calls are in flight`)
      }
      return await this.#startTenant(name, env, start)
    } finally {
      if (!start.isOutdated) this.#starting.delete(name)
      if (turn) this.#turns.end(turn)
    }
  }

  async #startTenant(name: string, env: unknown, start: Start): Promise<boolean> {
    let config
    try {
      config = await this.#options.create(name, env)
    } catch (error) {
      const why = `\`create\` of tenants() for ${shown(name)}: ${failed(error)}`
      return this.#failed(name, start, new StrongroomError('handler_failed', why))
    }
    if (start.isOutdated) return true
    if (config == null) {
      this.#pause(name, true)
      return false
    }
    const tenant = { users: 0, isDropped: false } as Tenant
    const onStart = (host: Host) => {
      tenant.host = host
    }
    tenant.base = config.base ?? DEFAULT_BASE
    tenant.handler = this.#createHandler(config, {}, { tenant: name, documents: this.#documents, onStart })
    try {
      await tenant.handler.ready(env)
    } catch (error) {
      const { code, message } = error as StrongroomError
      return this.#failed(name, start, new StrongroomError(code, `tenant ${shown(name)}: ${message}`))
    }
    try {
      const until = performance.now() + LONGEST_FOR_ROOM
      // All handlers may be in use for a moment, as in a burst of first requests.
      while (!start.isOutdated && !this.#makeRoom()) {
        const left = until - performance.now()
        if (left <= 0)
          throw this.#tooMany(`${this.#kept.size} handlers of tenants() are in use: raise \`most\``)
        await wait(this.#withoutRoom, left)
      }
      if (start.isOutdated) return true
      tenant.users++
      start.tenant = tenant
      this.#kept.set(name, tenant)
      return true
    } finally {
      if (!start.tenant) tenant.host.release()
    }
  }

  /** Throws the error with which a start has failed, unless the start is outdated. */
  #failed(name: string, start: Start, error: StrongroomError): true {
    if (start.isOutdated) return true
    this.#pause(name, false)
    throw this.#report(error)
  }

  /**
   * Drops the handlers that were used least recently, until there are fewer than `most`. Returns false if there is no room
   * for one more.
   */
  #makeRoom(): boolean {
    for (const [name, tenant] of this.#kept) {
      if (this.#kept.size < this.#most) return true
      if (!tenant.users && !tenant.host.isBusy && !tenant.host.holdsUnwritten) this.#drop(name, tenant)
    }
    return this.#kept.size < OVERFLOW * this.#most
  }

  /** Returns an error, which is reported at most once a minute. */
  #tooMany(why: string): StrongroomError {
    const error = new StrongroomError('limit_exceeded', why)
    const now = performance.now()
    if (now < (this.#quietUntil.get(why) ?? -Infinity)) return error
    this.#quietUntil.set(why, now + A_MINUTE)
    return this.#report(error)
  }

  #pause(name: string, isUnknown: boolean): void {
    this.#pauses.delete(name)
    this.#pauses.set(name, { until: performance.now() + PAUSE, isUnknown })
    for (const oldest of this.#pauses.keys()) {
      if (this.#pauses.size <= MOST_PAUSES) return
      this.#pauses.delete(oldest)
    }
  }

  #report(error: StrongroomError): StrongroomError {
    const { code, message } = error
    writeLine(this.#options, { level: 'error', code, message })
    return error
  }
}

/** Responds to a probe, which may use an address of no tenant. */
const probe = (request: Request, context?: Context): Response | undefined => {
  const kind = probeOf(request, DEFAULT_BASE)
  return kind && health(kind === 'live' || !context?.isDraining)
}

/** Returns the response to a request whose tenant cannot be served now. */
const unavailable = (): Response => textResponse('The server could not respond', 503, { 'retry-after': '10' })

const notFound = (): Response => textResponse('Not found', 404)

const textResponse = (text: string, status: number, headers?: Record<string, string>): Response =>
  new Response(text, { status, headers: { ...PLAIN, ...headers } })

const shown = (name: string): string => JSON.stringify(name)
