// The coordinator for Postgres in docs/edge-deploy.md passes the conformance checks. Its code is taken from the document.
// Its statements run on SQLite, in Cloudflare's D1. Only the time is written differently there.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { transform } from 'esbuild'
import { Miniflare } from 'miniflare'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { conformance } from '../../pkg/dist/edge/conformance.js'
import { startInProcess } from '../support/edge/in_process.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { readGuide } from '../recipes/guide.mjs'

let miniflare, pool, postgres

/** The database's time in milliseconds, in Postgres and in SQLite. */
const POSTGRES_TIME = '(extract(epoch from now()) * 1000)::bigint'
const SQLITE_TIME = "cast((julianday('now') - 2440587.5) * 86400000 as integer)"

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
    read: (...args) => call('read', ...args),
    swap: (...args) => call('swap', ...args),
    wait: coordinator.wait,
  }
}

before(async () => {
  const guide = await readGuide('docs/edge-deploy.md')
  const { code } = await transform(guide.block('export function postgres('), { loader: 'ts' })
  ;({ postgres } = await import(`data:text/javascript,${encodeURIComponent(code)}`))
  miniflare = new Miniflare({ modules: true, script: 'export default {}', d1Databases: ['DB'] })
  const database = await miniflare.getD1Database('DB')
  await database.prepare(guide.block('create table strongroom').trim()).run()
  pool = {
    async query(text, values = []) {
      // SQLite numbers its parameters by a question mark.
      const translated = text.replaceAll(POSTGRES_TIME, SQLITE_TIME).replace(/\$(\d)/g, '?$1')
      const statement = database.prepare(translated)
      return { rows: (await statement.bind(...values).all()).results }
    },
  }
})
after(() => miniflare?.dispose())

describe('the coordinator for Postgres passes the conformance checks', { timeout: 180_000 }, () => {
  const makeAhead = () => ahead(postgres(pool))
  for (const { name, run } of conformance(() => postgres(pool), { makeAhead, timeout: 60_000 }))
    test(name, run)
})

test('control: a statement that uses the clock of the process is found', async () => {
  const ofProcess = {
    query: (text, values) => pool.query(text.replaceAll(POSTGRES_TIME, `${Date.now()}`), values),
  }
  const make = () => postgres(ofProcess)
  const checks = conformance(make, { makeAhead: () => ahead(make()) })
  const failed = []
  for (const { name, run } of checks.slice(-2)) await run().catch(() => failed.push(name))
  assert.deepEqual(failed, [
    'an entry does not expire early for a clock that is ahead',
    'the time is the same for a clock that is ahead',
  ])
})

const SHAPES = {
  'read() returned an array: return { entries: <this array> }': {
    read: async (keys) => keys.map(() => null),
  },
  'read() must return { entries } or { entries, time }': { read: async () => null },
  'read() returned 0 entries for 1 keys': { read: async () => ({ entries: [] }) },
  'read() returned an entry that is not { value, version } of two strings': {
    read: async (keys) => ({ entries: keys.map(() => ({ value: 'x', version: 1 })) }),
  },
  'read() returned a `time` that is not a number of milliseconds': {
    read: async (keys) => ({ entries: keys.map(() => null), time: new Date() }),
  },
  'swap() must return { value, version } of two strings, or null': { swap: async () => true },
}
for (const [message, wrong] of Object.entries(SHAPES)) {
  test(`log says: ${message}`, { timeout: 60_000 }, async (t) => {
    const told = new Set()
    const coordinator = { ...inIsolate()({}), ...wrong }
    const app = await startInProcess(createTokenHandler, {
      accessTokenSeconds: 2,
      handler: {
        coordinator: () => coordinator,
        session: { storage: 'in-store' },
        log: ({ code, message }) => told.add(`${code}: ${message.replace(/for \d+ keys/, 'for 1 keys')}`),
      },
    })
    t.after(app.close)
    const visitor = new Visitor(app.place)
    await visitor.signIn()
    await visitor.session()
    const named = [...told].some(
      (line) => line.startsWith('coordinator_unavailable') && line.endsWith(message),
    )
    assert.ok(named, [...told].join('\n'))
  })
}

test('control: a statement that ignores the version is found', async () => {
  const careless = { query: (text, values) => pool.query(text.replace('version = $5', '$5 = $5'), values) }
  const results = await Promise.allSettled(
    conformance(() => postgres(careless)).map(async ({ run }) => run()),
  )
  assert.ok(results.some(({ status }) => status === 'rejected'))
})
