/**
 * The results in docs/browsers.md: a list of the capabilities that all engines have, and a table of the others, with one
 * row for each capability, and one column for each engine.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { ENGINES } from '../support/engines/index.mjs'
import { markdownTable } from '../support/report.mjs'

const DOCS = new URL('../../docs/browsers.md', import.meta.url)
const TITLES = Object.values(ENGINES).map(({ title }) => title)

/** Returns the part of a document between the comment with this name and the comment `end`. */
const part = (text, name) => {
  const marks = [`<!-- ${name} -->\n\n`, '\n\n<!-- end -->']
  const start = text.indexOf(marks[0]) + marks[0].length
  const end = text.indexOf(marks[1], start)
  assert.ok(start >= marks[0].length && end >= start, `docs/browsers.md has no part ${name}`)
  return { start, end, text: text.slice(start, end) }
}

const replace = (text, name, by) => {
  const { start, end } = part(text, name)
  return text.slice(0, start) + by + text.slice(end)
}

const TABLE = 'results: what differs'
const EXCEPTIONS = 'results: what does not hold, and what is not automated'
const LIST = 'results: what all engines do'
/** The result of a capability that an engine has. */
const HELD = 'yes'

/** Returns the names of the rows in the document. */
export const documentedRows = () => [...readResults(readFileSync(DOCS, 'utf8')).keys()]

/** Parses the results in the document. Rows are found by their names, and cells by the engine's title. */
function readResults(docs) {
  const lines = part(docs, TABLE).text.split('\n')
  const [head, , ...body] = lines.map((line) => line.slice(2, -2).split(' | '))
  const titles = head.slice(1).map((title) => title.split(' ')[0])
  const everywhere = part(docs, LIST).text.split('\n')
  const rows = [...everywhere.map((line) => [line.slice(2), ...titles.map(() => HELD)]), ...body]
  return new Map(
    rows.map(([name, ...cells]) => [name, Object.fromEntries(titles.map((title, n) => [title, cells[n]]))]),
  )
}

/**
 * Compares an engine's results with the document, or writes them to the document if `UPDATE_DOCS` is set.
 *
 * @param {string} title The engine's title.
 * @param {string} version
 * @param {string[]} rows All names, in order.
 * @param {Map<string, { cell: string, reason?: string }>} column The results, by name.
 */
export function compareColumn(title, version, rows, column) {
  // The document is read and written synchronously, because the test file of another engine may update it at the same
  // time.
  const docs = readFileSync(DOCS, 'utf8')
  const known = readResults(docs)
  const versions = new Map(TITLES.map((each) => [each, versionOf(docs, each)]))
  const major = version
    .split('.')
    .slice(0, title === 'WebKit' ? 2 : 1)
    .join('.')
  const seen = rows.map((name) => column.get(name).cell)
  const reasons = rows.flatMap((name) => {
    const { reason } = column.get(name)
    return reason ? [`- ${title}: *${name}*: ${reason}.`] : []
  })
  const others = part(docs, EXCEPTIONS)
    .text.split('\n')
    .filter((line) => !line.startsWith(`- ${title}: `))
  if (process.env.UPDATE_DOCS) {
    versions.set(title, major)
    const head = ['', ...TITLES.map((each) => `${each} ${versions.get(each)}`.trim())]
    const body = rows.map((name, row) => [
      name,
      ...TITLES.map((each) => (each === title ? seen[row] : (known.get(name)?.[each] ?? '?'))),
    ])
    const isHeld = ([, ...cells]) => cells.every((cell) => cell === HELD)
    const everywhere = body.filter(isHeld).map(([name]) => `- ${name}`)
    const table = markdownTable([head, ...body.filter((row) => !isHeld(row))])
    const list = [...others.filter((line) => line !== 'None.'), ...reasons].sort().join('\n') || 'None.'
    const written = replace(replace(docs, TABLE, table), LIST, everywhere.join('\n'))
    writeFileSync(DOCS, replace(written, EXCEPTIONS, list))
    return
  }
  const hint = 'UPDATE_DOCS=1 writes the results'
  assert.deepEqual([...known.keys()].sort(), [...rows].sort(), hint)
  assert.deepEqual(
    Object.fromEntries(rows.map((name) => [name, known.get(name)[title]])),
    Object.fromEntries(rows.map((name, row) => [name, seen[row]])),
    hint,
  )
  const listed = part(docs, EXCEPTIONS)
    .text.split('\n')
    .filter((line) => line.startsWith(`- ${title}: `))
  assert.deepEqual(listed, [...reasons].sort(), hint)
}

/** Returns the version of an engine in the table's head. Returns an empty string if the head has no version. */
const versionOf = (docs, title) => {
  const [head] = part(docs, TABLE).text.split('\n')
  return new RegExp(`\\| ${title} ([\\d.]+)`).exec(head)?.[1] ?? ''
}
