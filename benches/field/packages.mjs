/** The libraries, in the versions that the page names, or the newest ones. They are not dependencies of this project. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The packages of each contender other than strongroom, with the pinned versions. */
export const PINNED = {
  '@auth0/auth0-spa-js': '2.28.3',
  'oidc-client-ts': '3.5.0',
  '@axa-fr/oidc-client': '7.29.1',
  'oidc-spa': '10.2.11',
}

const FOLDER = new URL('../../target/field/packages/', import.meta.url)

const npm = (...args) =>
  promisify(execFile)(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { cwd: fileURLToPath(FOLDER) })

/** Resolves with the newest version of each package, by name. */
export async function newestVersions() {
  await mkdir(FOLDER, { recursive: true })
  const newest = async (name) => [name, (await npm('view', name, 'version')).stdout.trim()]
  return Object.fromEntries(await Promise.all(Object.keys(PINNED).map(newest)))
}

/** Installs these versions below `target`, unless they are there. Resolves with the folder. */
export async function install(versions) {
  await mkdir(FOLDER, { recursive: true })
  const isThere = async ([name, version]) => (await installedVersion(name)) === version
  if (!(await Promise.all(Object.entries(versions).map(isThere))).every(Boolean)) {
    await writeFile(new URL('package.json', FOLDER), '{ "private": true }\n')
    const wanted = Object.entries(versions).map(([name, version]) => `${name}@${version}`)
    await npm('install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted)
  }
  return fileURLToPath(FOLDER)
}

const installedVersion = (name) =>
  readFile(new URL(`node_modules/${name}/package.json`, FOLDER), 'utf8').then(
    (text) => JSON.parse(text).version,
    () => undefined,
  )
