// Soaks the token handler: signed-in visitors send requests while one part after the other fails. Prints a table, and ends
// with status 1 if a session is lost, or a response is wrong.
import { mkdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { FAULTS } from './faults.mjs'
import { readLines } from './kept.mjs'
import { Load } from './load.mjs'
import { soakTable, rowOf, writeTable } from './table.mjs'
import { RECOVERY, reasons, windowOf, wrongResponses } from './verdict.mjs'
import { startWorld } from './world.mjs'

/** The shortest pause after a fault, in seconds. */
const PAUSE = 15

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    rate: { type: 'string', default: '100' },
    sessions: { type: 'string', default: '60' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
})
const [minutes, rate, sessions] = [values.minutes, values.rate, values.sessions].map(Number)
if (![minutes, rate, sessions].every((number) => number > 0)) {
  throw new Error('--minutes, --rate and --sessions are numbers above 0')
}
const folder = fileURLToPath(new URL('../../target/soak', import.meta.url))

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Returns the faults, as often as they fit into the time, and the pause after each, in seconds. */
function schedule() {
  const chosen = FAULTS.filter(({ name }) => name.includes(values.only))
  if (!chosen.length) throw new Error(`no fault has ${values.only} in its name`)
  const length = chosen.reduce((sum, { seconds }) => sum + seconds, 0)
  const rounds = Math.max(1, Math.floor((minutes * 60) / (length + PAUSE * chosen.length)))
  const left = minutes * 60 - rounds * length
  return {
    faults: Array(rounds).fill(chosen).flat(),
    pause: Math.max(PAUSE, left / (rounds * chosen.length)),
  }
}

/** Runs the faults. Resolves with their windows. */
async function fail(world, load, { faults, pause }) {
  const windows = []
  await sleep(pause / 2)
  for (const fault of faults) {
    const start = Date.now()
    await fault.begin(world)
    await sleep(fault.seconds)
    await fault.end(world)
    const window = { fault, start, end: Date.now() }
    windows.push(window)
    await sleep(pause)
    print(window, load.exchanges)
  }
  return windows
}

/** Prints the line of a fault, and what was wrong since it began. */
function print(window, exchanges) {
  const own = exchanges.filter((exchange) => windowOf([window], exchange))
  const [name, length, requests, ok, ...failed] = rowOf(window.fault.name, [window], own)
  const [busy, bad, refused, longest, after] = failed
  console.log(
    `  ${name}: ${length} s, ${requests} requests, ${ok} ok, ${busy} × 503, ${bad} × 502, ${refused} × 401, longest ${longest}, recovered after ${after}`,
  )
  const since = exchanges.filter(({ received }) => received >= window.start)
  for (const reason of wrongResponses(since, [window])) console.log(`  ✗ ${reason}`)
}

const planned = schedule()
// The processes end with this one.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
await rm(folder, { recursive: true, force: true })
await mkdir(folder, { recursive: true })
const world = await startWorld(folder)
let run
try {
  const load = await Load.of(sessions, world.place)
  load.start(rate)
  const { faults, pause } = planned
  console.log(`${sessions} sessions; ${faults.length} faults, and ${pause.toFixed(0)} s after each`)
  const windows = await fail(world, load, planned)
  await load.stop()
  await load.callOnce()
  const refreshes = readLines(world.ledger).filter(
    ({ grant, type }) => type === 'token_request' && grant === 'refresh_token',
  )
  run = { exchanges: load.exchanges, windows, refreshes, lost: load.lost, sessions }
} finally {
  await world.stop()
}
const table = soakTable(run)
console.log(`\n${table}\n`)
console.log(`The API accepted ${world.api.counts.accepted} tokens and refused ${world.api.counts.refused}.`)
const found = reasons(run)
for (const reason of found) console.log(`✗ ${reason}`)
if (found.length) process.exit(1)
console.log(`✓ no session was lost, and 503 came only in an outage and for ${RECOVERY / 1000} s after it`)
if (values.write) await writeTable(table)
process.exit()
