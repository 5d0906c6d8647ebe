// Each claim about security is complete, and has a test or a stated gap. Rows about specifications name claims that exist.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const claimsPage = await read('docs/security-claims.md')
const conformancePage = await read('docs/conformance.md')

/** Matches the names of tests at the end of a cell. */
const TESTS = /(?:(?:^|,? )`\S+\.(?:rs|mjs): [^`]+`)+$/
/** Matches the identifiers of claims at the beginning of a row's last cell. */
const IDS = /^((?:[a-z]+-\d+(?:, |$))+)/
/** Matches the comment above a test of claims. */
const MARK = /^\s*\/\/ claim: (.+)$/
/** Matches what follows this comment: a test, a test's name, or a row of a table of tests. */
const TEST =
  /^\s*(?:#\[test\]|#\[cfg|(?:(?:await|return) )?test(?:\.skip)?\(|name: |['"`\[{]|\w+: MUTATIONS)|\btest\(/
/** Absolute words. A paragraph with one of them must be a claim, or say what is not covered. */
const ABSOLUTE = /always|never|impossible|guarantee|completely|unbreakable|whatever|nobody|no way|cannot/i

/** Returns the claims of a document, each with the title of its attacker. */
function claimsOf(page) {
  let attacker = ''
  const claims = []
  for (const line of page.split('\n')) {
    if (line.startsWith('## ')) attacker = line.slice(3)
    if (!line.startsWith('- ')) continue
    const [, id, text] = /^- \*\*([a-z]+-[1-9]\d*)\*\* (.*)$/.exec(line) ?? [null, line, '']
    claims.push({ id, attacker, text })
  }
  return claims
}

/** Returns the marks of a test file: the identifiers, and the line below. */
function marksOf(source) {
  const lines = source.split('\n')
  return lines.flatMap((line, i) => {
    const ids = MARK.exec(line)?.[1].split(', ')
    return ids ? [{ ids, test: lines[i + 1] ?? '' }] : []
  })
}

/** Resolves with the marks of all tests, each with its file. */
async function marks() {
  const folders = ['src', 'tests', 'xtask/src'].map(async (folder) => {
    const names = await readdir(new URL(`${folder}/`, root), { recursive: true })
    return names.map((name) => `${folder}/${name}`)
  })
  const files = (await Promise.all(folders)).flat().filter((name) => /\.(?:rs|mjs)$/.test(name))
  const found = files.map(async (file) => marksOf(await read(file)).map((mark) => ({ file, ...mark })))
  return (await Promise.all(found)).flat()
}

/** Returns the rows of a document's tables: the cells without tests and identifiers, and the identifiers. */
function rowsOf(page) {
  const rows = page.split('\n').filter((line) => /^\| (?!section |-)/.test(line))
  return rows.map((line) => {
    const cells = line.slice(2, -2).split(' | ')
    const ids = IDS.exec(cells.at(-1))?.[1].split(', ').filter(Boolean) ?? []
    const shown = cells.at(-1).replace(IDS, '')
    return { texts: [...cells.slice(1, -1), shown.replace(TESTS, '')], ids }
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

/** Returns the files of the engines' suite that the usual run in Chromium contains, from the source of groups.mjs. */
function usualCapabilities(source) {
  const lists = [...source.matchAll(/(?:MAIN|CLAIMED) = \[(.*?)\]/gs)].map(([, list]) => list)
  const names = lists.flatMap((list) => [...list.matchAll(/\w+/g)].map(([name]) => name))
  const imports = source.matchAll(/import \{ (\w+) \} from '\.\/(.*?)'/g)
  return [...imports].filter(([, name]) => names.includes(name)).map(([, , file]) => `tests/engines/${file}`)
}

const capabilities = usualCapabilities(await read('tests/engines/groups.mjs'))

/** Returns true for a file that the usual run leaves out. */
const isLeftOut = ({ file }) =>
  file.endsWith('.all.test.mjs') || (file.includes('/capabilities/') && !capabilities.includes(file))

/**
 * Returns the marks that name no claim or stand above no test, and the claims without a test in the usual run or a stated
 * gap.
 */
function wrongMarks(marks, claims) {
  const isClaim = (id) => claims.some((claim) => claim.id === id)
  const usual = marks.filter((mark) => !isLeftOut(mark))
  const isTested = ({ id }) => usual.some(({ ids }) => ids.includes(id))
  return [
    ...marks.flatMap(({ file, ids }) =>
      ids.filter((id) => !isClaim(id)).map((id) => `no claim: ${file}: ${id}`),
    ),
    ...marks.filter(({ test }) => !TEST.test(test)).map(({ file, ids }) => `no test: ${file}: ${ids}`),
    ...claims
      .filter((claim) => !isTested(claim) && !/ot covered|see there/.test(claim.text))
      .map(({ id }) => `not tested: ${id}`),
  ]
}

/** Returns the claims that rows name and that do not exist. */
const wrongRows = (rows, claims) =>
  rows.flatMap(({ ids }) => ids.filter((id) => !claims.some((claim) => claim.id === id)))

/** Returns the paragraphs that promise something without being a claim. */
const absolute = (paragraphs) =>
  paragraphs.filter((text) => ABSOLUTE.test(text) && !text.includes('ot covered'))

const claims = claimsOf(claimsPage)
const paragraphs = claimsPage.split('\n').filter((line) => /^[^-#|<]/.test(line))
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
  assert.ok(paragraphs.length > 10)
  const isHead = (text) => text.endsWith(':')
  assert.deepEqual(
    damaged(
      paragraphs.filter((text) => !isHead(text)),
      false,
    ),
    [],
  )
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

test('each claim has a test or a stated gap, and each mark a claim and a test', async () => {
  const all = await marks()
  assert.ok(all.length > 700)
  assert.deepEqual(wrongMarks(all, claims), [])
})

test('control: a claim without a test, a mark without a claim and one without a test are found', () => {
  const claims = claimsOf('## A\n- **a-1** It.\n- **a-2** It. *Not covered*: More.\n- **a-3** It.\n')
  const source =
    '// claim: a-1\n#[test]\n  // claim: a-1, a-4\n  test(`x`, () => {\n// claim: a-2\nconst x = 1\n'
  const marks = marksOf(source).map((mark) => ({ file: 'x.mjs', ...mark }))
  const wrong = ['no claim: x.mjs: a-4', 'no test: x.mjs: a-2', 'not tested: a-3']
  assert.deepEqual(wrongMarks(marks, claims), wrong)
  for (const file of ['x.all.test.mjs', 'tests/engines/capabilities/egress.mjs']) {
    const leftOut = [{ file, ids: ['a-1'], test: 'test(' }]
    assert.deepEqual(wrongMarks(leftOut, claims), ['not tested: a-1', 'not tested: a-3'])
  }
})

test('only a claim, which has a test or a gap, is absolute', () => {
  assert.deepEqual(absolute(paragraphs), [])
  assert.deepEqual(absolute(['It never does.', 'It does.']), ['It never does.'])
})

test('a row about a specification names claims that exist', () => {
  assert.ok(rows.flatMap(({ ids }) => ids).length > 60)
  assert.deepEqual(wrongRows(rows, claims), [])
})

test('control: a row with a claim that does not exist is found', () => {
  const table = rowsOf(
    '| section | requirement | strongroom | shown by |\n| 1 | a | b | a-1, a-2, `x.rs: d` |',
  )
  assert.deepEqual(wrongRows(table, [{ id: 'a-1' }]), ['a-2'])
})
