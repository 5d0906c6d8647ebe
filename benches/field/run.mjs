/**
 * Runs failures that users of libraries reported, with strongroom and with these libraries:
 *
 *   cargo xtask field [--only eight-tabs] [--with oidc-spa] [--rounds 2] [--newest] [--why] [--write]
 *
 * `--only` and `--with` name failures and libraries, separated by commas. `--newest` takes the newest versions instead
 * of the pinned ones. `--why` prints why calls failed. `--write` writes the cells into docs/field.md.
 */
import { parseArgs } from 'node:util'
import { CONTENDERS, filesOf } from './contenders.mjs'
import { write } from './document.mjs'
import { FAILURES } from './failures.mjs'
import { install, newestVersions, PINNED } from './packages.mjs'
import { Turn } from './turn.mjs'
import { startWorld } from './world.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    with: { type: 'string' },
    rounds: { type: 'string', default: '2' },
    newest: { type: 'boolean', default: false },
    why: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})

const failures = chosen(Object.fromEntries(FAILURES.map((failure) => [failure.name, failure])), options.only)
const contenders = chosen(CONTENDERS, options.with)
const isWhole = !options.only && !options.with
const newest = await newestVersions()
const versions = options.newest ? newest : PINNED
const folder = await install(versions)
const turn = new Turn()
let browser

for (const [name, failure] of failures) {
  console.log(`\n${name}: ${failure.title}`)
  const cells = Object.fromEntries(
    await Promise.all(
      contenders.map(async ([library, contender]) => [library, await runCell(failure, library, contender)]),
    ),
  )
  if (options.write) await write({ [name]: cells }, isWhole ? facts() : undefined)
}
console.log(`\n${facts()}`)

/** Returns a line with the date and the versions. */
function facts() {
  const names = Object.values(CONTENDERS).flatMap(({ package: name }) => name ?? [])
  const list = names.map((name) => `${name} ${versions[name]} (newest: ${newest[name]})`)
  const date = new Date().toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
  return `${[date, `Chromium ${browser}`, ...list].join(', ')}.`
}

/** Returns the entries that an option names, or all. */
function chosen(all, names) {
  const find = (name) => {
    if (!all[name]) throw new Error(`${name} is not one of ${Object.keys(all).join(', ')}`)
    return [name, all[name]]
  }
  return names?.split(',').map(find) ?? Object.entries(all)
}

/** Runs one failure with one library in all rounds. Resolves with the text of its cell. */
async function runCell(failure, library, contender) {
  const seen = new Set()
  for (let round = 0; round < Number(options.rounds); round++) {
    seen.add(await runOnce(failure, contender))
  }
  const cell = [...seen].join(' *or* ')
  console.log(`  ${library}: ${cell}`)
  return cell
}

async function runOnce(failure, contender) {
  if (failure.world?.clock && !process.env.FAKETIME_LIBRARY) return '–'
  await turn.take()
  let world
  try {
    world = await startWorld(contender, await filesOf(contender, folder), turn, failure.world)
    browser = world.version
    const page = await failure.run(world)
    const { ok, of } = world.calls
    const counts = [`${ok}/${of}`, `${world.refreshes()}`]
    const session = page ? [await world.verdict(page)] : []
    if (options.why)
      for (const reason of new Set(world.reasons)) console.log(`    ${contender.page}: ${reason}`)
    return [...(of ? counts : []), ...session, ...world.seen].join(' · ')
  } catch (error) {
    console.error(`    ${contender.page}: ${error.stack}`)
    process.exitCode = 1
    return 'no result'
  } finally {
    await world?.close()
    turn.give()
  }
}
