import { StrongroomError } from '../../page/errors/error.js'
import { appended, type Coordinator, type CoordinatorSource, type Entry } from './coordinator.js'

/** The part of Cloudflare's `DurableObjectNamespace` that the coordinator uses. */
export interface SessionsNamespace {
  idFromName(name: string): any
  get(id: any): { fetch(url: string, init: RequestInit): Promise<Response> }
}

/** The part of Cloudflare's `DurableObjectState` that the object uses. */
export interface SessionsState {
  readonly storage: {
    get(key: string): Promise<unknown>
    put(key: string, value: unknown): Promise<void>
    deleteAll(): Promise<void>
    setAlarm(time: number): Promise<void>
  }
  blockConcurrencyWhile<T>(work: () => Promise<T>): Promise<T>
}

type Operation =
  | { readonly op: 'read' }
  | {
      readonly op: 'swap'
      readonly version: string | null
      readonly value: string
      readonly ttl: number
    }
  | { readonly op: 'append'; readonly line: string; readonly most: number; readonly ttl: number }
  | { readonly op: 'wait'; readonly version: string | null; readonly milliseconds: number }

/**
 * A coordinator in Cloudflare's Durable Objects: each key has its own object, and all isolates can reach every object.
 *
 * ```ts
 * import { createTokenHandler, durableObject, StrongroomSessions } from 'strongroom/edge'
 * export { StrongroomSessions }
 * export default createTokenHandler({ …, coordinator: durableObject((env) => env.SESSIONS) })
 * ```
 * ```toml
 * [[durable_objects.bindings]]
 * name = "SESSIONS"
 * class_name = "StrongroomSessions"
 * [[migrations]]
 * tag = "v1"
 * new_sqlite_classes = ["StrongroomSessions"]
 * ```
 *
 * Each read brings the time of the object's machine. `nodejs_compat` is not needed. A call rejects with the runtime's
 * error, for example if the object is overloaded.
 *
 * @param select Returns the binding of {@link StrongroomSessions} from `env`.
 */
export function durableObject(select: (env: any) => SessionsNamespace): CoordinatorSource {
  return (env) => of(select(env))
}

function of(namespace: SessionsNamespace | undefined): Coordinator {
  if (typeof namespace?.idFromName !== 'function')
    throw new StrongroomError(
      'config_invalid',
      'the Durable Object is missing: bind StrongroomSessions in wrangler.toml',
    )
  const perform = async (key: string, operation: Operation): Promise<Result> => {
    const object = namespace.get(namespace.idFromName(key))
    const response = await object.fetch('https://sessions.invalid/', {
      method: 'POST',
      body: JSON.stringify(operation),
    })
    if (!response.ok)
      throw new Error(`a Durable Object responded with ${response.status}: bind the class StrongroomSessions`)
    return response.json() as Promise<Result>
  }
  return {
    async read(keys) {
      const asked = keys.length ? keys : [CLOCK]
      const results = await Promise.all(asked.map((key) => perform(key, { op: 'read' })))
      const entries = keys.map((_key, index) => results[index]!.entry)
      return { entries, time: Math.max(...results.map(({ time }) => time)) }
    },
    swap: async (key, version, value, ttl) => (await perform(key, { op: 'swap', version, value, ttl })).entry,
    append: async (key, line, most, ttl) => void (await perform(key, { op: 'append', line, most, ttl })),
    wait: async (key, version, milliseconds) =>
      void (await perform(key, { op: 'wait', version, milliseconds })),
  }
}

/** The response of an object. */
interface Result {
  readonly entry: Entry | null
  /** The object's `Date.now()`. */
  readonly time: number
}

/** The name of the object that tells the time if no key is read. */
const CLOCK = 'clock'

interface Held extends Entry {
  /** Milliseconds since the Unix epoch. */
  readonly expires: number
}

/** The key of the only entry in the object's storage. */
const ENTRY = 'entry'

/**
 * The class of the Durable Objects behind {@link durableObject}: export it from the worker's main module.
 *
 * Each operation is decided synchronously, by the entry in memory. The runtime delays the response until the write is
 * on disk, and restarts the object if the write fails.
 */
export class StrongroomSessions {
  readonly #storage: SessionsState['storage']
  readonly #waiting = new Set<() => void>()
  #held: Held | null = null

  constructor(state: SessionsState) {
    this.#storage = state.storage
    void state.blockConcurrencyWhile(async () => {
      this.#held = ((await state.storage.get(ENTRY)) as Held | undefined) ?? null
    })
  }

  /** Handles requests of {@link durableObject}. A Durable Object has no public address. */
  async fetch(request: Request): Promise<Response> {
    const operation = (await request.json()) as Operation
    if (operation.op === 'wait') await this.#wait(operation.version, operation.milliseconds)
    if (operation.op === 'append') {
      const { line, most, ttl } = operation
      this.#write(appended(this.#find()?.value, line, most), ttl)
    }
    const entry = operation.op === 'swap' ? this.#swap(operation) : entryOf(this.#find())
    return Response.json({ entry, time: Date.now() } satisfies Result)
  }

  /** Called by the runtime when an entry expires. */
  async alarm(): Promise<void> {
    if (this.#find()) return this.#storage.setAlarm(this.#held!.expires)
    this.#held = null
    this.#wake()
    await this.#storage.deleteAll()
  }

  #find(): Held | null {
    return this.#held && Date.now() < this.#held.expires ? this.#held : null
  }

  #swap({ version, value, ttl }: Operation & { op: 'swap' }): Entry | null {
    if ((this.#find()?.version ?? null) !== version) return null
    return this.#write(value, ttl)
  }

  #write(value: string, ttl: number): Entry | null {
    this.#held = { value, version: crypto.randomUUID(), expires: Date.now() + ttl * 1000 }
    void this.#storage.put(ENTRY, this.#held)
    void this.#storage.setAlarm(this.#held.expires)
    this.#wake()
    return entryOf(this.#held)
  }

  #wake() {
    for (const wake of [...this.#waiting]) wake()
  }

  #wait(version: string | null, milliseconds: number): Promise<void> {
    const held = this.#find()
    if ((held?.version ?? null) !== version) return Promise.resolve()
    const most = held ? Math.min(milliseconds, held.expires - Date.now()) : milliseconds
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, most)
      this.#waiting.add(wake)
    })
  }
}

const entryOf = (held: Held | null): Entry | null => held && { value: held.value, version: held.version }
