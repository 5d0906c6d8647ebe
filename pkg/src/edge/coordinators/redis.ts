import { StrongroomError } from '../../page/errors/error.js'
import { type Coordinator, type CoordinatorSource, poll } from './coordinator.js'

/**
 * A library's client for Redis 3.2 or newer, or for a compatible server (Valkey, KeyDB, Dragonfly). Any object with the
 * methods of one of these works.
 */
export type RedisClient =
  /** ioredis, also its `Cluster`. */
  | { call(command: string, ...args: string[]): Promise<unknown> }
  /** node-redis (`redis`, `@redis/client`): a client, a cluster or a sentinel, whose `sendCommand` differ. */
  | {
      eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
      sendCommand: unknown
    }
  /** A client that takes a command as an array. */
  | { sendCommand(command: string[]): Promise<unknown> }
  /** Bun's `RedisClient`. */
  | { send(command: string, args: string[]): Promise<unknown> }

/** Options of a store that other applications may use, too. */
export interface RedisOptions {
  /**
   * The prefix of all keys. Default `strongroom:`. For Redis Cluster the prefix must have a hash tag, such as
   * `{strongroom}:`, since several keys are read at once.
   */
  prefix?: string
}

/** Runs a script in the store. */
type Run = (script: string, keys: string[], args: string[]) => Promise<unknown>

/**
 * A coordinator in Redis, for Node, Deno and Bun. Pass a connected client, or a function that returns a connected
 * client for `env`:
 *
 * ```ts
 * // node-redis. Without a listener, a connection error would end the process.
 * const client = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true }).on('error', console.error)
 * await client.connect()
 * createTokenHandler({ …, coordinator: redis(client) })
 * ```
 *
 * Lua scripts do all reads and writes, so a client that usually reads from replicas sends them to the primary. Each read
 * brings the server's time (`TIME`). A failover to a replica that was behind loses writes: at worst a session ends.
 * Configure the client to fail fast (`disableOfflineQueue` of node-redis, `maxRetriesPerRequest: 0` of ioredis,
 * `enableOfflineQueue: false` of Bun). A call rejects with the client's error.
 *
 * Redis needs `maxmemory-policy noeviction` and persistence, or sessions are lost: see docs/edge-deploy.md.
 *
 * `wait()` polls: at once, after 20 ms, and then at growing intervals of up to half a second.
 */
export function redis(
  client: RedisClient | ((env: any) => RedisClient),
  options: RedisOptions = {},
): CoordinatorSource {
  return (env) => over(scriptsOf(typeof client === 'function' ? client(env) : client), options)
}

function scriptsOf(client: RedisClient): Run {
  if (typeof client !== 'object' || !client)
    throw new StrongroomError('config_invalid', 'redis() needs a client')
  // ioredis also has `sendCommand` and `eval`, with other parameters.
  if ('call' in client) return byCommand(([name, ...args]) => client.call(name!, ...args))
  if ('sendCommand' in client) {
    if ('eval' in client) return (script, keys, args) => client.eval(script, { keys, arguments: args })
    return byCommand((command) => client.sendCommand(command))
  }
  if ('send' in client) return byCommand(([name, ...args]) => client.send(name!, args))
  throw new StrongroomError('config_invalid', 'redis() needs a client with call(), sendCommand() or send()')
}

/** Runs scripts by a client that takes any command. */
const byCommand =
  (send: (command: string[]) => Promise<unknown>): Run =>
  (script, keys, args) =>
    send(['EVAL', script, `${keys.length}`, ...keys, ...args])

/** Options of a store that is reached over HTTP. */
export interface RedisRestOptions extends RedisOptions {
  /** The URL of the store: https, except on loopback. */
  url: string | ((env: any) => string)
  /** The token that is sent as `Authorization: Bearer`, which must have permission to write. */
  token: string | ((env: any) => string)
  /** Replaces the platform's `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/**
 * A coordinator in Redis over HTTP, as Upstash offers it, for platforms without sockets. Each command is posted as a
 * JSON array. The response is `{ "result": … }` or `{ "error": … }`.
 *
 * ```ts
 * redisRest({ url: (env) => env.UPSTASH_REDIS_REST_URL, token: (env) => env.UPSTASH_REDIS_REST_TOKEN })
 * ```
 *
 * As with {@link redis}, `wait()` polls: at most nine commands in the first second, and about two commands in each
 * further second. Reads and writes are scripts, which a database with read regions runs in its primary region.
 *
 * A call rejects with the error of `fetch`, or with an `Error` that has the status and the store's message. Neither
 * error contains the token.
 */
export function redisRest({ url, token, fetch: given, ...options }: RedisRestOptions): CoordinatorSource {
  const value = (given: string | ((env: any) => string), env: any) =>
    typeof given === 'function' ? given(env) : given
  return (env) => {
    const address = value(url, env)
    const { protocol, hostname } = new URL(URL.canParse(address) ? address : 'none:')
    const isHere = protocol === 'http:' && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
    if (protocol !== 'https:' && !isHere) {
      throw new TypeError('the URL of the Redis store must be https: its token is sent there')
    }
    const secret = `${value(token, env)}`.trim()
    // A platform's error would contain it.
    if (!/^[!-~]+$/.test(secret))
      throw new TypeError('the token of the Redis store must be one line of visible ASCII')
    const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }
    const send = async (command: string[]) => {
      // Redirects must not be followed with the token. `manual` is used, because some platforms do not support
      // `redirect: 'error'`.
      const init: RequestInit = { method: 'POST', headers, body: JSON.stringify(command), redirect: 'manual' }
      const response = await (given ?? fetch)(address, init)
      const reply: { result?: unknown; error?: unknown } = await response.json().catch(() => ({}))
      if (response.ok && reply.result !== undefined) return reply.result
      const message = typeof reply.error === 'string' ? `: ${reply.error.slice(0, 200)}` : ''
      throw new Error(`the Redis store responded with ${response.status}${message}`)
    }
    return over(byCommand(send), options)
  }
}

/** The length of a version. A version is a UUID, which is the beginning of the stored string. */
const VERSION = 36

/** A script that reads the server's time and entries. KEYS: the keys to read. */
const READ = "return {redis.call('TIME'), redis.call('MGET', unpack(KEYS))}"

/**
 * A script that writes an entry if the expected version is the current one. KEYS: one key. ARGV: the expected version
 * or an empty string, the new version with the value, and the time to live in milliseconds.
 */
const SWAP = `local held = redis.call('GET', KEYS[1])
if (held and string.sub(held, 1, 36) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

/**
 * A script that appends a line to an entry. KEYS: one key. ARGV: the new version, the line, the number of lines that stay,
 * and the time to live in milliseconds.
 */
const APPEND = `local held = redis.call('GET', KEYS[1])
local lines = held and string.sub(held, 37) .. '\\n' .. ARGV[2] or ARGV[2]
local starts, most, at = {1}, tonumber(ARGV[3]), string.find(lines, '\\n', 1, true)
while at do
  starts[#starts + 1] = at + 1
  at = string.find(lines, '\\n', at + 1, true)
end
if #starts > most then lines = string.sub(lines, starts[#starts - most + 1]) end
redis.call('SET', KEYS[1], ARGV[1] .. lines, 'PX', ARGV[4])
return 1`

/** Returns a time to live in milliseconds, for a script. */
const lifetime = (ttl: number): string => `${Math.max(1, Math.ceil(ttl * 1000))}`

function over(runScript: Run, { prefix = 'strongroom:' }: RedisOptions): Coordinator {
  const run = (script: string, keys: readonly string[], args: string[]) =>
    runScript(
      script,
      keys.map((key) => prefix + key),
      args,
    )
  const read: Coordinator['read'] = async (keys) => {
    // Without a key, Redis Cluster would run the script on any of its nodes. Each node has a clock of its own.
    const found = await run(READ, keys.length ? keys : [''], [])
    const [[seconds, microseconds], values] = found as [[string, string], (string | null)[]]
    const entries = keys.map((_key, index) => {
      const held = values[index] ?? null
      return held === null ? null : { value: held.slice(VERSION), version: held.slice(0, VERSION) }
    })
    return { entries, time: Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000) }
  }
  return {
    read,
    async swap(key, version, value, ttl) {
      const next = crypto.randomUUID()
      const args = [version ?? '', next + value, lifetime(ttl)]
      return Number(await run(SWAP, [key], args)) === 1 ? { value, version: next } : null
    },
    async append(key, line, most, ttl) {
      await run(APPEND, [key], [crypto.randomUUID(), line, `${most}`, lifetime(ttl)])
    },
    wait: (key, version, milliseconds) =>
      poll(async () => (await read([key])).entries[0]?.version ?? null, version, milliseconds),
  }
}
