/** The command line that both benches share. */
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.mjs'

/**
 * `--only` names a section; `--markdown` prints Markdown tables. The other options are for single sections: `--rounds`
 * is the number of rounds, and `--waterfall` prints a timeline in place of a table.
 */
export const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    markdown: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    waterfall: { type: 'boolean' },
  },
})

/**
 * Measures all sections in order, or only the selected section, and prints the results.
 *
 * @param {Record<string, () => Promise<{ title: string, body: string, version?: string }>>} sections `version` is the
 *   version of the browser, if the section ran in a browser.
 * @param {{ rounds?: string[], waterfall?: string[] }} [ofSections] The sections that have an option of their own.
 */
export async function run(sections, ofSections = {}) {
  const names = Object.keys(sections)
  if (options.only && !names.includes(options.only))
    refuse(`--only ${options.only}: there is ${names.join(', ')}`)
  for (const name of ['rounds', 'waterfall']) {
    const having = ofSections[name] ?? []
    if (options[name] === undefined || having.includes(options.only)) continue
    refuse(`--${name}: ${having.length ? `only with --only ${having.join(' or ')}` : 'unknown'}`)
  }
  if (options.rounds !== undefined && !(Number(options.rounds) >= 1))
    refuse(`--rounds ${options.rounds}: not a number`)
  const measured = []
  for (const name of options.only ? [options.only] : names) {
    progress(name)
    measured.push(await sections[name]())
  }
  progress('')
  const heading = options.markdown ? '### ' : ''
  const version = measured.find((section) => section.version)?.version
  console.log(`${describeMachine(version)}\n`)
  for (const { title, body } of measured) console.log(`${heading}${title}\n\n${body}\n`)
}

function refuse(why) {
  console.error(why)
  process.exit(2)
}

/** Prints progress to standard error, separate from the tables. */
export function progress(what) {
  if (what) console.error(`${String(Math.round(performance.now() / 1000)).padStart(4)} s  ${what}`)
  else console.error()
}
