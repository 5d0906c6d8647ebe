/** The table in docs/field.md. A run of some cells changes only these cells. */
import { readFile } from 'node:fs/promises'
import { markdownTable, writeBetween } from '../../tests/support/report.mjs'
import { CONTENDERS } from './contenders.mjs'
import { FAILURES } from './failures.mjs'

const DOCUMENT = new URL('../../docs/field.md', import.meta.url)
const BEGIN = '<!-- table: benches/field/document.mjs -->'
const END = '<!-- end -->'

/** @typedef {Record<string, Record<string, string>>} Cells The cell of each failure and each contender, by their names. */

/**
 * Writes cells into the table.
 *
 * @param {Cells} cells
 * @param {string} [facts] A line with the date and the versions, which replaces the earlier one.
 */
export async function write(cells, facts) {
  const [, written] = (await readFile(DOCUMENT, 'utf8')).split(BEGIN)
  const before = parse(written)
  const row = ({ name }) => [
    `\`${name}\``,
    ...Object.keys(CONTENDERS).map(
      (contender) => cells[name]?.[contender] ?? before[name]?.[contender] ?? '–',
    ),
  ]
  const table = markdownTable([['', ...Object.keys(CONTENDERS)], ...FAILURES.map(row)])
  await writeBetween(DOCUMENT, BEGIN, END, `${facts ?? written.trim().split('\n')[0]}\n\n${table}`)
}

/** Returns the cells that the document has. */
function parse(written) {
  const rows = written
    .split(END)[0]
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  const cellsOf = (row) =>
    Object.fromEntries(Object.keys(CONTENDERS).map((name, column) => [name, row[column + 2]]))
  const split = rows.map((line) => line.split('|').map((cell) => cell.trim()))
  return Object.fromEntries(split.map((row) => [row[1].replaceAll('`', ''), cellsOf(row)]))
}
