/**
 * Starts real authorization servers, signs in to each with a vault in Chromium and with a token handler, and prints a
 * table of servers and steps.
 *
 *   node tests/servers/run.mjs [--lock] [<name> …]
 *
 * With names, runs only the servers whose names contain one of them. With `--lock`, writes the lockfiles again instead.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { launchBrowser } from '../support/browser.mjs'
import { markdownTable } from '../support/report.mjs'
import { Missing, writeLock } from './install.mjs'
import { SERVERS } from './list.mjs'

const { values, positionals } = parseArgs({ options: { lock: { type: 'boolean' } }, allowPositionals: true })

if (values.lock) {
  const here = new URL('.', import.meta.url)
  for (const entry of await readdir(here, { withFileTypes: true })) {
    if (existsSync(new URL(`${entry.name}/package.json`, here))) await writeLock(entry.name)
  }
} else await runAll(chosen(positionals))

/** Returns the servers whose names contain one of these names, or all servers. */
function chosen(names) {
  const isChosen = ({ name }) => names.some((part) => name.toLowerCase().includes(part.toLowerCase()))
  const found = names.length ? SERVERS.filter(isChosen) : SERVERS
  if (found.length) return found
  const known = SERVERS.map(({ name }) => name).join(', ')
  throw new Error(`no server is named ${names.join(' or ')}, only ${known}`)
}

async function runAll(servers) {
  // The driver imports the built package, which the lockfiles do not need.
  const { KINDS, runServer, STEPS } = await import('./driver.mjs')
  const browser = await launchBrowser()
  const rows = []
  try {
    for (const server of servers) {
      for (const kind of KINDS) {
        const run = () => runServer(server, kind, browser)
        rows.push([server.name, kind, ...(await cells(`${server.name}, ${kind}`, run, STEPS.length))])
      }
    }
  } finally {
    await browser.close()
  }
  console.log(`\n${markdownTable([['server', 'through', ...STEPS.map(({ name }) => name)], ...rows])}`)
}

/** Resolves with the cells of a row of this many steps. */
async function cells(name, run, steps) {
  console.log(`  … ${name}`)
  // The driver moves the other clocks.
  const start = process.hrtime.bigint()
  const outcome = await run().catch((error) => ({ error, cells: [] }))
  const row = Array.from({ length: steps }, (_none, i) => outcome.cells[i] ?? '')
  const { error } = outcome
  if (error instanceof Missing) {
    console.log(`  - ${name}  skipped: ${error.message}`)
    return [`skipped: ${error.message}`, ...row.slice(1)]
  }
  console.log(
    `  ${error ? '✗' : '✓'} ${name}  ${(Number(process.hrtime.bigint() - start) / 1e9).toFixed(1)} s`,
  )
  if (error) {
    console.error(`${error.message}\n${error.stack.slice(-4000)}`)
    if (outcome.cells.length < steps) row[outcome.cells.length] = 'FAILED'
    process.exitCode = 1
  }
  return row
}
