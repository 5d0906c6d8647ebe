/**
 * A coordinator in PostgreSQL.
 *
 * ```ts
 * import { postgres } from 'strongroom/edge/postgres'
 * createTokenHandler({ …, coordinator: postgres(pool) })
 * ```
 *
 * @module
 */
import { StrongroomError } from '../../page/errors/error.js'
import { type Coordinator, type CoordinatorSource, poll } from './coordinator.js'

export type { Coordinator, CoordinatorSource, Entry, Reading } from './coordinator.js'

/** A library's client for PostgreSQL 9.5 or newer: a `Pool` or `Client` of `pg`, or any object with this method. */
export interface PostgresClient {
  /** Sends one statement with its parameters `$1`, `$2` and so on. An array is a parameter of the type `text[]`. */
  query(text: string, values: unknown[]): Promise<{ rows: any[] }>
}

/** Options of a store in PostgreSQL. */
export interface PostgresOptions {
  /**
   * The table, with its schema if the search path lacks it: `auth.sessions`. Both names consist of ASCII letters, digits
   * and underscores, in the case in which the database has them. Default `strongroom`.
   */
  table?: string
}

/**
 * A coordinator in PostgreSQL. Pass a client, or a function that returns a client for `env`. docs/edge-deploy.md#postgres
 * has the statements that create the table.
 *
 * ```ts
 * // pg. Without a listener, a connection error would end the process.
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 2000, query_timeout: 3000 })
 * pool.on('error', (error) => console.error(error.message))
 * createTokenHandler({ …, coordinator: postgres(pool) })
 * ```
 *
 * The client must be connected to the primary, since a replica can be behind. It must not be inside a transaction, since
 * other processes see a write only after its transaction. Each call is one statement: of several writers of a key, the
 * database lets one write at a time, and each later writer sees another version. This needs the database's default
 * isolation, `read committed`. With a stricter one, a writer that loses a race gets an error (`40001`).
 *
 * All times are the database's. A write that creates an entry also deletes up to ten expired ones.
 *
 * A call rejects with the client's error. `wait()` polls: at once, after 20 ms, and then at growing intervals of up to
 * half a second.
 *
 * @throws `config_invalid` if `table` is not a name.
 */
export function postgres(
  client: PostgresClient | ((env: any) => PostgresClient),
  { table = 'strongroom' }: PostgresOptions = {},
): CoordinatorSource {
  const statements = statementsFor(quoted(table))
  return (env) => {
    const made = typeof client === 'function' ? client(env) : client
    if (typeof made?.query !== 'function') throw invalid('postgres() needs a client with query()')
    return over(made, statements)
  }
}

const invalid = (message: string) => new StrongroomError('config_invalid', message)

/** A name, or two names with a dot between them. PostgreSQL would cut off a name after 63 bytes. */
const TABLE = /^[a-z_]\w{0,62}(\.[a-z_]\w{0,62})?$/i

/** Returns the table's name for a statement. In quotes, a keyword such as `user` is a name, too. */
function quoted(table: unknown): string {
  if (typeof table === 'string' && TABLE.test(table)) return `"${table.replace('.', '"."')}"`
  throw invalid('`table` of postgres() must be a name such as `strongroom` or `auth.strongroom`')
}

/** The end of an entry's time to live, which is parameter 4. */
const EXPIRES = 'clock_timestamp() + make_interval(secs => $4)'

/**
 * Returns the statements for a table.
 *
 * Names of queries have a space, which no name of a table has.
 *
 * `clock_timestamp()` is the time at which the database evaluates it. `now()` is the time at which the transaction began:
 * after a wait for a lock, an entry would expire early, and the time of a read would be an old one. Only the deletion uses
 * `now()`: an index cannot be searched for `clock_timestamp()`, and what had expired then has expired.
 */
const statementsFor = (table: string) => ({
  /** Returns a row for each entry, or one row without an entry. Parameter: the keys. */
  read: `with "the clock" as (select clock_timestamp() as time)
select extract(epoch from now.time) * 1000 as time, held.key, held.value, held.version
from "the clock" now left join ${table} held on held.key = any($1::text[]) and held.expires > now.time`,

  /**
   * Creates an entry, unless a live one exists, and deletes up to ten expired ones. It skips those that another writer has
   * locked, so that no two writers wait for each other, and the entry of the key itself, because one statement must not
   * change a row twice. Parameters: key, value, version, seconds.
   */
  create: `with "the expired" as (
  select key from ${table} where expires <= now() and key <> $1 limit 10 for update skip locked
), "the deleted" as (
  delete from ${table} held using "the expired" old where held.key = old.key
)
insert into ${table} as held (key, value, version, expires) values ($1, $2, $3, ${EXPIRES})
on conflict (key) do update set value = $2, version = $3, expires = ${EXPIRES}
where held.expires <= clock_timestamp() returning version`,

  /**
   * Appends a line to an entry, or creates it. Parameters: key, line, version, seconds, and the number of lines that stay.
   */
  append: `insert into ${table} as held (key, value, version, expires) values ($1, $2, $3, ${EXPIRES})
on conflict (key) do update set version = $3, expires = ${EXPIRES}, value = case
  when held.expires <= clock_timestamp() then $2
  else array_to_string((string_to_array(held.value, E'\\n') || $2::text)[
    greatest(1, cardinality(string_to_array(held.value, E'\\n')) + 2 - $5::int)
    : cardinality(string_to_array(held.value, E'\\n')) + 1], E'\\n')
end`,

  /** Replaces a version. Parameters: key, value, version, seconds, the version that is replaced. */
  replace: `update ${table} set value = $2, version = $3, expires = ${EXPIRES}
where key = $1 and version = $5 and expires > clock_timestamp() returning version`,
})

function over(client: PostgresClient, statements: ReturnType<typeof statementsFor>): Coordinator {
  const read: Coordinator['read'] = async (keys) => {
    const { rows } = await client.query(statements.read, [keys])
    const held = new Map(rows.map(({ key, value, version }) => [key, { value, version }]))
    // Clients return numbers of more than 32 bits as strings.
    return { entries: keys.map((key) => held.get(key) ?? null), time: Number(rows[0].time) }
  }
  return {
    read,
    async swap(key, version, value, ttl) {
      const next = crypto.randomUUID()
      const written = [key, value, next, ttl]
      const { rows } =
        version === null
          ? await client.query(statements.create, written)
          : await client.query(statements.replace, [...written, version])
      return rows.length ? { value, version: next } : null
    },
    async append(key, line, most, ttl) {
      await client.query(statements.append, [key, line, crypto.randomUUID(), ttl, most])
    },
    wait: (key, version, milliseconds) =>
      poll(async () => (await read([key])).entries[0]?.version ?? null, version, milliseconds),
  }
}
