/** Installs servers from their lockfiles, and starts them as processes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installTools, pathFor, reasonToSkip } from '../packaging/matrix.mjs'
import { npm, root } from '../packaging/tarball.mjs'
import { startServer } from '../support/edge/child.mjs'

const run = promisify(execFile)

const fixtures = fileURLToPath(new URL('.', import.meta.url))

export const workplace = `${root}target/servers`

/** Copies a server's folder, and installs its packages unless they are installed already. Resolves with the copy. */
export async function install(name) {
  const folder = `${workplace}/${name}`
  await mkdir(folder, { recursive: true })
  await cp(fixtures + name, folder, { recursive: true })
  await copyFile(`${fixtures}setup.mjs`, `${folder}/setup.mjs`)
  if (!existsSync(`${folder}/node_modules`)) console.log(`    installing ${name}`)
  await installTools(folder)
  return folder
}

/** Resolves with the installed version of a server's package. */
export async function versionOf(name, packageName) {
  const file = `${workplace}/${name}/node_modules/${packageName}/package.json`
  return JSON.parse(await readFile(file, 'utf8')).version
}

/**
 * Installs a server and starts it.
 *
 * @param {string} name The server's folder.
 * @param {object} setup What the server must know.
 * @param {{ packageName: string, node?: number }} options `packageName`: the package whose version is the server's.
 *   `node`: the major version of Node that the server needs, if 20 is too old.
 */
export async function startInstalled(name, setup, { packageName, node }) {
  const reason = await reasonToSkip({ node })
  if (reason) throw new Missing(reason)
  const folder = await install(name)
  const [first] = (await pathFor({ name, node })).split(delimiter)
  const program = node > Number.parseInt(process.versions.node) ? `${first}/node` : process.execPath
  const started = await startProcess(program, `${folder}/server.mjs`, setup)
  return { ...started, version: await versionOf(name, packageName) }
}

/**
 * Installs a server and starts it, with the packages that requirements.txt in its folder names with their digests.
 *
 * @param {string} name The server's folder.
 * @param {object} setup What the server must know.
 * @param {{ packageName: string }} options The package whose version is the server's.
 */
export async function startPython(name, setup, { packageName }) {
  const requirements = await readFile(`${fixtures}${name}/requirements.txt`, 'utf8')
  const python = await installPython(name, requirements)
  const started = await startProcess(python, `${fixtures}${name}/server.py`, setup)
  const [version] = requirements.split(`\n${packageName}==`)[1].split(' ')
  return { ...started, version }
}

/** Installs these packages in a virtual environment. Resolves with the path of Python. */
async function installPython(name, requirements) {
  const folder = `${workplace}/${name}/venv`
  const python = `${folder}/bin/python`
  const mark = `${folder}/installed.txt`
  if ((await readFile(mark, 'utf8').catch(() => '')) === requirements) return python
  console.log(`    installing ${name}`)
  await run('python3', ['-m', 'venv', '--clear', folder]).catch((error) => {
    throw new Missing(
      `it needs python3 with the module venv, and \`python3 -m venv\` failed: ${error.message}`,
    )
  })
  const options = ['--quiet', '--require-hashes', '--only-binary=:all:', '--disable-pip-version-check']
  await run(python, ['-m', 'pip', 'install', ...options, '-r', `${fixtures}${name}/requirements.txt`])
  await writeFile(mark, requirements)
  return python
}

/**
 * Builds the Go module in a server's folder, and starts it.
 *
 * @param {string} name The server's folder.
 * @param {object} setup What the server must know.
 * @param {{ moduleName: string }} options The module whose version is the server's.
 */
export async function startGo(name, setup, { moduleName }) {
  const folder = `${workplace}/${name}`
  const program = `${folder}/server`
  if (!existsSync(program)) console.log(`    building ${name}`)
  await mkdir(folder, { recursive: true })
  await run('go', ['build', '-o', program, '.'], { cwd: fixtures + name }).catch((error) => {
    const isMissing = error.code === 'ENOENT' || error.stderr.includes('requires go >=')
    throw isMissing ? new Missing(`it needs Go, and \`go build\` failed: ${error.message}`) : error
  })
  const [version] = (await readFile(`${fixtures}${name}/go.mod`, 'utf8'))
    .split(`${moduleName} v`)[1]
    .split(/\s/)
  return { ...(await startProcess(program, undefined, setup)), version }
}

/**
 * Starts a server as a process, in a new folder for its data. The environment has `SETUP`, which is JSON, and `FOLDER`.
 * The server's first line on standard output is JSON with its port.
 *
 * @param {string} program
 * @param {string | undefined} file The script, if the program is an interpreter.
 * @param {object} setup
 */
export async function startProcess(program, file, setup) {
  const data = await mkdtemp(`${workplace}/data-`)
  const remove = () => rm(data, { recursive: true, force: true, maxRetries: 5 })
  const options = { cwd: dirname(file ?? program), env: { SETUP: JSON.stringify(setup), FOLDER: data } }
  const server = await startServer(program, file ? [file] : [], options).catch(async (error) => {
    await remove()
    throw error
  })
  return {
    origin: `http://127.0.0.1:${server.said.port}`,
    async stop() {
      await server.stop()
      await remove()
    },
  }
}

/** A program that this machine lacks, so that a server cannot run. The message is a sentence for a person. */
export class Missing extends Error {}

/** Writes the lockfile of a server. */
export async function writeLock(name) {
  const folder = `${workplace}/lock-${name}`
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await copyFile(`${fixtures}${name}/package.json`, `${folder}/package.json`)
  await npm(folder, 'install', '--package-lock-only', '--ignore-scripts')
  await copyFile(`${folder}/package-lock.json`, `${fixtures}${name}/package-lock.json`)
}
