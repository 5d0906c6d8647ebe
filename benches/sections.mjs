/** The command line that both benches share. */
import { parseArgs } from 'node:util'
import { describeMachine } from './machine.mjs'

/** `--only` names a section; `--markdown` prints Markdown tables. */
export const { values: options } = parseArgs({
  options: { only: { type: 'string' }, markdown: { type: 'boolean', default: false } },
})

/**
 * Measures all sections in order, or only the selected section, and prints the results.
 *
 * @param {Record<string, () => Promise<{ title: string, body: string, version?: string }>>} sections `version` is the
 *   version of the browser, if the section ran in a browser.
 */
export async function run(sections) {
  const names = Object.keys(sections)
  if (options.only && !names.includes(options.only)) {
    console.error(`--only ${options.only}: there is ${names.join(', ')}`)
    process.exit(2)
  }
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

/** Prints progress to standard error, separate from the tables. */
export function progress(what) {
  if (what) console.error(`${String(Math.round(performance.now() / 1000)).padStart(4)} s  ${what}`)
  else console.error()
}
