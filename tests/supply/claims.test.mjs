// The documents of claims are written from their table, in which each claim has one lasting identifier.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ATTACKERS, attackers, claimsByTest, documents, item, single } from '../../docs/claims/write.mjs'

const root = new URL('../../', import.meta.url)

/** Returns what is wrong with the identifiers of the claims in these files, which have the names in `names`. */
function wrongIds(names, files) {
  const claims = files.flatMap(({ groups }, i) =>
    groups.flatMap(({ claims = [] }) => claims.map(({ id }) => ({ id, name: names[i] }))),
  )
  const foreign = claims.filter(({ id, name }) => !new RegExp(`^${name}-[1-9]\\d*$`).test(id))
  const ids = claims.map(({ id }) => id)
  return [...foreign.map(({ id }) => `foreign: ${id}`), ...repeated(ids).map((id) => `twice: ${id}`)]
}

const repeated = (list) => list.filter((one, i) => list.indexOf(one) !== i)

test('documents of claims have the table’s text', async () => {
  for (const [path, text] of Object.entries(await documents())) {
    assert.equal(await readFile(new URL(path, root), 'utf8'), text, `${path}: run cargo xtask options`)
  }
})

test('each file of claims is in the document', async () => {
  const names = (await readdir(new URL('docs/claims/', root))).filter((name) => name.endsWith('.json'))
  assert.deepEqual(names.sort(), [...ATTACKERS, 'standards'].map((name) => `${name}.json`).sort())
})

test('each claim has its own identifier', async () => {
  assert.deepEqual(wrongIds(ATTACKERS, await attackers()), [])
})

test('control: a foreign and a repeated identifier are found', () => {
  const files = [{ groups: [{ claims: [{ id: 'a-1' }, { id: 'a-1' }, { id: 'b-2' }] }] }]
  assert.deepEqual(wrongIds(['a'], files), ['foreign: b-2', 'twice: a-1'])
})

/** Returns the texts with a half of a code span, or without an end. A list of outcomes has no full stops. */
const damaged = (texts, isList) =>
  texts.filter((text) => text.split('`').length % 2 === 0 || (isList ? /[:,]$/ : /[^.)]$/).test(text))

test('texts of claims are whole', async () => {
  const standards = JSON.parse(await readFile(new URL('docs/claims/standards.json', root), 'utf8'))
  for (const [i, { groups }] of (await attackers()).entries()) {
    const claims = groups.flatMap(({ text = [], claims = [] }) => [
      ...text.filter((paragraph) => !paragraph.endsWith(':')),
      ...claims.flatMap(({ claim, limits }) => [claim, limits]),
    ])
    assert.deepEqual(damaged(claims.filter(Boolean), ATTACKERS[i] === 'end'), [])
  }
  const cells = standards.flatMap(({ rows }) =>
    rows.flatMap(({ requirement, strongroom, note = '' }) => [requirement, strongroom, note]),
  )
  assert.deepEqual(damaged(cells, true), [])
})

test('control: a half code span and a missing end are found', () => {
  const texts = ['It holds', 'On a server:', 'It holds. of`, the rest.', 'It `holds`.']
  assert.deepEqual(damaged(texts, false), texts.slice(0, 3))
  assert.deepEqual(damaged(texts, true), texts.slice(1, 3))
})

test('a claim is followed by its limits and tests', () => {
  const claim = { id: 'a-1', claim: 'It holds.', limits: 'More.', tests: ['x.rs: b, c', 'y.mjs: d, e'] }
  assert.equal(item(claim), '- **a-1** It holds. *Not covered*: More. `x.rs: b, c`, `y.mjs: d, e`')
  assert.deepEqual(claim.tests.flatMap(single), ['x.rs: b', 'x.rs: c', 'y.mjs: d, e'])
  const byTest = claimsByTest([{ groups: [{ claims: [claim] }] }])
  assert.deepEqual(byTest.get('x.rs: c'), ['a-1'])
})
