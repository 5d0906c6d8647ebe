/**
 * Runs the scenarios of MCP's conformance suite about authorization that count for the revision 2026-07-28: with a vault
 * in Chromium, and with a token handler on Node. Prints a table. Fails if a result is not the expected one (expected.mjs).
 *
 *   node tests/mcp/run.mjs [NAME …]
 *
 * With names, runs only the scenarios whose names contain one of them. The output of each run is in target/mcp.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installLocked } from '../support/install.mjs'
import { differences, KINDS, KNOWN, RESULTS } from './expected.mjs'

const REVISION = '2026-07-28'
const root = fileURLToPath(new URL('../..', import.meta.url))
const suite = 'tests/mcp/node_modules/@modelcontextprotocol/conformance'
const logs = `${root}target/mcp`

if (!existsSync(root + suite)) console.log('  … installing the suite')
await installLocked(new URL('.', import.meta.url))
await mkdir(logs, { recursive: true })
const node = findNode()
const rows = []
for (const scenario of await chosen(process.argv.slice(2))) {
  const row = { scenario }
  for (const kind of KINDS) {
    row[kind] = await resultOf(scenario, kind)
    console.log(`  ${row[kind] === 'failed' ? '✗' : '✓'} ${scenario}, ${kind}: ${row[kind]}`)
  }
  rows.push(row)
}
console.log(`\n${table(rows)}`)
const unexpected = differences(rows)
if (unexpected.length) {
  console.error(`\nNot as in tests/mcp/expected.mjs (${logs} has the output):\n  ${unexpected.join('\n  ')}`)
  process.exitCode = 1
}

/** Returns the path of a Node that can run the suite. */
function findNode() {
  if (Number.parseInt(process.versions.node) >= 22) return process.execPath
  const own = `${root}tests/mcp/node_modules/node-linux-${process.arch}/bin/node`
  if (existsSync(own)) return own
  throw new Error(`the suite needs Node 22 or newer, and this is ${process.version}: put a newer one on PATH`)
}

async function chosen(names) {
  const file = await readFile(`${root}${suite}/requirements/${REVISION}.yaml`, 'utf8')
  const all = [...file.split('\nnot_scored:')[0].matchAll(/^ +- auth\/(\S+)$/gm)].map(([, name]) => name)
  const found = names.length ? all.filter((name) => names.some((part) => name.includes(part))) : all
  if (found.length) return found
  throw new Error(`no scenario is named ${names.join(' or ')}, only ${all.join(', ')}`)
}

async function resultOf(scenario, kind) {
  if (await passes(scenario, kind, {})) return 'passed'
  return (await passes(scenario, kind, { REGISTER: '1' })) ? 'registered' : 'failed'
}

async function passes(scenario, kind, env) {
  const program = `--import ./tests/mcp/cors.mjs ${suite}/dist/index.js client --spec-version ${REVISION}`
  const command = `exec ${process.execPath} tests/mcp/client.mjs ${kind}`
  const args = [...program.split(' '), '--scenario', `auth/${scenario}`, '--command', command]
  const options = { cwd: root, env: { ...process.env, ...env } }
  const { code = 0, stdout, stderr } = await promisify(execFile)(node, args, options).catch((error) => error)
  const text = `${stdout}${stderr}`
  await writeFile(`${logs}/${scenario}-${kind}.txt`, text)
  if (!text.includes('OVERALL:')) throw new Error(`the suite does not run ${scenario}: ${text}`)
  return code === 0 && text.includes(KNOWN[scenario]?.refuses ?? '')
}

function table(rows) {
  const count = (result) => (kind) => rows.filter((row) => row[kind] === result).length
  const lines = [
    ['scenario', 'vault', 'token handler', 'reason'],
    ['---', '---', '---', '---'],
    ...rows.map(({ scenario, vault, handler }) => [scenario, vault, handler, KNOWN[scenario]?.reason ?? '']),
    ...RESULTS.map((result) => [`all ${result}`, ...KINDS.map(count(result)), '']),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
