import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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

/** Runs `strongroom doctor --json`. Resolves with its report, whose lines are also in `by` by their names. */
export const doctor = async (url, ...args) => {
  const { status, stdout, stderr } = await strongroom(['doctor', url, '--json', ...args])
  if (!stdout) throw new Error(`the doctor printed no report: ${stderr}`)
  const report = JSON.parse(stdout)
  return { ...report, status, by: Object.fromEntries(report.lines.map((line) => [line.id, line])) }
}

let folder
let files = 0

/** Writes a file for `--config`, and resolves with its path. */
export const configFile = async (content, name = 'strongroom.json') => {
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), 'strongroom-doctor-'))
    process.once('exit', () => rmSync(folder, { recursive: true }))
  }
  const path = join(folder, `${files++}-${name}`)
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
