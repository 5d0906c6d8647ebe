import { startPostgres } from './postgres.mjs'
import { startRedis, startRedisRest } from './redis.mjs'

/**
 * The store that isolates share. `imports` is source text for the platform's entry, `env` is the environment of the
 * entry, and `stop` stops the store.
 *
 * @typedef {object} Store
 * @property {string} imports
 * @property {string} coordinator An expression for a `CoordinatorSource`.
 * @property {Record<string, string>} env
 * @property {() => Promise<void>} stop
 * @property {() => void} [pause] Only Redis: keeps connections open without replies, until `goOn`.
 * @property {() => void} [goOn]
 */

/**
 * Starts the store behind a kind of coordinator.
 *
 * @param {string} kind
 * @param {string} folder The folder for the store's files.
 * @returns {Promise<Store>}
 */
export async function startStore(kind, folder) {
  const make = STORES[kind]
  if (!make) throw new Error(`unknown coordinator ${kind}: ${Object.keys(STORES).join(', ')}`)
  return { imports: '', env: {}, stop: async () => {}, ...(await make(folder)) }
}

/**
 * Resolves with a store on Redis. The store's client fails immediately during an outage, and does not wait for a
 * connection.
 */
const overRedis = async (imports, client) => {
  const redis = await startRedis()
  return {
    imports: `import { redis } from 'strongroom/edge'\n${imports}`,
    coordinator: `redis(${client})`,
    env: { REDIS_URL: redis.url },
    ...redis,
  }
}

/**
 * A local Deno KV is a SQLite file. An isolate that finds the file locked gets an error at once. This wrapper therefore
 * retries, as Deno's hosted service does.
 */
const PATIENT = `
async function inTurn(work) {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!/database is locked/.test(error.message)) throw error
      await new Promise((resolve) => setTimeout(resolve, 5 + 20 * Math.random()))
    }
  }
}
const patient = (kv) => ({
  getMany: (keys) => inTurn(() => kv.getMany(keys)),
  watch: (keys) => kv.watch(keys),
  atomic: () => ({
    check(...args) {
      this.checks = args
      return this
    },
    set(...args) {
      this.sets = args
      return this
    },
    commit() {
      return inTurn(() => kv.atomic().check(...this.checks).set(...this.sets).commit())
    },
  }),
})`

const STORES = {
  'in-isolate': () => ({
    imports: "import { inIsolate } from 'strongroom/edge'",
    coordinator: 'inIsolate()',
  }),

  /** workerd's driver creates the binding. */
  'durable-object': () => ({
    imports: `import { durableObject } from 'strongroom/edge'
export { StrongroomSessions } from 'strongroom/edge'`,
    coordinator: 'durableObject((env) => env.SESSIONS)',
  }),

  'node-redis': () =>
    overRedis(
      `import { createClient } from '@redis/client'
import process from 'node:process'
const client = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true })
client.on('error', () => {})
await client.connect()`,
      'client',
    ),

  ioredis: () =>
    overRedis(
      `import { Redis } from 'ioredis'
import process from 'node:process'
const client = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: 0 })
client.on('error', () => {})`,
      'client',
    ),

  'bun-redis': () =>
    overRedis(
      'const client = new Bun.RedisClient(process.env.REDIS_URL, { enableOfflineQueue: false })\nawait client.connect()',
      'client',
    ),

  pg: async () => {
    const server = await startPostgres()
    return {
      imports: `import pg from 'pg'
import { postgres } from 'strongroom/edge/postgres'
import process from 'node:process'
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 2000 })
pool.on('error', () => {})`,
      coordinator: 'postgres(pool)',
      env: { DATABASE_URL: server.url },
      ...server,
    }
  },

  'redis-rest': async () => {
    const redis = await startRedis()
    const rest = await startRedisRest(redis.url)
    return {
      imports: "import { redisRest } from 'strongroom/edge'",
      coordinator: 'redisRest({ url: (env) => env.REDIS_REST_URL, token: (env) => env.REDIS_REST_TOKEN })',
      env: { REDIS_REST_URL: rest.url, REDIS_REST_TOKEN: rest.token },
      async stop() {
        await rest.stop()
        await redis.stop()
      },
    }
  },

  'deno-kv': (folder) => ({
    imports: `import { denoKv } from 'strongroom/edge'\n${PATIENT}`,
    coordinator: `denoKv(Deno.openKv(${JSON.stringify(`${folder}/store.sqlite`)}).then(patient))`,
  }),
}
