/** Packs the npm package as it would be published, and installs it as its users do. */
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
export const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'

export const root = fileURLToPath(new URL('../..', import.meta.url))

// From this folder, Node finds vite, esbuild and tsc in parent folders, but never the package `strongroom`.
const workplace = `${root}target/packaging`

/**
 * Packs pkg/ into a folder.
 *
 * @param {string} [folder] Default: a folder of the test file, because several files run at the same time.
 * @returns {Promise<{ path: string, files: string[] }>} The tarball and the paths in it.
 */
export async function pack(folder = `${workplace}/packed/${basename(process.argv[1])}`) {
  await mkdir(folder, { recursive: true })
  const { stdout } = await npm(root, 'pack', './pkg', '--json', `--pack-destination=${folder}`)
  const [{ filename, files }] = Object.values(JSON.parse(stdout))
  return { path: `${folder}/${filename}`, files: files.map(({ path }) => path) }
}

/**
 * Copies a folder of fixtures/ and installs the tarball in the copy.
 *
 * @returns {Promise<string>} The copy.
 */
export async function install(fixture, tarball) {
  const project = `${workplace}/${fixture}`
  await rm(project, { recursive: true, force: true })
  await cp(new URL(`fixtures/${fixture}`, import.meta.url), project, { recursive: true })
  await npm(project, 'install', '--no-save', '--no-package-lock', '--offline', '--ignore-scripts', tarball)
  return project
}

/**
 * Puts the tarball's package into a project whose other packages are installed from a lockfile. `npm install` would ask
 * the registry about all of them.
 */
export async function unpack(project, tarball) {
  const folder = `${project}/node_modules/strongroom`
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1'])
}

/** Runs Node in `folder`. Resolves with the output, or rejects if Node fails. */
export function node(folder, ...args) {
  return run(process.execPath, args, { cwd: folder })
}

/** Runs npm in `folder`. */
export function npm(folder, ...args) {
  return run(NPM, [...args, '--no-audit', '--no-fund'], { cwd: folder, shell: process.platform === 'win32' })
}

/**
 * Installs the packages of a lockfile in another folder, unless they are already installed.
 *
 * @param {string} from The folder of package.json and package-lock.json, with a slash at its end.
 * @param {string} folder
 * @param {...string} options Options of `npm ci`.
 */
export async function installLocked(from, folder, ...options) {
  await mkdir(folder, { recursive: true })
  const lock = await readFile(`${from}package-lock.json`, 'utf8')
  const copy = `${folder}/node_modules/of-lock.json`
  if ((await readFile(copy, 'utf8').catch(() => '')) === lock) return
  for (const file of ['package.json', 'package-lock.json']) await copyFile(from + file, `${folder}/${file}`)
  await npm(folder, 'ci', '--ignore-scripts', ...options)
  await writeFile(copy, lock)
}
