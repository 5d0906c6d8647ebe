// The coordinator `postgres()` with a real PostgreSQL, whose table docs/edge-deploy.md creates.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { createTokenHandler } from '../../../pkg/dist/edge.js'
import { conformance } from '../../../pkg/dist/edge/conformance.js'
import { postgres } from '../../../pkg/dist/edge/postgres.js'
import { leftOut, rows } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { newClock } from '../../support/edge/clock.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { PARTS } from '../../support/edge/node.mjs'
import { execute, startPostgres } from '../../support/edge/postgres.mjs'
import { platform } from '../../support/edge/start.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { overHttp } from './over_http.mjs'

/** The differences of the processes' clocks in seconds. */
const CLOCKS = [0, 3600, -3600]

/** Starts a process for each clock, which serves its coordinator over HTTP. */
const startProcesses = () => {
  const serve = async ({ folder, file, env }) => {
    const [started, clocks] = [[], []]
    for (const [index, seconds] of CLOCKS.entries()) {
      const clock = await newClock(join(folder, `clock-${index}`), seconds)
      clocks.push(clock)
      started.push(
        await startServer(process.execPath, [file], { env: { ...env, ...clock.env }, cwd: folder }),
      )
    }
    return {
      urls: started.map(({ said }) => `http://127.0.0.1:${said.port}`),
      async stop() {
        for (const [index, server] of started.entries()) {
          await server.stop()
          await clocks[index].forget(server.pid)
        }
      },
    }
  }
  const app = new URL('../apps/store.mjs', import.meta.url)
  return platform({ ...PARTS, serve }).start({ app, coordinator: 'pg' })
}

describe('processes whose clocks differ by hours', { concurrency: 8, timeout: 180_000 }, () => {
  let running
  before(async () => {
    running = await startProcesses()
  })
  after(() => running?.stop())
  let turn = 0
  const make = () => overHttp(running.urls[turn++ % CLOCKS.length])
  const makeAhead = () => overHttp(running.urls[CLOCKS.indexOf(3600)])
  // claim: handler-79
  for (const { name, run } of conformance(make, { makeAhead, timeout: 60_000 })) test(name, run)
})

/** Returns a client that sends changed statements. */
const changing = (client, change) => ({ query: (text, values) => client.query(change(text), values) })

/** Calls the methods of a coordinator while the clock of this process is an hour ahead. */
const ahead = (coordinator) => {
  const { now } = Date
  const call = async (method, ...args) => {
    Date.now = () => now() + 3_600_000
    try {
      return await coordinator[method](...args)
    } finally {
      Date.now = now
    }
  }
  return {
    ...coordinator,
    read: (...args) => call('read', ...args),
    swap: (...args) => call('swap', ...args),
  }
}

describe('a coordinator in PostgreSQL', { timeout: 180_000 }, () => {
  let server, pool, coordinator
  before(async () => {
    server = await startPostgres()
    pool = new pg.Pool({ connectionString: server.url })
    coordinator = postgres(pool)({})
  })
  after(async () => {
    await pool?.end()
    await server?.stop()
  })

  const sql = (text, values) => pool.query(text, values).then(({ rows }) => rows)
  const read = async (key, from = coordinator) => (await from.read([key])).entries[0]
  /** Resolves when so many statements wait for a lock. */
  const untilWaiting = async (count) => {
    const waiting = 'select count(*)::int from pg_stat_activity where wait_event_type = $1'
    while ((await sql(waiting, ['Lock']))[0].count < count) await new Promise(setImmediate)
  }
  /** Runs `work` while a transaction has done `what`. Its argument commits the transaction. */
  const during = async (what, work) => {
    const client = new pg.Client(server.url)
    await client.connect()
    try {
      await client.query('begin')
      await client.query(what)
      await work((last = '') => client.query(`${last}; commit`))
    } finally {
      await client.end()
    }
  }

  // claim: handler-66
  test('control: a statement that uses the clock of the process is found', async () => {
    const ofProcess = (text) => text.replaceAll('clock_timestamp()', `to_timestamp(${Date.now() / 1000})`)
    const make = () => postgres(changing(pool, ofProcess))({})
    const checks = conformance(make, { makeAhead: () => ahead(make()) })
    const failed = []
    for (const { name, run } of checks.slice(-2)) await run().catch(() => failed.push(name))
    assert.deepEqual(failed, [
      'an entry does not expire early for a clock that is ahead',
      'the time is the same for a clock that is ahead',
    ])
  })

  test('control: a statement that ignores the version is found', async () => {
    const careless = (text) => text.replace('version = $5', '$5 = $5')
    const checks = conformance(() => postgres(changing(pool, careless))({}))
    const [check] = checks.filter(({ name }) => name === 'swap writes only over the given version')
    await assert.rejects(check.run)
  })

  test('each call is one query', async () => {
    let sent = 0
    const counting = changing(pool, (text) => (sent++, text))
    const counted = postgres(() => counting)({})
    const { version } = await coordinator.swap('counted', null, 'x', 60)
    for (const call of [
      () => counted.read([]),
      () => counted.read(['counted']),
      () => counted.read(['counted', 'a', 'b', 'c']),
      () => counted.swap('another', null, 'x', 60),
      () => counted.swap('counted', 'wrong', 'x', 60),
      () => counted.swap('counted', version, 'x', 60),
      () => counted.wait('counted', version, 60_000),
    ]) {
      sent = 0
      await call()
      assert.equal(sent, 1, `${call}`)
    }
  })

  leftOut('wait for a lock does not shorten the time to live', async () => {
    const byStart = postgres(changing(pool, (text) => text.replaceAll('clock_timestamp()', 'now()')))({})
    await during('lock table strongroom', async (commit) => {
      const writes = [coordinator.swap('late', null, 'x', 3), byStart.swap('late, control', null, 'x', 3)]
      await untilWaiting(2)
      await commit('select pg_sleep(3.1)')
      await Promise.all(writes)
    })
    assert.ok(await read('late'))
    assert.equal(await read('late, control'), null)
  })

  test('writer that loses a race gets null, or an error with a stricter isolation', async (t) => {
    const options = '-c default_transaction_isolation=serializable'
    const strict = new pg.Pool({ connectionString: server.url, options })
    t.after(() => strict.end())
    const { version } = await coordinator.swap('contested', null, 'x', 60)
    const first = "update strongroom set version = 'first' where key = 'contested'"
    await during(first, async (commit) => {
      const write = (coordinator) => coordinator.swap('contested', version, 'second', 60)
      const writes = [write(coordinator), assert.rejects(write(postgres(strict)({})), { code: '40001' })]
      await untilWaiting(2)
      await commit()
      assert.deepEqual(await Promise.all(writes), [null, undefined])
    })
    assert.equal((await read('contested')).version, 'first')
  })

  test('new entry deletes ten expired ones, and no others', async () => {
    await sql('delete from strongroom')
    const add = `insert into strongroom select $1 || i, 'x', 'v', now() + $2::interval from generate_series(1, 25) i`
    await sql(add, ['gone', '-1 ms'])
    await sql(add, ['live', '1 min'])
    const left = async () => {
      const rows = await sql('select left(key, 4) as kind, count(*)::int from strongroom group by 1')
      return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]))
    }
    await coordinator.swap('new 1', null, 'x', 60)
    assert.deepEqual(await left(), { gone: 15, live: 25, 'new ': 1 })
    for (let i = 2; i < 4; i++) await coordinator.swap(`new ${i}`, null, 'x', 60)
    assert.deepEqual(await left(), { live: 25, 'new ': 3 })
  })

  test('expired keys are written again while others delete them', async () => {
    const keys = Array.from({ length: 20 }, (_none, i) => `again ${i}`)
    for (let round = 0; round < 10; round++) {
      await sql(
        `insert into strongroom select unnest($1::text[]), 'x', 'v', now() - interval '1 ms'
         on conflict (key) do update set expires = now() - interval '1 ms'`,
        [keys],
      )
      const all = [...keys, ...keys, ...keys.map((key) => `${key} ${round}`)]
      const entries = await Promise.all(all.map((key) => coordinator.swap(key, null, 'x', 60)))
      assert.equal(entries.filter(Boolean).length, 2 * keys.length)
      assert.ok((await coordinator.read(keys)).entries.every(Boolean))
    }
  })

  test('index serves the statements of a large table', async () => {
    await sql(`insert into strongroom select 'many ' || i, 'x', 'v', now() + interval '1 h' * i
               from generate_series(1, 20000) i`)
    await sql('analyze strongroom')
    const plans = []
    const explained = changing(pool, (text) => `explain ${text}`)
    const explaining = {
      async query(text, values) {
        const { rows } = await explained.query(text, values)
        plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
        return { rows: [{ time: 0 }] }
      },
    }
    const { read, swap } = postgres(explaining)({})
    for (const call of [read(['a', 'b']), swap('a', null, 'x', 60), swap('a', 'v', 'x', 60)]) await call
    assert.equal(plans.length, 3)
    for (const plan of plans) assert.doesNotMatch(plan, /Seq Scan on strongroom/)
  })

  const TABLES = ['user', 'Upper', 'own.strongroom', 'own.user']
  for (const table of TABLES) {
    test(`table may be ${table}`, async () => {
      const name = table.replace('.', '"."')
      await sql('create schema if not exists own')
      await sql(`create table "${name}" (like strongroom including all)`)
      const other = postgres(pool, { table })({})
      const written = await other.swap('a', null, 'x', 60)
      assert.deepEqual(await read('a', other), written)
      assert.ok(await other.swap('a', written.version, 'y', 60))
      assert.deepEqual(await sql(`select key, value from "${name}"`), [{ key: 'a', value: 'y' }])
    })
  }

  test('role needs four privileges on the table', async (t) => {
    await sql('create role app login')
    const limited = new pg.Pool({ connectionString: server.url.replace('//strongroom@', '//app@') })
    t.after(() => limited.end())
    const other = postgres(limited)({})
    const privileges = ['select', 'insert', 'update', 'delete']
    for (const privilege of privileges) {
      await assert.rejects(other.swap('limited', null, 'x', 60), { code: '42501' })
      await sql(`grant ${privilege} on strongroom to app`)
    }
    const { version } = await other.swap('limited', null, 'x', 60)
    assert.ok(await other.swap('limited', version, 'y', 60))
    assert.equal((await read('limited', other)).value, 'y')
  })

  test('call rejects with the error of the client', async () => {
    const other = postgres(pool, { table: 'missing' })({})
    for (const call of [
      () => other.read(['a']),
      () => other.swap('a', null, 'x', 60),
      () => other.wait('a', null, 60_000),
    ])
      await assert.rejects(call, { code: '42P01' })
  })
})

const NOT_NAMES = [
  'x; drop table users',
  'x"; drop table users; --',
  '"x"',
  "x'",
  'x y',
  'a.b.c',
  'a.',
  '.b',
  '',
  '1x',
  'x\n',
  'täble',
  'x'.repeat(64),
  null,
  ['strongroom'],
  { toString: () => 'strongroom' },
]
for (const table of NOT_NAMES) {
  test(`table cannot be ${JSON.stringify(table)}`, () => {
    assert.throws(() => postgres({ query() {} }, { table }), {
      code: 'config_invalid',
      message: '`table` of postgres() must be a name such as `strongroom` or `auth.strongroom`',
    })
  })
}

test('handler names the object that is not a client', async () => {
  for (const client of [undefined, {}, () => ({ query: 'select' }), () => undefined]) {
    const handler = createTokenHandler({
      issuer: 'https://id.example.com',
      client: { id: 'web', auth: { method: 'none' } },
      cookie: { keys: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8' },
      coordinator: postgres(client),
      log() {},
    })
    await assert.rejects(handler.ready(), {
      code: 'config_invalid',
      message: /`coordinator`: postgres\(\) needs a client with query\(\)/,
    })
  }
})

test('log has the name of an error, or its message without secrets', { timeout: 60_000 }, async (t) => {
  const told = new Set()
  const errors = [
    Object.assign(new Error('relation "strongroom" does not exist: a-secret'), { code: '42P01' }),
    Object.assign(new Error('connect ECONNREFUSED a-secret'), { code: 'ECONNREFUSED' }),
    new Error('no connection to postgres://app:a-secret@db.internal:5432/a-secret'),
  ]
  for (const error of errors) {
    const client = { query: () => Promise.reject(error) }
    const app = await startInProcess(createTokenHandler, {
      accessTokenSeconds: 2,
      handler: {
        coordinator: postgres(client),
        session: { storage: 'in-store' },
        log: ({ code, message }) => told.add(`${code}: ${message}`),
      },
    })
    t.after(app.close)
    await new Visitor(app.place).signIn()
  }
  const causes = [...told].flatMap(
    (line) => /^coordinator_unavailable: .* is down: it .*?: (.*?);/.exec(line)?.[1] ?? [],
  )
  const message = 'Error: no connection to postgres://db.internal:5432'
  assert.deepEqual([...new Set(causes)], ['42P01', 'ECONNREFUSED', message])
  assert.doesNotMatch([...told].join(), /a-secret/)
})

for (const storage of rows(['sealed-in-cookie', 'in-store'])) {
  describe(`two processes with one PostgreSQL, ${storage}`, { timeout: 180_000 }, () => {
    let app, ledger
    before(async () => {
      const handler = { session: { storage, recheck: 0 } }
      app = await startApp('node', { coordinator: 'pg', handler, provider: { accessTokenSeconds: 300 } })
      ;({ ledger } = app.provider)
    })
    after(() => app?.stop())

    /** Signs a user in at the first process, and waits until the access token has expired. */
    const expired = async () => {
      const visitor = app.visitor()
      app.provider.settings.accessTokenSeconds = 2
      await visitor.signIn({ isolate: 0 })
      await app.provider.letAccessTokenExpire()
      const since = ledger.refreshes().length
      return { visitor, refreshes: () => ledger.refreshes().slice(since) }
    }

    test('expired session is refreshed once', async () => {
      const { visitor, refreshes } = await expired()
      const calls = Array.from({ length: 10 }, (_none, i) =>
        visitor.copy().call('/api/me', { isolate: i % 2 }),
      )
      const statuses = (await Promise.all(calls)).map(({ status }) => status)
      assert.deepEqual(statuses, Array(10).fill(200))
      assert.deepEqual(
        refreshes().map(({ outcome }) => outcome),
        ['issued'],
      )
    })

    test('logout at one process ends the session at the other', async () => {
      const visitor = app.visitor()
      await visitor.signIn({ isolate: 0 })
      const copy = visitor.copy()
      assert.equal((await copy.session({ isolate: 1 })).session.claims.sub, 'alice')
      await visitor.call('/auth/logout', { method: 'POST', isolate: 0 })
      assert.equal((await copy.session({ isolate: 1 })).session, null)
    })

    // claim: handler-49
    test('restart of the server loses no session', async () => {
      const { visitor, refreshes } = await expired()
      await app.store.shutDown()
      assert.equal((await visitor.call('/api/me', { isolate: 1 })).status, 503)
      assert.equal(refreshes().length, 0)
      await app.store.startAgain()
      // After a failure, an isolate does not ask the store for a second.
      const end = Date.now() + 10_000
      for (const isolate of [0, 1]) {
        let status
        do ({ status } = await visitor.call('/api/me', { isolate }))
        while (status === 503 && Date.now() < end)
        assert.equal(status, 200)
      }
      assert.deepEqual(
        refreshes().map(({ outcome }) => outcome),
        ['issued'],
      )
      const told = new Set((await app.told()).map(({ code, message }) => `${code}: ${message}`))
      assert.ok(
        [...told].some((line) => /the coordinator is down: it .*: ECONNREFUSED;/.test(line)),
        [...told].join('\n'),
      )
    })
  })
}
