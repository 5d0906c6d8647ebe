/** Formats tables for a terminal or a Markdown page, and numbers with their units. */

/**
 * A row of a comparison. `gate` and `aim` are bounds of `ratio.value`.
 *
 * @typedef {object} Row
 * @property {string} what
 * @property {string} own strongroom's result.
 * @property {string} [peer] The other contender and its result.
 * @property {{ text: string, value: number, atMost?: boolean, unit?: string }} [ratio] `atMost`: smaller values are
 *   better.
 * @property {number} [gate]
 * @property {number} [aim]
 */

/** @typedef {import('./stats.mjs').Spread} Spread */

const COMPARISON = ['', 'strongroom', 'compared with', 'ratio', 'gate', 'aim']

/** @param {Row[]} rows */
export function comparisonTable(rows, options) {
  const cells = rows.map((row) => [
    row.what,
    row.own,
    row.peer ?? '',
    row.ratio?.text ?? '',
    ...[row.gate, row.aim].map((bound) => verdict(row.ratio, bound)),
  ])
  return table(COMPARISON, cells, options)
}

/** Returns the bound, and a mark that shows if the ratio meets it: `3x ✓`. */
function verdict(ratio, bound) {
  if (bound === undefined || !ratio) return ''
  const kept = ratio.atMost ? ratio.value <= bound : ratio.value >= bound
  return `${bound}${ratio.unit ?? 'x'} ${kept ? '✓' : '✗'}`
}

/**
 * @param {string[]} head
 * @param {string[][]} rows
 * @param {{ markdown?: boolean, numbers?: boolean }} [options] `numbers`: all columns but the first are numbers.
 */
export function table(head, rows, { markdown = false, numbers = false } = {}) {
  const lines = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...lines.map((cells) => cells[column].length)))
  const toRight = (column) => numbers && column > 0
  const pad = (cell, column) =>
    toRight(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
  const draw = (cells) => {
    const padded = cells.map(pad)
    return markdown ? `| ${padded.join(' | ')} |` : padded.join('  ').trimEnd()
  }
  const rule = widths.map((width, column) =>
    markdown && toRight(column) ? '-'.repeat(width - 1) + ':' : '-'.repeat(width),
  )
  return [draw(head), draw(rule), ...rows.map(draw)].join('\n')
}

/** Formats a number as in `1.36`, `15.5` or `247`. The measurements are not precise enough for more digits. */
export const short = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))

/** @param {string} unit @returns {(spread: Spread) => string} `15.5 µs (14.9–17.0)` */
const inUnit =
  (unit) =>
  ({ median, min, max }) =>
    `${short(median)} ${unit} (${short(min)}–${short(max)})`

export const microseconds = inUnit('µs')
export const milliseconds = inUnit('ms')
export const megabytesPerSecond = inUnit('MB/s')

const ratioOf =
  (words, atMost) =>
  ({ median, min, max }) => ({
    text: `${median.toFixed(2)}x ${words} (${min.toFixed(2)}–${max.toFixed(2)})`,
    value: median,
    atMost,
  })

/** Formats the ratio of strongroom's speed to the other contender's speed. */
export const speedRatio = ratioOf('as fast', false)

/** Formats the ratio of strongroom's time to the other contender's time. */
export const timeRatio = ratioOf('the time', true)
