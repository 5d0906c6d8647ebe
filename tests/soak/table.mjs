/** The table of the soak. `cargo xtask soak --write` writes it. */
import { availableParallelism } from 'node:os'
import { markdownTable, writeBetween } from '../support/report.mjs'
import { longest, RECOVERY, sentTwice, windowOf } from './verdict.mjs'

const DOCUMENT = new URL('../../docs/edge-operate.md', import.meta.url)
const BEGIN = '<!-- table: tests/soak/table.mjs -->'
const END = '<!-- end -->'

const HEAD = [
  'fault',
  'seconds',
  'requests',
  'ok',
  '503',
  '502',
  '401',
  'longest response',
  'recovered after',
]

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

/** Returns the row of one fault, with all its windows, or of the time without a fault. */
export function rowOf(name, windows, exchanges) {
  const of = (kind) => exchanges.filter((exchange) => exchange.kind === kind)
  const lengths = windows.map(({ start, end }) => Math.round((end - start) / 1000))
  const after = windows.flatMap(({ end }) =>
    exchanges
      .filter(({ kind, sent, received }) => kind !== 'ok' && sent < end + RECOVERY && received > end)
      .map(({ received }) => received - end),
  )
  return [
    name,
    lengths.join(' + ') || '–',
    exchanges.length,
    ...['ok', '503', '502', '401'].map((kind) => of(kind).length),
    seconds(longest(exchanges.map(({ sent, received }) => received - sent))),
    windows.length ? seconds(longest(after)) : '–',
  ]
}

/** Returns the table as Markdown, with a paragraph of totals. */
export function soakTable({ exchanges, windows, refreshes, lost, sessions }) {
  const byWindow = new Map(windows.map((window) => [window, []]))
  const outside = []
  for (const exchange of exchanges) (byWindow.get(windowOf(windows, exchange)) ?? outside).push(exchange)
  const names = [...new Set(windows.map(({ fault }) => fault.name))]
  const rows = names.map((name) => {
    const own = windows.filter(({ fault }) => fault.name === name)
    return rowOf(
      name,
      own,
      own.flatMap((window) => byWindow.get(window)),
    )
  })
  const { repeated, reused } = sentTwice(refreshes, windows)
  const minutes = Math.round((exchanges.at(-1).received - exchanges[0].sent) / 60_000)
  const wrong = exchanges.filter(({ kind }) => kind === '401').length
  const totals = [
    `${minutes} minutes with ${sessions} sessions and ${exchanges.length} requests, on ${availableParallelism()} cores`,
    `${lost} sessions lost`,
    `${wrong} wrong 401`,
    `${reused.length} refresh tokens reused`,
    `${refreshes.length} refreshes sent, ${repeated.length} of them again because a process died before it had their result`,
  ]
  const table = markdownTable([HEAD, ...rows, rowOf('none', [], outside)])
  return `${table}\n\n${totals.join(' · ')}.`
}

export const writeTable = (table) => writeBetween(DOCUMENT, BEGIN, END, table)
