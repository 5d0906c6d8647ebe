/**
 * The host of the core: a loop that carries out the steps of src/edge/io.rs. The core makes all decisions.
 */
import {
  APPENDED,
  BEAT,
  BODY,
  CONNECTED,
  COORDINATOR_TIME,
  ENTRIES,
  FAILED,
  HEAD,
  KEY,
  NOT_OPENED,
  NOTICED,
  OPENED,
  PENDING,
  REQUEST_HEADERS,
  REQUEST_PARTS,
  SEALED,
  SENT,
  SIGNED,
  SWAPPED,
  VERIFIED,
  WAITED,
} from '../../glue/constants.js'
import { Edge } from '../../glue/strongroom_edge.js'
import type { DifferingWritten, EventMembers, ReplyMembers, Same, StepMembers } from '../generated/members.js'
import { configJson, type TokenHandlerConfig } from './config.js'
import {
  type Coordinator,
  createCoordinator,
  type Entry,
  faultOfReading,
  faultOfSwap,
  type Reading,
} from './coordinators/coordinator.js'
import { generateKey, Keys, type Parameters, sign, verify } from './crypto.js'
import {
  type HandlerEvent,
  type HandlerHealth,
  type LogEntry,
  type Observer,
  quietly,
  writeLine,
} from './events.js'
import {
  type Fields,
  fieldsOf,
  type Forward,
  Forwarded,
  type Report,
  type Responded,
  respond,
  Rules,
  valueOf,
} from './upstream/forward.js'
import { RequestBody } from './request-body.js'
import { StrongroomError } from '../page/errors/error.js'
import { describe, nameOf } from './upstream/failure.js'
import type { Outer, OuterRequest } from './request-auth.js'
import { giveUp, type Instance, instance, isSound } from './instance.js'
import { afterTime, beginRequest, type LatePeriod, tellLateness, turn } from './lateness.js'
import type { Documents } from './upstream/documents.js'
import { SEND, sendRequest, textOf, type WithSend } from './upstream/provider.js'

/** The third argument that a platform passes to `fetch`. The handler uses the members that the platform has. */
export interface Context {
  waitUntil?(promise: Promise<unknown>): void
  /** True if the server is about to stop. `<base>/health/ready` then responds with 503. */
  readonly isDraining?: boolean
  /** The path below which the app has put an adapter, if not `/`. */
  readonly mount?: string
  /** True if the request names no host. Only a probe then gets another response than 400. */
  readonly hasNoHost?: boolean
}

/** The name of one of several tenants, and what its handler shares with the others. */
export interface Scope {
  /** The tenant's name, which is a part of all that its handler seals. */
  readonly tenant: string
  readonly documents: Documents
  /** Called when the handler has started, or has started again. */
  onStart(host: Host): void
}

/** The question of a reverse proxy about a request that it has received. */
export interface Check {
  /** The path of the check, which names the guard. */
  readonly check: string
  /** The method and the URL of the request that the proxy has received. */
  readonly method: string
  readonly url: string
}

/** The time limit in milliseconds for a body that the handler itself reads. */
export const BODY_TIME = 5000

/** The milliseconds after which a timer of one second is lost: some platforms end it with its request. */
const LOST = 1500

/** The milliseconds by which a coordinator may wait longer than the host. */
const WAIT_MARGIN = 1000

/** A step that the core asks the host to carry out, as the core serializes it. */
type Step = { task: number; bytes: Uint8Array<ArrayBuffer> } & (
  | { t: 'open'; key: number; aad: string }
  | { t: 'seal'; aad: string }
  | { t: 'read'; keys: string[] }
  | { t: 'swap'; key: string; version: string | null; value: string; ttl: number }
  | { t: 'append'; key: string; line: string; most: number; ttl: number }
  | { t: 'wait'; key: string; version: string | null; ms: number }
  | { t: 'sleep'; flight: number | null; ms: number; started: number | null; waited: Promise<boolean> }
  | {
      t: 'send'
      url: string
      form: string | null
      authorization: string | null
      proof: string | null
      ms: number
    }
  | { t: 'await' }
  | { t: 'verify'; parameters: Parameters; jwk: JsonWebKey; input: string }
  | { t: 'sign'; parameters: Parameters; jwk: JsonWebKey; input: string }
  | { t: 'generate_key' }
  | { t: 'client' }
  | { t: 'body'; limit: number }
  | ({ t: 'forward' } & Forward)
  | ({ t: 'respond' } & Responded)
  | { t: 'pass'; cookies: string[]; challenge: boolean }
  | { t: 'next' }
  | { t: 'managed'; result: unknown }
  | { t: 'refused'; code: string; message: string }
)

/** An event for the observer, whose duration is in milliseconds. */
interface Observed {
  type: string
  duration?: number
  server?: string
  count?: number
}

/** An event of the core. */
type Event =
  | { t: 'finished'; flight: number }
  | { t: 'fault'; line: Omit<LogEntry, 'time'> }
  | { t: 'observed'; event: Observed }
  | { t: 'ended'; reason: string; sub: string; session: string; by: string; why: string }

/**
 * The build reads kinds and members of steps and events from src/edge/module/lib.rs. This type does not compile if a kind
 * above, or what a coordinator returns, differs: the error message names the kind. The host adds `bytes` and `waited`.
 */
export type DifferingKinds = Same<
  | DifferingWritten<Step, StepMembers, 't' | 'task' | 'bytes' | 'waited'>
  | DifferingWritten<Event, EventMembers>
  | Exclude<keyof ReplyMembers['ENTRIES'], keyof Reading | keyof Entry>
>

/**
 * Returns true for the steps that occur in most requests. Until another step occurs, the handler does not ask the
 * platform to keep running after a disconnect of the client.
 */
const isUsual = (t: Step['t']): boolean => t === 'open' || t === 'forward'

/** Returns true for steps that come with bytes. */
const hasBytes = (t: Step['t']): boolean => t === 'open' || t === 'seal' || t === 'verify'

/** The handler of one isolate. */
export class Host {
  readonly #config: TokenHandlerConfig
  readonly #coordinator: Coordinator
  readonly #edge: Edge
  readonly #instance: Instance
  readonly #keys: Keys
  readonly #observer: Observer | undefined
  readonly #rules: Rules
  /** The number of requests, and of tasks that requests have started, in flight. */
  #running = 0
  #isReleased = false
  #isFreed = false
  #hasCrashed = false
  readonly #send: typeof sendRequest
  /** Requests to the provider that are in flight, by task number: the response, or the name of a failure. */
  readonly #sending = new Map<number, Promise<{ text: string } | { failure: string }>>()
  /** Callbacks of tasks that wait for a flight (a refresh or a read), by the number of the flight. */
  readonly #sleeping = new Map<number, (() => void)[]>()
  /** The begin of each outage that the observer knows. */
  readonly #outages = new Map<string, number>()
  /** The time at which a timer for the next tick began, or 0. */
  #ticking = 0

  /** @throws An object with `code` (`config_invalid`) and `message`. */
  constructor(config: TokenHandlerConfig, env: unknown, module: WebAssembly.Module, scope?: Scope) {
    this.#config = config
    const send = (config as WithSend)[SEND] ?? sendRequest
    const documents = scope?.documents
    this.#send = documents ? (request) => documents.send(request, this, send) : send
    this.#coordinator = createCoordinator(config.coordinator, env)
    this.#instance = instance(module)
    this.#edge = new Edge(configJson(config, env), scope?.tenant)
    const { observe } = config
    this.#observer = typeof observe === 'function' ? { event: observe } : observe
    if (this.#observer && typeof this.#observer.event !== 'function') {
      const message =
        '`observe` must be a function, or an object with the method `event`, such as openTelemetry()'
      throw new StrongroomError('config_invalid', message)
    }
    if (this.#observer) this.#edge.observe()
    this.#rules = new Rules(JSON.parse(Edge.policy()))
    const count = this.#edge.key_count()
    this.#keys = new Keys(Array.from({ length: count }, (_, i) => this.#edge.key(i)))
    tellLateness(this)
  }

  /**
   * Returns true if the core has trapped, in this handler or in another handler of the isolate, or if this handler's memory
   * is freed. The core's state is then unusable.
   */
  get isBroken(): boolean {
    return this.#isFreed || !isSound(this.#instance)
  }

  /** Returns true if the handler has tasks in flight. */
  get isBusy(): boolean {
    return this.#running > 0
  }

  /** Returns true if sessions would lose their end or their new tokens without this handler. */
  get holdsUnwritten(): boolean {
    return !this.isBroken && this.#edge.holds_unwritten(performance.now(), Date.now())
  }

  /** Frees the core's memory of this handler as soon as nothing is in flight. */
  release(): void {
    this.#isReleased = true
    this.#freeIfIdle()
  }

  /** Ends what `#running` has counted. */
  #ended(): void {
    this.#running--
    this.#freeIfIdle()
  }

  #freeIfIdle(): void {
    if (!this.#isReleased || this.#running || this.isBroken) return
    this.#isFreed = true
    this.#edge.free()
  }

  /**
   * Handles a request. Resolves with `undefined` for URLs that neither an endpoint nor a route covers. `outer` is the
   * page's request, if the server has made `request` for it. `check` is the question of a reverse proxy, if `request` asks it.
   */
  async respond(
    request: Request,
    context?: Context,
    outer?: Outer,
    check?: Check,
  ): Promise<Response | undefined> {
    let settle: (() => void) | undefined
    let forwarded: Forwarded | undefined
    this.#running++
    const end = beginRequest()
    try {
      // Iterate once: each iteration copies all headers.
      const fields = fieldsOf(request.headers)
      const body = new RequestBody(request, (name) => valueOf(fields, name))
      const asked = {
        hasBody: body.mayExist ? 1 : undefined,
        bind: this.#bind(outer?.request ?? { url: check?.url ?? request.url, headers: request.headers }),
        description: this.#description(outer?.request ?? request),
        ...outerParts(outer),
        ...check,
      }
      const text = serializeRequest(request, fields, asked)
      let step = this.#step(() => this.#edge.begin(performance.now(), Date.now(), text))
      for (;;) {
        if (step.t === 'respond') {
          forwarded?.drop()
          return respond(this.#rules, step)
        }
        if (step.t === 'pass') return forwarded?.response(step.cookies, step.challenge)
        if (step.t === 'next') return undefined
        // Keep the platform running if the client disconnects: other requests may wait for the work that this request
        // has begun.
        if (!isUsual(step.t)) settle ??= keepAlive(context)
        if (step.t === 'sleep' && step.started !== null)
          void this.#run(step.started, request, context, outer?.request)
        if (step.t === 'forward') {
          forwarded?.drop()
          const [rules, instance, replaced] = [this.#rules, this.#instance, this.#replacedHeaders()]
          forwarded = new Forwarded(request, fields, step, rules, instance, body, replaced, this.#onBroken)
        }
        step = await this.#carryOut(step, request, forwarded, outer?.request)
      }
    } finally {
      settle?.()
      end()
      this.#ended()
    }
  }

  /** Carries out a command of the app's server, and resolves with its result. Rejects with the core's error. */
  async manage<T>(command: object, context?: Context): Promise<T> {
    const settle = keepAlive(context)
    this.#running++
    try {
      const text = JSON.stringify(command)
      let step = this.#step(() => this.#edge.manage(performance.now(), Date.now(), text))
      while (step.t !== 'managed' && step.t !== 'refused') step = await this.#carryOut(step)
      if (step.t === 'refused') throw new StrongroomError(step.code, step.message)
      return step.result as T
    } finally {
      settle()
      this.#ended()
    }
  }

  /**
   * Returns the value of `session.bind` for a request in JSON, if the option is a function. The function gets the URL as
   * browsers see it. It is not called for a request that the core refuses because of its host.
   */
  #bind(request: Pick<OuterRequest, 'url' | 'headers'>): string | undefined {
    const bind = this.#config.session?.bind
    if (typeof bind !== 'function') return undefined
    try {
      const origin = this.#edge.origin(request.url)
      if (origin === undefined) return undefined
      const { pathname, search } = new URL(request.url)
      const value: unknown = bind(new Request(origin + pathname + search, { headers: request.headers }))
      // A promise is not an allowed value, and its rejection would end a process of Node.
      quietly(() => value)
      return JSON.stringify(value) ?? 'null'
    } catch {
      // The core reports a value that is not allowed.
      return 'null'
    }
  }

  /** Returns what `session.describe` returns for the request of a callback, in JSON. */
  #description(request: OuterRequest): string | undefined {
    const describe = this.#config.session?.describe
    if (typeof describe !== 'function') return undefined
    try {
      // Without the query, which has the code of the login.
      const { origin, pathname } = new URL(request.url)
      if (!/\/callback\/?$/.test(pathname)) return undefined
      const text: unknown = describe(new Request(origin + pathname, { headers: request.headers }))
      quietly(() => text)
      return typeof text === 'string' ? JSON.stringify(text) : undefined
    } catch {
      return undefined
    }
  }

  /** Returns the names of headers that the platform adds to the request that is about to be sent. */
  #replacedHeaders(): readonly string[] {
    try {
      const names: unknown = this.#observer?.replacedHeaders?.()
      return Array.isArray(names)
        ? names.filter((name) => typeof name === 'string' && /^[\w-]+$/.test(name))
        : []
    } catch {
      return []
    }
  }

  /** Runs a task that a request has started. The task may outlive the request. */
  async #run(task: number, request: Request, context?: Context, page?: OuterRequest): Promise<void> {
    const settle = keepAlive(context)
    this.#running++
    try {
      let step = this.#textIn(task, WAITED)
      while (step.t !== 'next' && step.t !== 'respond')
        step = await this.#carryOut(step, request, undefined, page)
    } catch {
      // The core has trapped, which is reported already.
    }
    settle()
    this.#ended()
  }

  async #carryOut(
    step: Step,
    request?: Request,
    forwarded?: Forwarded,
    { signal }: { signal?: Pick<AbortSignal, 'aborted'> } = request ?? {},
  ): Promise<Step> {
    const { task } = step
    try {
      switch (step.t) {
        case 'open': {
          const plain = await this.#keys.open(step.key, step.bytes, step.aad)
          return plain ? this.#bytesIn(task, OPENED, plain) : this.#textIn(task, NOT_OPENED)
        }
        case 'seal':
          return this.#bytesIn(task, SEALED, await this.#keys.seal(step.bytes, step.aad))
        case 'read': {
          const { keys } = step
          const reading = await withTimeLimit(this.#coordinator.read(keys), COORDINATOR_TIME)
          const fault = faultOfReading(reading, keys.length)
          if (fault) return this.#textIn(task, FAILED, fault)
          const { time } = reading
          // A coordinator may return more members, such as those of a row.
          const entries = reading.entries.map(
            (entry) => entry && { value: entry.value, version: entry.version },
          )
          const known = time === undefined ? null : Math.floor(time)
          return this.#textIn(task, ENTRIES, JSON.stringify({ entries, time: known }))
        }
        case 'swap': {
          const { key, version, value, ttl } = step
          const entry = await withTimeLimit(
            this.#coordinator.swap(key, version, value, ttl),
            COORDINATOR_TIME,
          )
          const fault = faultOfSwap(entry)
          if (fault) return this.#textIn(task, FAILED, fault)
          return this.#textIn(task, SWAPPED, entry?.version)
        }
        case 'append': {
          const { key, line, most, ttl } = step
          if (typeof this.#coordinator.append !== 'function') return this.#textIn(task, APPENDED)
          await withTimeLimit(this.#coordinator.append(key, line, most, ttl), COORDINATOR_TIME)
          return this.#textIn(task, APPENDED, '1')
        }
        case 'wait': {
          const { key, version, ms } = step
          // Only this host's own timer proves to the core that the time has passed. A coordinator that also waits for the
          // whole time must therefore be slower.
          const change = this.#coordinator.wait(key, version, ms + WAIT_MARGIN)
          const noticed = change.then(() => true)
          return this.#textIn(task, (await valueWithin(noticed, ms)) ? NOTICED : WAITED)
        }
        case 'sleep':
          return this.#textIn(task, (await step.waited) ? WAITED : NOTICED)
        case 'send':
        case 'await': {
          if (step.t === 'send') {
            const sent = this.#send(step).then((text) => ({ text }))
            // A rejection would be reported as unhandled before the promise is awaited.
            this.#sending.set(
              task,
              sent.catch((error) => ({ failure: nameOf(error) })),
            )
          }
          const ended = await valueWithin(this.#sending.get(task)!, BEAT)
          if (ended === undefined) return this.#textIn(task, PENDING)
          this.#sending.delete(task)
          return 'text' in ended
            ? this.#textIn(task, SENT, ended.text)
            : this.#textIn(task, FAILED, ended.failure)
        }
        case 'verify': {
          const isValid = await verify(step, step.bytes)
          return this.#textIn(task, VERIFIED, isValid ? '1' : '0')
        }
        case 'sign':
          return this.#bytesIn(task, SIGNED, await sign(step))
        case 'generate_key':
          return this.#textIn(task, KEY, await generateKey())
        case 'client': {
          await turn()
          return this.#textIn(task, CONNECTED, signal?.aborted ? '' : '1')
        }
        case 'body': {
          const body = await textOf(request?.body ?? null, step.limit, BODY_TIME)
          return body === undefined ? this.#textIn(task, FAILED) : this.#textIn(task, BODY, body)
        }
        case 'forward':
          return this.#textIn(task, HEAD, await forwarded!.head())
        default:
          return step
      }
    } catch (error) {
      if (error instanceof Trap) throw error
      return this.#textIn(task, FAILED, failureOf(step.t, error, forwarded))
    }
  }

  #textIn(task: number, kind: number, text = ''): Step {
    return this.#step(() => this.#edge.resume(performance.now(), Date.now(), task, kind, text))
  }

  #bytesIn(task: number, kind: number, bytes: Uint8Array): Step {
    return this.#step(() => this.#edge.resume_bytes(performance.now(), Date.now(), task, kind, bytes))
  }

  /** Runs the core up to its next step, and handles the events that the core has emitted. */
  #step(take: () => string): Step {
    if (this.isBroken) throw new Trap()
    let step: Step
    try {
      step = JSON.parse(take())
      // Copy the bytes at once: the next step, even a step of another request, overwrites the bytes in the core's
      // memory.
      if (hasBytes(step.t)) step.bytes = this.#bytes()
      // Begin to wait at once: the task of another request may finish the flight before this step is carried out.
      if (step.t === 'sleep') step.waited = this.#sleep(step.flight, step.ms)
      this.#tellAll()
    } catch {
      throw this.#crashed()
    }
    return step
  }

  /** Reports a response of an upstream that could not be passed on. */
  readonly #onBroken: Report = ({ route, id }, code, cause) => {
    if (this.#isFreed) return
    try {
      if (this.isBroken) throw new Trap()
      this.#edge.response_broke(performance.now(), Date.now(), route, id, code, cause)
      this.#tellAll()
    } catch {
      this.#crashed()
    }
  }

  /** Replaces the instance, whose core has trapped. */
  #crashed(): Trap {
    giveUp(this.#instance)
    if (this.#hasCrashed) return new Trap()
    this.#hasCrashed = true
    // The flights of this instance will not finish.
    for (const flight of this.#sleeping.keys()) this.#wake(flight)
    const message = 'the handler stopped on an internal fault and starts again'
    writeLine(this.#config, { level: 'error', code: 'handler_crashed', message })
    // The new instance knows no outage.
    for (const [server, since] of this.#outages)
      this.#observe({ type: 'outage_ended', server, duration: Date.now() - since, count: 0 })
    return new Trap()
  }

  /** Returns a copy of the bytes that come with the core's last step. */
  #bytes(): Uint8Array<ArrayBuffer> {
    const start = this.#edge.bytes()
    return new Uint8Array(this.#instance.memory.buffer.slice(start, start + this.#edge.bytes_length()))
  }

  /** Handles the events that the core has emitted. */
  #tellAll(): void {
    for (let event = this.#edge.event(); event; event = this.#edge.event()) this.#tell(JSON.parse(event))
  }

  #tell(event: Event): void {
    if (event.t === 'fault') return writeLine(this.#config, event.line)
    if (event.t === 'observed') return this.#observe(event.event)
    if (event.t === 'ended') {
      const { reason, sub, session, by, why } = event
      const end = { reason, sub, session, ...(by && { by }), ...(why && { why }) }
      return quietly(() => this.#config.onSessionEnd?.(end))
    }
    this.#wake(event.flight)
  }

  /** Ends the waits for a flight. */
  #wake(flight: number): void {
    for (const resume of this.#sleeping.get(flight) ?? []) resume()
    this.#sleeping.delete(flight)
  }

  /** Passes an event to the observer. The core's durations are in milliseconds. */
  #observe({ duration, ...event }: Observed): void {
    if (event.type === 'outage_began') this.#outages.set(event.server!, Date.now())
    if (event.type === 'outage_ended') this.#outages.delete(event.server!)
    const seconds = duration === undefined ? {} : { duration: duration / 1000 }
    quietly(() => this.#observer?.event({ time: Date.now(), ...event, ...seconds } as HandlerEvent))
    // Requests that are refused within a second of this event are in no event until the next step.
    if (event.type !== 'refused' || Date.now() - this.#ticking < LOST) return
    this.#ticking = Date.now()
    unref(setTimeout(() => this.#tick(), 1000))
  }

  #tick(): void {
    this.#ticking = 0
    if (this.isBroken) return
    try {
      this.#edge.tick(performance.now(), Date.now())
      this.#tellAll()
    } catch {
      this.#crashed()
    }
  }

  /** Takes a late period of the process. */
  noteLateness({ lateness, at }: LatePeriod): void {
    this.#edge.note_lateness(at.monotonic, at.wall, lateness)
  }

  /** Writes a line to the log about a late period of the process. */
  warnOfLateness(message: string): void {
    writeLine(this.#config, { level: 'warn', code: 'limit_exceeded', message })
  }

  /** Returns what this isolate knows about its servers. */
  health(): Omit<HandlerHealth, 'isStarted'> {
    return JSON.parse(this.#edge.health())
  }

  /** Waits until a flight has finished or the time has passed. Resolves with true if the time has passed. */
  #sleep(flight: number | null, milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(true), milliseconds)
      if (flight === null) return
      const waiting = this.#sleeping.get(flight) ?? []
      waiting.push(() => {
        clearTimeout(timer)
        resolve(false)
      })
      this.#sleeping.set(flight, waiting)
    })
  }
}

/** The steps of the coordinator, which gets no secret. */
const OF_COORDINATOR: readonly Step['t'][] = ['read', 'swap', 'append', 'wait']

/**
 * Returns the name of a failure for the core's report. If it has none, returns its message on a second line, unless that may
 * contain a secret.
 */
const failureOf = (t: Step['t'], error: unknown, forwarded?: Forwarded): string => {
  const name = nameOf(error)
  if (!name && t === 'forward') return `\n${forwarded!.describe(error)}`
  return !name && OF_COORDINATOR.includes(t) ? `\n${describe(error)}` : name
}

/** Thrown when the core has trapped. The handler responds with 500, and uses another instance for the next request. */
export class Trap extends Error {}

const PARTS = REQUEST_PARTS.split(' ')
const HEADERS = REQUEST_HEADERS.split(' ')
const IS_READ = new Set(HEADERS)

/** Returns the parts and headers of a request that the core reads, one per line. */
const serializeRequest = (
  { method, url }: Request,
  fields: Fields,
  asked: Record<string, unknown>,
): string => {
  const headers = new Map<string, string>()
  let [headerCount, headerBytes] = [0, 0]
  for (const [name, value] of fields) {
    if (IS_READ.has(name)) headers.set(name, value)
    if (name === 'cookie') continue
    headerCount++
    headerBytes += name.length + value.length
  }
  const parts: Record<string, unknown> = {
    method,
    url,
    ...asked,
    headerCount,
    headerBytes,
  }
  return [...PARTS.map((name) => parts[name]), ...HEADERS.map((name) => headers.get(name))].join('\n')
}

/** Returns the parts of a request that are about the page's request. */
const outerParts = (outer: Outer | undefined): Record<string, unknown> => {
  if (!outer) return {}
  const { request, arrived } = outer
  const { headers } = request
  return {
    // A request without a method counts as one that only reads.
    outer: /^[\w-]+$/.test(request.method ?? '') ? request.method : 'GET',
    outerMode: headers.get('sec-fetch-mode') ?? undefined,
    outerDest: headers.get('sec-fetch-dest') ?? undefined,
    outerAccept: headers.get('accept') ?? undefined,
    outerAge: Math.floor(performance.now() - arrived),
  }
}

/** Keeps the platform running until the returned function is called, even if the client disconnects. */
const keepAlive = (context?: Context): (() => void) => {
  let settle = () => {}
  const promise = new Promise<void>((resolve) => (settle = resolve))
  quietly(() => context?.waitUntil?.(promise))
  return settle
}

/** Resolves with the promise's value, or with `undefined` if the promise takes longer than `milliseconds`. */
const valueWithin = async <T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> => {
  let cancel: (() => void) | undefined
  const late = new Promise<undefined>((resolve) => {
    cancel = afterTime(milliseconds, () => resolve(undefined))
  })
  return Promise.race([promise, late]).finally(cancel)
}

/** Resolves with the promise's value, or rejects if the promise takes longer than the limit. */
const withTimeLimit = async <T>(promise: Promise<T>, milliseconds: number): Promise<T> => {
  const held = await valueWithin(
    promise.then((value) => ({ value })),
    milliseconds,
  )
  if (!held) throw new DOMException('it takes too long', 'TimeoutError')
  return held.value
}

/** Lets a process of Node end before a timer fires. Other platforms return a number. */
const unref = (timer: unknown): unknown => {
  ;(timer as { unref?(): void }).unref?.()
  return timer
}
