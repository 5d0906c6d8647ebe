import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/**
 * Installs the packages of a folder's lockfile, unless they are there in the locked versions. npm writes its list of what
 * is installed last, so an interrupted installation is repeated.
 *
 * @param {URL} folder
 */
export async function installLocked(folder) {
  const [wanted, installed] = await Promise.all(
    ['package-lock.json', 'node_modules/.package-lock.json'].map((file) =>
      readFile(new URL(file, folder), 'utf8').then(JSON.parse, () => undefined),
    ),
  )
  const isThere = ([path, { version, optional }]) =>
    path === '' || optional || installed?.packages[path]?.version === version
  if (Object.entries(wanted.packages).every(isThere)) return
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const options = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  await promisify(execFile)(npm, options, { cwd: fileURLToPath(folder) })
}
