// The claims about security and the rows about specifications are whole, and refer to each other.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const claimsPage = await read('docs/security-claims.md')
const conformancePage = await read('docs/conformance.md')

/** Matches the names of tests at the end of a claim or a cell. */
const TESTS = /(?:(?:^|,? )`\S+\.(?:rs|mjs): [^`]+`)+$/
/** Matches the identifiers of claims at the beginning of a row's last cell. */
const IDS = /^((?:[a-z]+-\d+(?:, |$))+)/

/** Returns the names of tests in a text, one by one. A name in JavaScript may contain a comma. */
function single(text) {
  const named = [...text.matchAll(/`(\S+\.(?:rs|mjs)): ([^`]+)`/g)]
  return named.flatMap(([, file, names]) =>
    (file.endsWith('.rs') ? names.split(', ') : [names]).map((name) => `${file}: ${name}`),
  )
}

/** Returns the claims of a document, each with the title of its attacker. */
function claimsOf(page) {
  let attacker = ''
  const claims = []
  for (const line of page.split('\n')) {
    if (line.startsWith('## ')) attacker = line.slice(3)
    if (!line.startsWith('- ')) continue
    const [, id, text] = /^- \*\*([a-z]+-[1-9]\d*)\*\* (.*)$/.exec(line) ?? [null, line, '']
    claims.push({ id, attacker, text: text.replace(TESTS, ''), tests: single(TESTS.exec(text)?.[0] ?? '') })
  }
  return claims
}

/** Returns the rows of a document's tables: the cells without tests and identifiers, the tests, and the identifiers. */
function rowsOf(page) {
  const rows = page.split('\n').filter((line) => /^\| (?!section |-)/.test(line))
  return rows.map((line) => {
    const cells = line.slice(2, -2).split(' | ')
    const ids = IDS.exec(cells.at(-1))?.[1].split(', ').filter(Boolean) ?? []
    const shown = cells.at(-1).replace(IDS, '')
    return { texts: [...cells.slice(1, -1), shown.replace(TESTS, '')], tests: single(shown), ids }
  })
}

/** Returns what is wrong with the identifiers of claims. */
function wrongIds(claims) {
  const ids = claims.map(({ id }) => id)
  const attackers = new Map(claims.map(({ id, attacker }) => [id.split('-')[0], attacker]))
  return [
    ...ids.filter((id) => !/^[a-z]+-[1-9]\d*$/.test(id)).map((id) => `none: ${id}`),
    ...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `twice: ${id}`),
    ...claims
      .filter(({ id, attacker }) => attackers.get(id.split('-')[0]) !== attacker)
      .map(({ id }) => `foreign: ${id}`),
  ]
}

/** Returns the claims that rows name and that do not exist, and the tests that a claim names, too. */
function wrongRows(rows, claims) {
  const isClaim = (id) => claims.some((claim) => claim.id === id)
  const isNamed = (name) => claims.some(({ tests }) => tests.includes(name))
  return rows.flatMap(({ tests, ids }) => [
    ...ids.filter((id) => !isClaim(id)).map((id) => `no claim: ${id}`),
    ...tests.filter(isNamed).map((name) => `named by a claim: ${name}`),
  ])
}

const claims = claimsOf(claimsPage)
const rows = rowsOf(conformancePage)

test('each claim has its own identifier, and each attacker its own name', () => {
  assert.ok(claims.length > 150)
  assert.deepEqual(wrongIds(claims), [])
})

test('control: a missing, a repeated and a foreign identifier are found', () => {
  const page =
    '## A\n- **a-1** It.\n- **a-1** It.\n- It.\n## B\n- **b-1** It.\n- **b-2** It.\n## A\n- **b-3** It.\n'
  assert.deepEqual(wrongIds(claimsOf(page)), ['none: - It.', 'twice: a-1', 'foreign: b-1', 'foreign: b-2'])
})

/** Returns the texts with a half of a code span, or without an end. A list of outcomes has no full stops. */
const damaged = (texts, isList) =>
  texts.filter((text) => text.split('`').length % 2 === 0 || (isList ? /[:,]$/ : /[^.)]$/).test(text))

test('texts of claims, rows and paragraphs are whole', () => {
  const isOutcome = ({ id }) => id.startsWith('end-')
  const texts = (some) => some.flatMap(({ text }) => text.split(' *Not covered*: ')).filter(Boolean)
  assert.deepEqual(damaged(texts(claims.filter(isOutcome)), true), [])
  assert.deepEqual(damaged(texts(claims.filter((claim) => !isOutcome(claim))), false), [])
  const paragraphs = claimsPage.split('\n').filter((line) => /^[^-#|]/.test(line) && !line.endsWith(':'))
  assert.ok(paragraphs.length > 10)
  assert.deepEqual(damaged(paragraphs, false), [])
  assert.ok(rows.length > 100)
  assert.deepEqual(
    damaged(
      rows.flatMap((row) => row.texts),
      true,
    ),
    [],
  )
})

test('control: a half code span and a missing end are found', () => {
  const texts = ['It holds', 'On a server:', 'It holds. of`, the rest.', 'It `holds`.']
  assert.deepEqual(damaged(texts, false), texts.slice(0, 3))
  assert.deepEqual(damaged(texts, true), texts.slice(1, 3))
})

test('a row about a specification names claims that exist, and only tests that no claim names', () => {
  assert.ok(rows.flatMap(({ ids }) => ids).length > 60)
  assert.deepEqual(wrongRows(rows, claims), [])
})

test('control: a claim that does not exist and a test that a claim names are found', () => {
  const page = '## A\n- **a-1** It. *Not covered*: More. `x.rs: b, c`, `y.mjs: d, e`\n'
  const [claim] = claimsOf(page)
  assert.deepEqual(claim.tests, ['x.rs: b', 'x.rs: c', 'y.mjs: d, e'])
  assert.equal(claim.text, 'It. *Not covered*: More.')
  const table = (cell) => rowsOf(`| section | requirement | strongroom | shown by |\n| 1 | a | b | ${cell} |`)
  assert.deepEqual(wrongRows(table('a-1, `x.rs: d`'), [claim]), [])
  assert.deepEqual(wrongRows(table('a-1, a-2'), [claim]), ['no claim: a-2'])
  assert.deepEqual(wrongRows(table('a-1, `x.rs: d, c`'), [claim]), ['named by a claim: x.rs: c'])
})
