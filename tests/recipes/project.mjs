/** Projects like those of users, with the packed strongroom and the tools of a fixture. */
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installTools, pathFor } from '../packaging/matrix.mjs'
import { npm, root, unpack } from '../packaging/tarball.mjs'

const run = promisify(execFile)

const fixtures = fileURLToPath(new URL('.', import.meta.url))

/** The folder of the projects, from which tools find the root's packages in parent folders. */
export const workplace = `${root}target/recipes`

/** Turns off telemetry, colors and prompts of the tools. */
const SILENT = { STORYBOOK_DISABLE_TELEMETRY: '1', NO_COLOR: '1', CI: '1' }

/** The time limit of a script in milliseconds. */
const TIME_LIMIT = 180_000

/**
 * Copies a fixture. Installs its tools from its lockfile unless they are installed already, and then the tarball.
 * Resolves with the folder.
 */
export async function createProject(fixture, tarball) {
  const folder = `${workplace}/${fixture}`
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) {
    if (name !== 'node_modules') await rm(`${folder}/${name}`, { recursive: true })
  }
  await cp(fixtures + fixture, folder, { recursive: true })
  await installTools(folder)
  await unpack(folder, tarball)
  return folder
}

/** Writes the lockfile of a fixture. */
export async function writeLock(fixture) {
  const folder = `${workplace}/lock-${fixture}`
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await copyFile(`${fixtures}${fixture}/package.json`, `${folder}/package.json`)
  await npm(folder, 'install', '--package-lock-only', '--ignore-scripts')
  await copyFile(`${folder}/package-lock.json`, `${fixtures}${fixture}/package-lock.json`)
}

/** Writes files into a project. */
export async function write(folder, files) {
  for (const [path, text] of Object.entries(files)) {
    const file = `${folder}/${path}`
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
}

/**
 * Runs a script of a package, or of the project, in a project. With `node: 24`, a Node from the registry runs it if
 * the current Node is older. Resolves with the output, and rejects with it if the script fails.
 */
export async function runScript(folder, script, args, { node, env } = {}) {
  const PATH = await pathFor({ name: script, node })
  const options = {
    cwd: folder,
    env: { ...process.env, ...SILENT, ...env, PATH },
    maxBuffer: 2 ** 26,
    timeout: TIME_LIMIT,
    killSignal: 'SIGKILL',
  }
  try {
    const { stdout, stderr } = await run('node', [script, ...args], options)
    return stdout + stderr
  } catch ({ stdout, stderr, message }) {
    throw new Error(`${script} ${args.join(' ')} failed:\n${stdout ?? ''}\n${stderr ?? message}`)
  }
}

/** Checks the types of these files with the root's TypeScript. */
export async function checkTypes(folder, files) {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: 'es2022',
    lib: ['es2023', 'dom', 'dom.iterable'],
    module: 'esnext',
    moduleResolution: 'bundler',
    allowImportingTsExtensions: true,
    jsx: 'react-jsx',
    types: [],
  }
  await write(folder, { 'tsconfig.types.json': JSON.stringify({ compilerOptions, files }) })
  await runScript(folder, `${root}node_modules/typescript/bin/tsc`, ['--project', 'tsconfig.types.json'])
  return versionOf(root, 'typescript')
}

/** Resolves with the version of a package that the project has installed. */
export async function versionOf(folder, name) {
  return JSON.parse(await readFile(`${folder}/node_modules/${name}/package.json`, 'utf8')).version
}
