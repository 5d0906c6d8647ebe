/** Code of the guides, taken from the documents themselves. */
import { readFile } from 'node:fs/promises'
import { root } from '../packaging/tarball.mjs'

/**
 * A document.
 *
 * @typedef {object} Guide
 * @property {(part: string, heading?: string) => string} block Returns the only code block that contains `part`,
 *   below `heading` if it is given. The block's indentation is removed.
 * @property {(part: string) => string} inline Returns the only inline code outside of tables that contains `part`.
 * @property {(name: string, heading?: string) => string[][]} row Returns the inline codes of each cell after the first,
 *   in the only table row of this name, below `heading` if it is given.
 */

/** Reads a document. @returns {Promise<Guide>} */
export async function readGuide(path) {
  const { blocks, prose } = parse(await readFile(root + path, 'utf8'))
  const lines = prose.map(({ line }) => line)
  const sentences = lines.filter((line) => !line.startsWith('|')).join('\n')
  const codes = codesOf(sentences)
  return {
    block: (part, heading) => {
      const found = blocks.filter(
        (block) => block.code.includes(part) && (!heading || block.heading === heading),
      )
      return only(found, `${path}: block with ${part}`).code
    },
    inline: (part) =>
      only(
        codes.filter((code) => code.includes(part)),
        `${path}: code with ${part}`,
      ),
    row(name, heading) {
      const rows = prose.filter(
        (row) => row.line.startsWith(`| ${name} |`) && (!heading || row.heading === heading),
      )
      const [, , ...cells] = only(rows, `${path}: row ${name}`).line.split(/(?<!\\)\|/)
      return cells.slice(0, -1).map(codesOf)
    },
  }
}

const codesOf = (text) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code)

function only(found, name) {
  if (found.length !== 1) throw new Error(`${name}: found ${found.length}, and must find 1`)
  return found[0]
}

/** Separates the fenced blocks of a document from its other lines. */
function parse(text) {
  const blocks = []
  const prose = []
  let open, heading
  for (const line of text.split('\n')) {
    const fence = /^( *)```(\w*)/.exec(line)
    if (open && fence) {
      blocks.push({ heading, code: `${open.lines.join('\n')}\n` })
      open = undefined
    } else if (open) open.lines.push(line.replace(open.indent, ''))
    else if (fence) open = { indent: new RegExp(`^${fence[1]}`), lines: [] }
    else {
      heading = /^#+ (.*)/.exec(line)?.[1] ?? heading
      prose.push({ heading, line })
    }
  }
  return { blocks, prose }
}
