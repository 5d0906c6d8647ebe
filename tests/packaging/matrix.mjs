/** Builds the same small app with each bundler and framework. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, delimiter, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { start } from '../support/edge/child.mjs'
import { prepare as installFrameworks } from '../support/edge/frameworks.mjs'
import { NPM, npm, root, unpack } from './tarball.mjs'

// Stops the tools from reporting each build to their makers.
const SILENT = {
  ASTRO_TELEMETRY_DISABLED: '1',
  NEXT_TELEMETRY_DISABLED: '1',
  NG_CLI_ANALYTICS: 'false',
  NUXT_TELEMETRY_DISABLED: '1',
}

const NEXT = {
  tool: 'next',
  fixture: 'next',
  ofFrameworks: true,
  sources: 'app',
  extension: 'js',
  built: 'out',
  callback: '/callback.html',
  inline: true,
}

const fixtures = fileURLToPath(new URL('apps/', import.meta.url))

/**
 * The folder of the projects. From here, tools find the root's packages in parent folders, but never the package
 * `strongroom`.
 */
const workplace = `${root}target/packaging/apps`

/**
 * An app of the matrix.
 *
 * @typedef {object} Row
 * @property {string} name The tool, for the table.
 * @property {string} tool The package whose version the table shows.
 * @property {string} fixture A folder of apps/. If it has a lockfile, its tools are installed from it. Otherwise they
 *   are the root's, or those of tests/edge/frameworks.
 * @property {boolean} [ofFrameworks] True if the tools are those of tests/edge/frameworks.
 * @property {number} [node] The oldest major version of Node that the tool supports, if 20 is too old.
 * @property {string} [sources] The folder for the shared sources.
 * @property {'js'} [extension] The extension of the shared sources. Default: ts.
 * @property {string} [script] The script of package.json that builds the app. Default: build.
 * @property {string} [built] The folder of the built files.
 * @property {string[]} [command] For a row without `built`: the script and arguments of a development server.
 * @property {string} [callback] The file that is served at `/callback`.
 * @property {number} [pageLimit] The maximum size of the page's scripts in KB after brotli.
 * @property {boolean} [inline] True if the pages have inline scripts.
 * @property {string[]} [imports] Paths of modules that the worker imports.
 */

/** The rows of `cargo xtask test packaging`. @type {Row[]} */
export const QUICK = [
  { name: 'Vite', tool: 'vite', fixture: 'vite', built: 'dist', pageLimit: 13 },
  {
    name: 'Vite, development server',
    tool: 'vite',
    fixture: 'vite',
    command: ['vite/bin/vite.js', '--host=localhost', '--strictPort'],
  },
  { name: 'webpack', tool: 'webpack', fixture: 'webpack', built: 'dist', pageLimit: 13 },
  { name: 'esbuild', tool: 'esbuild', fixture: 'esbuild', built: 'dist', pageLimit: 13 },
]

/**
 * The commands of development servers, by the name of the row with the production build. Some servers listen on all
 * interfaces by default.
 */
const DEVELOPMENT = {
  'Next, Turbopack': ['next/dist/bin/next', 'dev', '--hostname=localhost'],
  'Next, webpack': ['next/dist/bin/next', 'dev', '--webpack', '--hostname=localhost'],
  Nuxt: ['nuxt/bin/nuxt.mjs', 'dev', '--host=localhost'],
  SvelteKit: ['vite/bin/vite.js', '--host=localhost', '--strictPort'],
  Astro: ['astro/bin/astro.mjs', 'dev'],
  Parcel: ['parcel/lib/bin.js', 'serve', 'index.html', '--host=localhost'],
  Angular: ['@angular/cli/bin/ng.js', 'serve'],
  'Angular, oldest': ['@angular/cli/bin/ng.js', 'serve'],
}

/** @type {Row[]} */
const BUILDS = [
  { ...NEXT, name: 'Next, Turbopack' },
  { ...NEXT, name: 'Next, webpack', script: 'webpack' },
  {
    name: 'esbuild without --splitting',
    tool: 'esbuild',
    fixture: 'esbuild',
    script: 'whole',
    built: 'dist',
  },
  { name: 'Rspack', tool: '@rspack/core', fixture: 'rspack', built: 'dist' },
  { name: 'Rollup', tool: 'rollup', fixture: 'rollup', built: 'dist' },
  { name: 'Parcel', tool: 'parcel', fixture: 'parcel', built: 'dist', inline: true },
  {
    name: 'Nuxt',
    tool: 'nuxt',
    fixture: 'nuxt',
    node: 22,
    sources: 'app/lib',
    built: '.output/public',
    inline: true,
  },
  {
    name: 'SvelteKit',
    tool: '@sveltejs/kit',
    fixture: 'sveltekit',
    node: 22,
    sources: 'src/lib',
    built: 'build',
    callback: '/callback.html',
    inline: true,
  },
  {
    name: 'Astro',
    tool: 'astro',
    fixture: 'astro',
    node: 22,
    sources: 'src',
    built: 'dist',
    callback: '/callback.html',
  },
  { name: 'Angular', tool: '@angular/core', fixture: 'angular', node: 22, sources: 'src', built: 'dist' },
  {
    name: 'Angular, oldest',
    tool: '@angular/core',
    fixture: 'angular-19',
    sources: 'src',
    built: 'dist',
  },
  { name: 'worker built apart', tool: 'esbuild', fixture: 'apart', built: 'dist' },
  {
    name: 'standalone worker',
    tool: 'strongroom',
    fixture: 'standalone',
    extension: 'js',
    built: 'dist',
    inline: true,
  },
  {
    name: 'import map',
    tool: 'strongroom',
    fixture: 'importmap',
    extension: 'js',
    built: 'dist',
    inline: true,
    imports: ['/strongroom/worker.js'],
  },
]

/** The other rows, for `--all`. @type {Row[]} */
export const OTHERS = [
  ...BUILDS,
  ...Object.entries(DEVELOPMENT).map(([name, command]) => {
    const row = [...QUICK, ...BUILDS].find((built) => built.name === name)
    return { ...row, name: `${name}, development server`, built: undefined, command }
  }),
]

/** Sources that all apps share. A fixture may replace them. */
const SHARED = ['app', 'auth', 'auth.worker']

/**
 * Installs tool and tarball, and builds the app.
 *
 * @param {Row} row
 * @param {string} tarball
 * @param {{ issuer: string, api: string }} servers
 * @returns {Promise<{ built: string, version: string }>}
 */
export async function buildApp(row, tarball, servers) {
  const { project, env, version } = await installApp(row, tarball, servers)
  const script = row.script ?? 'build'
  await promisify(execFile)(NPM, ['run', script], {
    cwd: project,
    env,
    shell: process.platform === 'win32',
  }).catch(({ stdout, stderr }) => {
    throw new Error(`npm run ${script} failed:\n${stdout}\n${stderr}`)
  })
  return { built: `${project}/${row.built}`, version }
}

/**
 * Starts an app's development server. Resolves with the tool's version and the folder of the app's sources when the server
 * responds.
 */
export async function startDevelopment(row, tarball, servers, port) {
  const { project, env, version } = await installApp(row, tarball, servers)
  const [command, ...args] = row.command
  const file = `${await folderOf(command, project)}/${command}`
  const node = `${(await folderOfNode(row.node)) || dirname(process.execPath)}/${basename(process.execPath)}`
  const { firstLine, end } = start(node, [file, ...args, `--port=${port}`], {
    env,
    cwd: project,
    isReady: (line) => line.includes(`:${port}`),
  })
  await firstLine
  // At this signal, servers also end the processes that they have started.
  return { version, sources: `${project}/${row.sources ?? '.'}`, stop: () => end('SIGTERM') }
}

/** Copies an app, and installs tool and tarball. */
async function installApp(row, tarball, servers) {
  if (row.ofFrameworks) await installFrameworks()
  const project = `${row.ofFrameworks ? `${root}target/frameworks` : workplace}/${row.fixture}-app`
  await writeSources(row, project, servers)
  await installTools(project)
  await unpack(project, tarball)
  const env = { ...process.env, ...SILENT, NO_COLOR: '1', PATH: await pathFor(row) }
  return { project, env, version: await versionOf(row.tool, project) }
}

/** Copies a fixture and the shared sources, with the ports of this run. Keeps the installed packages. */
async function writeSources({ fixture, sources = '.', extension = 'ts' }, project, { issuer, api }) {
  await mkdir(project, { recursive: true })
  for (const name of await readdir(project)) {
    if (name !== 'node_modules') await rm(`${project}/${name}`, { recursive: true })
  }
  await cp(fixtures + fixture, project, { recursive: true })
  const folder = `${project}/${sources}`
  await mkdir(folder, { recursive: true })
  const [issuerPort, apiPort] = [issuer, api].map((url) => `:${new URL(url).port}`)
  for (const name of [...SHARED.map((shared) => `${shared}.${extension}`), 'strongroom.json']) {
    const file = `${folder}/${name}`
    const source = [file, `${fixtures}${name.replace(/\.js$/, '.ts')}`].find(existsSync)
    if (!source) continue
    let text = await readFile(source, 'utf8')
    if (extension === 'js') {
      text = text.replaceAll("'./auth.worker.ts'", "'./auth.worker.js'").replace("'./auth'", "'./auth.js'")
    }
    await writeFile(file, text.replaceAll(':4401', issuerPort).replaceAll(':4402', apiPort))
  }
}

/**
 * Installs a project's tools from its lockfile, if it has one that has changed since. npm removes unknown files from
 * `node_modules`, so the mark is elsewhere.
 */
export async function installTools(project) {
  const lock = await readFile(`${project}/package-lock.json`, 'utf8').catch(() => null)
  const mark = `${project}-installed.json`
  const installed = await readFile(mark, 'utf8').catch(() => null)
  if (lock === null || (lock === installed && existsSync(`${project}/node_modules`))) return
  await npm(project, 'ci', '--ignore-scripts')
  await copyFile(`${project}/package-lock.json`, mark)
}

/**
 * Edits the vault's configuration in the files of a folder: in sources, or in built files, in which names and values of
 * options are the same as in the sources. Throws if no file contains `pattern`.
 *
 * @param {string} folder
 * @param {RegExp} pattern
 * @param {string} replacement
 */
export async function editConfig(folder, pattern, replacement) {
  let isEdited = false
  for (const path of await readdir(folder, { recursive: true })) {
    if (!/\.(m?js|ts|json)$/.test(path) || /(^|[/\\])(node_modules|\.\w+)[/\\]/.test(path)) continue
    const text = await readFile(`${folder}/${path}`, 'utf8')
    const edited = text.replace(pattern, replacement)
    if (edited === text) continue
    await writeFile(`${folder}/${path}`, edited)
    isEdited = true
  }
  if (!isEdited) throw new Error(`no file in ${folder} contains ${pattern}`)
}

/** Returns the version of a package as the project finds it. */
async function versionOf(tool, project) {
  const manifest = `${tool}/package.json`
  return JSON.parse(await readFile(`${await folderOf(manifest, project)}/${manifest}`, 'utf8')).version
}

/** Returns the first `node_modules` from `project` upwards that has this file. */
async function folderOf(file, project) {
  for (let folder = project; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(`${folder}/node_modules/${file}`)) return `${folder}/node_modules`
  }
  throw new Error(`${file} is not installed`)
}

/**
 * Resolves with the reason why a row cannot be built on this machine, or with `null`.
 *
 * @param {Row} row
 */
export async function reasonToSkip({ node }) {
  return (await folderOfNode(node)) === null ? missingNode(node) : null
}

/** Resolves with the `PATH` for commands. If they need a newer Node than this one, that Node is first. */
export async function pathFor({ name, node }) {
  const folder = await folderOfNode(node)
  if (folder === null) throw new Error(`${name}: ${missingNode(node)}`)
  return folder ? folder + delimiter + process.env.PATH : process.env.PATH
}

const missingNode = (node) =>
  `it needs Node ${node}, which the registry does not have for ${process.platform}-${process.arch}`

/**
 * Resolves with the folder of a Node from the registry, with an empty string if this Node is new enough, or with `null`
 * if the registry has no Node for this machine. The registry package `node` would install it with a script, so its
 * platform packages are used instead. npm installs only the one for this machine.
 */
async function folderOfNode(oldest = 20) {
  if (Number.parseInt(process.versions.node) >= oldest) return ''
  const project = `${workplace}/node`
  await mkdir(project, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) {
    await copyFile(`${fixtures}node/${file}`, `${project}/${file}`)
  }
  await installTools(project)
  const installed = await readdir(`${project}/node_modules`).catch(() => [])
  const name = installed.find((folder) => folder.startsWith('node-'))
  return name ? `${project}/node_modules/${name}/bin` : null
}
