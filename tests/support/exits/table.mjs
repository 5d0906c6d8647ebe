/**
 * The table in docs/exits.md. `node tests/support/exits/table.mjs --write` writes it.
 */
import { markdownTable, writeBetween } from '../report.mjs'
import { GROUPS } from './ways.mjs'

const DOCUMENT = new URL('../../../docs/exits.md', import.meta.url)
const BEGIN = '<!-- table: tests/support/exits/table.mjs -->'
const END = '<!-- end -->'

const cell = (isReached) => (isReached ? '**reached**' : 'stopped')
const listed = (ways) => Object.keys(ways).join('; ')

/** Returns the table of all ways, and the table of those that stay open. */
export function exitsTables() {
  const rows = GROUPS.map(({ title, expected, ways }) => [
    `${title}: ${listed(ways)}`,
    cell(true),
    cell(expected.policy),
    cell(expected.list),
  ])
  const open = GROUPS.filter(({ closes }) => closes).map(({ ways, closes }) => [listed(ways), closes])
  return [
    markdownTable([['way', 'no headers', 'generated policy', 'policy and list'], ...rows]),
    markdownTable([['way that stays open', 'what closes it'], ...open]),
  ].join('\n\n')
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) {
  await writeBetween(DOCUMENT, BEGIN, END, exitsTables())
}
