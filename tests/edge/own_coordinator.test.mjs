// The coordinator for Postgres in docs/edge-deploy.md passes the conformance checks. Its code is taken from the document.
// Its statements run on SQLite, whose syntax for them is the same, in Cloudflare's D1.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { transform } from 'esbuild'
import { Miniflare } from 'miniflare'
import { conformance } from '../../pkg/dist/edge/conformance.js'
import { readGuide } from '../recipes/guide.mjs'

let miniflare, pool, postgres

before(async () => {
  const guide = await readGuide('docs/edge-deploy.md')
  const { code } = await transform(guide.block('export function postgres('), { loader: 'ts' })
  ;({ postgres } = await import(`data:text/javascript,${encodeURIComponent(code)}`))
  miniflare = new Miniflare({ modules: true, script: 'export default {}', d1Databases: ['DB'] })
  const database = await miniflare.getD1Database('DB')
  await database.prepare(guide.block('create table strongroom').trim()).run()
  pool = {
    async query(text, values) {
      // SQLite numbers its parameters by a question mark.
      const statement = database.prepare(text.replace(/\$(\d)/g, '?$1'))
      return { rows: (await statement.bind(...values).all()).results }
    },
  }
})
after(() => miniflare?.dispose())

describe('the coordinator for Postgres passes the conformance checks', { timeout: 60_000 }, () => {
  for (const { name, run } of conformance(() => postgres(pool))) test(name, run)
})

test('control: a statement that ignores the version is found', async () => {
  const careless = { query: (text, values) => pool.query(text.replace('version = $5', '$5 = $5'), values) }
  const results = await Promise.allSettled(
    conformance(() => postgres(careless)).map(async ({ run }) => run()),
  )
  assert.ok(results.some(({ status }) => status === 'rejected'))
})
