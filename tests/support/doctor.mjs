import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { CLIENT_ID, startServers } from './servers.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)
const PROGRAM = fileURLToPath(new URL('doctor/index.js', dist))

/**
 * Runs `strongroom` with these arguments.
 *
 * @param {string[]} args
 * @returns {Promise<{ status: number, stdout: string, stderr: string }>}
 */
export const strongroom = (args, options = {}) =>
  new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [PROGRAM, ...args],
      { timeout: 60_000, ...options },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error)
        else resolve({ status: error?.code ?? 0, stdout, stderr })
      },
    )
  })

/** The doctor's functions, bundled as the program is. They expect the module in the folder above. */
const loadDoctor = async () => {
  const folder = temporaryFolder()
  const outfile = join(folder, 'doctor/examine.mjs')
  await build({
    stdin: {
      contents: `export { readCommandLine } from './command-line.js'\nexport { examine } from './examine.js'`,
      resolveDir: fileURLToPath(new URL('../../pkg/src/doctor', import.meta.url)),
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
  })
  await copyFile(new URL('strongroom_bg.wasm', dist), join(folder, 'strongroom_bg.wasm'))
  return import(pathToFileURL(outfile))
}
let loading

/**
 * Looks at a deployment as `strongroom doctor --json` does, in this process. Resolves with the report, whose lines are
 * also in `by` by their names, and with the status of the program.
 */
export const doctor = async (url, ...args) => {
  const { readCommandLine, examine } = await (loading ??= loadDoctor())
  const { text, hasFaults } = await examine(readCommandLine([url, '--json', ...args]))
  const report = JSON.parse(text)
  const by = Object.fromEntries(report.lines.map((line) => [line.id, line]))
  return { ...report, status: hasFaults ? 1 : 0, by }
}

/** Returns the names of lines that are faults, of one group or of all. */
export const faultsIn = ({ lines }, group = '') =>
  lines.filter(({ id, result }) => result === 'fault' && id.startsWith(group)).map(({ id }) => id)

/**
 * Returns the source of a regular expression for a pattern. In a pattern, SITE stands for an origin of this machine, HOST
 * for any address, and … for any text.
 */
export const escaped = (pattern) =>
  pattern
    .replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
    .replaceAll('SITE', 'http:\\/\\/[\\w.]+:\\d+')
    .replaceAll('HOST', 'http\\S+')
    .replaceAll('…', '.*')

/** Asserts that a text matches a pattern of {@link escaped}, or a regular expression. */
const assertIs = (text, expected) =>
  assert.match(text, typeof expected === 'string' ? new RegExp(`^${escaped(expected)}$`) : expected)

/** Asserts that a line is a fault, and that no other line of the group is one, except those for which `isAlso` is true. */
export const assertFault = (report, id, seen, fix, isAlso = (_id) => false, group = '') => {
  const line = report.by[id]
  assert.equal(line?.result, 'fault', JSON.stringify(report.lines))
  assertIs(line.seen, seen)
  assertIs(line.fix, fix)
  const others = faultsIn(report, group).filter((one) => one !== id && !isAlso(one))
  assert.deepEqual(others, [], 'no other line is wrong')
  assert.equal(report.status, 1)
  return line
}

let folder
let files = 0

const temporaryFolder = () => {
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), 'strongroom-doctor-'))
    process.once('exit', () => rmSync(folder, { recursive: true }))
  }
  return folder
}

/** Writes a file for `--config`, and resolves with its path. */
export const configFile = async (content, name = 'strongroom.json') => {
  const path = join(temporaryFolder(), `${files++}-${name}`)
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

/** A worker's file as a bundler writes it: the doctor reads it, and no browser runs it. */
const WORKER = 'const wasm = new URL("./strongroom_bg.wasm",import.meta.url);\n'

/**
 * Starts a deployment in which everything is right, as far as the tests' servers can be: page, worker's file, module,
 * provider and API. `config` is its configuration.
 *
 * @param {Parameters<typeof startServers>[0]} [options]
 */
export const startDeployment = async (options = {}) => {
  const servers = await startServers(options)
  const { site, provider, api } = servers
  Object.assign(site.files, {
    '/index.html': '<!doctype html><title>App</title>',
    '/auth.worker.js': WORKER,
    '/strongroom_bg.wasm': await readFile(new URL('strongroom_bg.wasm', dist)),
  })
  const config = {
    issuer: provider.issuer,
    clientId: CLIENT_ID,
    redirectUri: '/callback',
    scope: 'openid profile email offline_access orders',
    apis: [{ url: api.url, methods: ['GET', 'HEAD', 'POST', 'PUT'] }],
  }
  return { ...servers, config }
}
