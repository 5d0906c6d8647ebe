/** Installs servers from their lockfiles, and starts them as processes. */
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installTools, pathFor, reasonToSkip } from '../packaging/matrix.mjs'
import { npm, root } from '../packaging/tarball.mjs'
import { startServer } from '../support/edge/child.mjs'

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
 * Starts a server as a process, in a new folder for its data. The environment has `SETUP`, which is JSON, and `FOLDER`.
 * The server's first line on standard output is JSON with its port.
 */
export async function startProcess(program, file, setup) {
  const data = await mkdtemp(`${workplace}/data-`)
  const remove = () => rm(data, { recursive: true, force: true, maxRetries: 5 })
  const options = { cwd: dirname(file), env: { SETUP: JSON.stringify(setup), FOLDER: data } }
  const server = await startServer(program, [file], options).catch(async (error) => {
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
