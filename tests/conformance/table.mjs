import { writeBetween } from '../support/report.mjs'

const BEGIN = '<!-- results: written by `cargo xtask conformance` -->'
const END = '<!-- end -->'

/** The order of results in a summary. */
const RESULTS = [
  'PASSED',
  'WARNING',
  'REVIEW',
  'SKIPPED',
  'FAILED',
  'WAITING',
  'INTERRUPTED',
  'ERROR',
  'not run',
]
const CLIENTS = ['vault', 'handler']

const heading = ({ version, date }) => `Suite ${version}, ${day(date)}`
const day = (date) => date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
const line = (cells) => `| ${cells.join(' | ')} |`

/** Returns the values of a key in their first order. */
const distinct = (rows, key) => [...new Set(rows.map(key))]

/** Returns the reason of a result that is not PASSED. An unexpected result has none, and the table says so. */
const reasonOf = (row) => (row && row.result !== row.expected ? `expected: ${row.expected}` : row?.reason)

/** Returns a table with the number of each result, by plan and client. */
export function plansTable({ version, date, rows }) {
  const counts = (title, client) => {
    const own = rows.filter(({ plan }) => plan.title === title && plan.client === client)
    const parts = RESULTS.map((result) => [
      own.filter((row) => row.result === result).length,
      result.toLowerCase(),
    ])
    return (
      parts
        .filter(([count]) => count)
        .map((part) => part.join(' '))
        .join(', ') || '–'
    )
  }
  const body = distinct(rows, ({ plan }) => plan.title).map((title) =>
    line([title, ...CLIENTS.map((client) => counts(title, client))]),
  )
  return [line([heading({ version, date }), 'vault', 'token handler']), '|---|---|---|', ...body].join('\n')
}

/** Returns a table with the modules that are not passed, each with its results and reasons. */
export function modulesTable({ rows }) {
  const open = rows.filter((row) => row.result !== 'PASSED' || row.expected !== 'PASSED')
  const body = distinct(open, ({ module }) => module).map((module) => {
    const results = new Map(CLIENTS.map((client) => [client, new Set()]))
    for (const row of open.filter((row) => row.module === module)) {
      const reason = reasonOf(row)
      results.get(row.plan.client).add(row.result.toLowerCase() + (reason ? `: ${reason}` : ''))
    }
    const ran = (client) => rows.some((row) => row.module === module && row.plan.client === client)
    const cells = CLIENTS.map(
      (client) => [...results.get(client)].join('; ') || (ran(client) ? 'passed' : '–'),
    )
    return line([`\`${module}\``, ...cells])
  })
  return [line(['module that is not passed', 'vault', 'token handler']), '|---|---|---|', ...body].join('\n')
}

/** Writes both tables between the marks of a document. */
export const write = (document, results) =>
  writeBetween(document, BEGIN, END, `${plansTable(results)}\n\n${modulesTable(results)}`)
