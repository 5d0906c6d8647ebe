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

/**
 * Returns a table of steps and servers. If vault and handler found different things, both are in the cell.
 *
 * @param {Result[]} results
 */
export function stepsTable(results) {
  const ran = results.filter(({ skipped }) => !skipped)
  const head = ['', ...ran.map(({ name, version }) => `${name}${version ? ` ${version}` : ''}`)]
  const rows = STEPS.map((step, i) => [step.name, ...ran.map(({ cells }) => cellOf(step, cells, i))])
  return markdownTable([head, ...rows])
}

function cellOf(step, { vault, handler }, i) {
  const [first, second] = [vault, handler].map((cells) => {
    const found = cells[i] ?? ''
    return found === NOT_APPLICABLE ? found : (step.short?.(found) ?? found)
  })
  return first === second ? first : `${first} / ${second}`
}

/** Returns a sentence for each server that did not run. */
export const skippedList = (results) =>
  results
    .filter(({ skipped }) => skipped)
    .map(({ name, skipped }) => `- ${name} did not run: ${skipped}`)
    .join('\n')

/**
 * Writes the table between the marks of a document.
 *
 * @param {URL} document
 * @param {Result[]} results
 * @param {Date} date
 */
export function write(document, results, date) {
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
  const parts = [`Run of ${day}:`, stepsTable(results), skippedList(results)]
  return writeBetween(document, BEGIN, END, parts.filter(Boolean).join('\n\n'))
}
