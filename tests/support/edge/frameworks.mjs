/**
 * Apps made with frameworks. Each app consists of the files of its guide, and installs the packed tarball. The
 * framework's own tools build and start the app.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { installLocked, node, npm, pack, root } from '../../packaging/tarball.mjs'
import { ALL } from '../combinations.mjs'
import { bundle } from './bundle.mjs'
import { start } from './child.mjs'
import { writeGuide } from './guide.mjs'
import { serveWorkers, WORKERD_BUNDLING } from './workerd.mjs'
import { freePort } from '../listen.mjs'

const fixtures = fileURLToPath(new URL('../../edge/frameworks/', import.meta.url))

// Stops the frameworks from reporting each build to their makers.
Object.assign(process.env, { ASTRO_TELEMETRY_DISABLED: '1', NEXT_TELEMETRY_DISABLED: '1' })

/**
 * The folder of the projects. From here, Node finds the projects' tools in parent folders, but never the package
 * `strongroom`.
 */
const workplace = `${root}target/frameworks`
const tools = `${workplace}/node_modules`

/** Loads a framework into this process, after `prepare()`. */
export const load = createRequire(`${workplace}/`)

/**
 * Installs the frameworks, unless they are already installed, and packs the package. Resolves with the path of the
 * tarball.
 */
export async function prepare() {
  await installLocked(fixtures, workplace)
  return (await pack(workplace)).path
}

const PACKAGE = { private: true, type: 'module', dependencies: { strongroom: '*' } }

/**
 * Creates a project with the files of a guide, the other files that the framework needs, and the tarball. Resolves with
 * the folder's path.
 */
async function project(name, { guide, fixture }, tarball) {
  const folder = `${workplace}/${name.replaceAll(' ', '-')}`
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  await writeFile(`${folder}/package.json`, JSON.stringify(PACKAGE))
  if (fixture) await cp(fixtures + fixture, folder, { recursive: true })
  await writeGuide(folder, ...guide)
  await npm(folder, 'install', '--no-save', '--no-package-lock', '--offline', '--ignore-scripts', tarball)
  if (ALL) await bind(folder)
  return folder
}

/** Replaces a part of a file. */
async function replace(file, part, other) {
  const text = await readFile(file, 'utf8')
  if (!text.includes(part)) throw new Error(`${file} has no ${part}`)
  await writeFile(file, text.replace(part, other))
}

/** Lets the handler of a project bind sessions if the browser supports it: see `withBinding()`. */
async function bind(folder) {
  const file = `${folder}/${existsSync(`${folder}/auth.js`) ? 'auth.js' : 'handler.ts'}`
  await replace(
    file,
    'coordinator: inIsolate(),',
    "session: { bind: 'if-supported' }, coordinator: inIsolate(),",
  )
}

/** Starts a server in a Node process. The server reads `HOST` and `PORT`, and its output tells when it listens. */
export async function serveNode(folder, args, env, isReady, node = process.execPath) {
  const port = env.PORT ?? (await freePort())
  const { ASTRO_TELEMETRY_DISABLED, NEXT_TELEMETRY_DISABLED, PATH } = process.env
  const own = {
    ASTRO_TELEMETRY_DISABLED,
    NEXT_TELEMETRY_DISABLED,
    PATH,
    HOME: folder,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    NO_COLOR: '1',
  }
  const child = start(node, args, {
    env: { ...own, ...env },
    cwd: folder,
    isReady: (line) => isReady.test(line),
  })
  await child.firstLine
  return { urls: [`http://127.0.0.1:${port}`], stop: child.stop }
}

const next = `${tools}/next/dist/bin/next`

/** The guide's files work with and without Cache Components, which demand more of an app. */
const CACHED = '  cacheComponents: true,\n  partialPrefetching: true,'

/**
 * Returns the commands of an app with Next.js.
 *
 * @param {{ build?: string[], without: string[], pages?: string[], isSlow?: boolean }} options `build` has options of
 *   `next build`. `without` has paths that this app does not contain. If `isSlow` is true, only `--all`
 *   runs the app.
 */
const nextApp = ({ build = [], without, ...options }) => ({
  ...options,
  fixture: 'next',
  guide: ['nextjs', 'With the token handler'],
  async build(folder) {
    await replace(`${folder}/next.config.ts`, 'export default {', `export default {\n${CACHED}`)
    for (const path of without) await rm(`${folder}/${path}`, { recursive: true })
    await node(folder, next, 'build', ...build)
  },
  serve: (folder, env) => serveNode(folder, [next, 'start', '--hostname', '127.0.0.1'], env, /Ready/),
})

/** Returns the place of an app in docs/server-code.md. */
const shown = (heading) => ['server-code', 'The files of all examples', heading]

/** The guide of each framework, and the commands that build and start the app. */
const FRAMEWORKS = {
  'hono on Node': {
    guide: shown('Hono'),
    serve: (folder, env) => serveNode(folder, ['node.js'], env, /^ready$/),
  },
  'hono on workerd': {
    guide: shown('Hono'),
    async serve(folder, env) {
      const source = `export { default } from './app.js'`
      const built = await bundle({ folder, source, ...WORKERD_BUNDLING })
      return serveWorkers({ folder, ...built, env, isolates: 1, port: Number(env.PORT ?? 0) })
    },
  },
  express: {
    guide: shown('Express'),
    serve: (folder, env) => serveNode(folder, ['server.js'], env, /^ready$/),
  },
  fastify: {
    guide: shown('Fastify'),
    serve: (folder, env) => serveNode(folder, ['server.js'], env, /^ready$/),
  },
  next: nextApp({ without: ['proxy.ts', 'app/edge'] }),
  'next with webpack and a proxy': nextApp({
    build: ['--webpack'],
    without: ['app/api', 'app/edge'],
    isSlow: true,
  }),
  // Next.js does not support the Edge Runtime together with Cache Components.
  'next with the Edge Runtime': nextApp({
    pages: ['/', '/edge'],
    without: ['next.config.ts', 'proxy.ts'],
    isSlow: true,
  }),
  'express, after body parsers': {
    guide: shown('Express'),
    build: (folder) =>
      replace(`${folder}/server.js`, 'app.use(auth)', 'app.use(express.json(), express.urlencoded(), auth)'),
    serve: (folder, env) => serveNode(folder, ['server.js'], env, /^ready$/),
    isSlow: true,
  },
  sveltekit: {
    guide: shown('SvelteKit'),
    fixture: 'sveltekit',
    build: (folder) => node(folder, `${tools}/vite/bin/vite.js`, 'build'),
    serve: (folder, env) => serveNode(folder, ['build/index.js'], env, /^Listening on/),
  },
  astro: {
    guide: shown('Astro'),
    fixture: 'astro',
    build: (folder) => node(folder, `${tools}/astro/astro.js`, 'build'),
    serve: (folder, env) => serveNode(folder, ['dist/server/entry.mjs'], env, /listening on/),
  },
}

/** The frameworks, each with the paths of its pages that show the signed-in user. */
export const frameworks = Object.entries(FRAMEWORKS)
  .filter(([, { isSlow }]) => ALL || !isSlow)
  .map(([name, { pages = ['/'] }]) => ({ name, pages }))

/** Builds an app of a framework. Resolves with its folder. */
async function buildApp(name, tarball) {
  const folder = await project(name, FRAMEWORKS[name], tarball)
  await FRAMEWORKS[name].build?.(folder)
  return folder
}

/** The promises of `buildApp()`. Servers with different environments use the same build. */
const builds = new Map()

/** Returns a framework as a platform of `startApp()`, and the file with the handler's configuration, if Node reads it. */
export const framework = (name, tarball) => ({
  config: async () => (name.startsWith('next') ? undefined : `${await builds.get(name)}/auth.js`),
  async start({ env, port }) {
    const own = port ? { PORT: `${port}`, ORIGIN: `http://localhost:${port}` } : {}
    if (!builds.has(name)) builds.set(name, buildApp(name, tarball))
    return FRAMEWORKS[name].serve(await builds.get(name), { ...env, ...own })
  },
})
