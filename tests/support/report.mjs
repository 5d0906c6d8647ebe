import { readFile, writeFile } from 'node:fs/promises'

/**
 * Creates a table that a test file prints at its end.
 *
 * @param {string} title
 * @param {string[]} columns Titles of the columns after the first one, which has the rows' names.
 */
export function createReport(title, columns) {
  const rows = [[title, ...columns]]
  return {
    rows,
    add(name, ...values) {
      rows.push([name, ...values].map(String))
    },
    print() {
      const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
      const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  '))
      console.log(`\n${lines.map((line) => line.trimEnd()).join('\n')}\n`)
    },
  }
}

/** Returns rows as a Markdown table. The first row is the head. */
export function markdownTable([head, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

/** Replaces what a document has between two marks, which stand on lines of their own. */
export async function writeBetween(document, begin, end, content) {
  const text = await readFile(document, 'utf8')
  const [before, rest] = text.split(begin)
  const after = rest?.slice(rest.indexOf(end))
  if (!after?.startsWith(end)) throw new Error(`${document} has no lines ${begin} and ${end}`)
  await writeFile(document, `${before}${begin}\n\n${content}\n\n${after}`)
}
