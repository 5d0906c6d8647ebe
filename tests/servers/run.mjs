/**
 * Starts real authorization servers, takes all steps with a vault in Chromium and with a token handler, and prints a
 * table of steps and servers.
 *
 *   node tests/servers/run.mjs [--lock] [<name> …]
 *
 * With names, runs only the servers whose names contain one of them. Without, also writes the table to
 * docs/providers/README.md, unless a step failed. With `--lock`, writes the lockfiles again instead.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { launchBrowser } from '../support/browser.mjs'
import { Missing, writeLock } from './install.mjs'
import { SERVERS } from './list.mjs'

const DOCUMENT = new URL('../../docs/providers/README.md', import.meta.url)

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
  const date = new Date()
  // These modules import the built package, which the lockfiles do not need.
  const { KINDS, runServer, STEPS } = await import('./driver.mjs')
  const { skippedList, stepsTable, write } = await import('./table.mjs')
  const browser = await launchBrowser()
  const results = []
  try {
    for (const server of servers) {
      const result = { name: server.name, cells: {} }
      results.push(result)
      for (const kind of KINDS) {
        const run = () => runServer(server, kind, browser)
        const { cells, ...facts } = await outcomeOf(`${server.name}, ${kind}`, run, STEPS.length)
        Object.assign(result, facts)
        result.cells[kind] = cells
        if (facts.skipped) break
      }
    }
  } finally {
    await browser.close()
  }
  console.log(`\n${stepsTable(results)}\n${skippedList(results)}`)
  if (servers === SERVERS && !process.exitCode) await write(DOCUMENT, results, date)
}

/** Runs a server with this many steps, and prints how it went. Resolves with facts for the table. */
async function outcomeOf(name, run, steps) {
  console.log(`  … ${name}`)
  // The driver moves the other clocks.
  const start = process.hrtime.bigint()
  const { error, cells, ...facts } = await run().catch((error) => ({ error, cells: [] }))
  if (error instanceof Missing) {
    console.log(`  - ${name}  skipped: ${error.message}`)
    return { skipped: error.message, cells }
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  console.log(`  ${error ? '✗' : '✓'} ${name}  ${seconds.toFixed(1)} s`)
  if (error) {
    console.error(`${error.message}\n${error.stack.slice(-4000)}`)
    if (cells.length < steps) cells.push('FAILED')
    process.exitCode = 1
  }
  return { ...facts, cells }
}
