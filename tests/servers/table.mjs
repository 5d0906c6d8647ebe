/** Tables of the steps that were taken with real servers. */
import { markdownTable, writeBetween } from '../support/report.mjs'
import { NOT_APPLICABLE } from './driver.mjs'
import { STEPS } from './steps/list.mjs'

const BEGIN = '<!-- servers: written by `cargo xtask servers` -->'
const END = '<!-- end -->'

/**
 * The result of a server.
 *
 * @typedef {object} Result
 * @property {string} name
 * @property {string} [version]
 * @property {string} [skipped] The reason why the server did not run.
 * @property {{ vault: string[], handler: string[] }} cells What each step found.
 */

/** The number of servers that fit next to each other on a page. */
const WIDTH = 5

/**
 * Returns tables of steps and servers. If vault and handler found different things, both are in the cell.
 *
 * @param {Result[]} results
 */
export function stepsTables(results) {
  const ran = results.filter(({ skipped }) => !skipped)
  const tables = []
  for (let at = 0; at < ran.length; at += WIDTH) tables.push(stepsTable(ran.slice(at, at + WIDTH)))
  return tables.join('\n\n')
}

function stepsTable(results) {
  const head = ['', ...results.map(({ name, version }) => `${name}${version ? ` ${version}` : ''}`)]
  const rows = STEPS.map((step, i) => [titleOf(step), ...results.map(({ cells }) => cellOf(step, cells, i))])
  return markdownTable([head, ...rows])
}

const titleOf = ({ name, only }) => (only ? `${name} (${only})` : name)

function cellOf({ only, short }, cells, i) {
  const found = (only ? [cells[only]] : [cells.vault, cells.handler]).map((own) => {
    const cell = own?.[i] ?? ''
    return cell === NOT_APPLICABLE ? cell : (short?.(cell) ?? cell)
  })
  return [...new Set(found)].join(' / ')
}

/** Returns a sentence for each server that did not run. */
export const skippedList = (results) =>
  results
    .filter(({ skipped }) => skipped)
    .map(({ name, skipped }) => `- ${name} did not run: ${skipped}`)
    .join('\n')

/**
 * Writes the tables between the marks of a document.
 *
 * @param {URL} document
 * @param {Result[]} results
 * @param {Date} date
 */
export function write(document, results, date) {
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
  const parts = [`Run of ${day}:`, stepsTables(results), skippedList(results)]
  return writeBetween(document, BEGIN, END, parts.filter(Boolean).join('\n\n'))
}
