/**
 * Apps made with frameworks whose tools need Node 24. Each app is a project that has the files of its guide, and the packed
 * package. The framework's own tools build, check and start the app, with a Node of their own if this one is older.
 */
import { execFile } from 'node:child_process'
import { cp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installLocked, pack, root, unpack } from '../../packaging/tarball.mjs'
import { freePort } from '../listen.mjs'
import { writeGuide } from './guide.mjs'
import { serveNode } from './frameworks.mjs'

const run = promisify(execFile)
const fixtures = fileURLToPath(new URL('../../edge/node24/', import.meta.url))
/** The folder of the projects. See `workplace` in frameworks.mjs. */
const workplace = `${root}target/node24`
const tools = `${workplace}/node_modules`

const isEnough = Number(process.versions.node.split('.')[0]) >= 24
const node24 = isEnough ? process.execPath : `${tools}/node-linux-${process.arch}/bin/node`

/** Installs the frameworks, unless they are already installed, and packs the package. Resolves with the tarball. */
export async function prepare() {
  await installLocked(fixtures, workplace)
  return (await pack(workplace)).path
}

/** Runs a framework's tool in a project, without reports to its maker. */
const tool = (folder, ...args) =>
  run(node24, args, { cwd: folder, env: { ...process.env, NUXT_TELEMETRY_DISABLED: '1', NO_COLOR: '1' } })

/** The guide of each framework, and the commands that build and start the app. */
const FRAMEWORKS = {
  'react-router': {
    guide: 'react-router-server',
    async build(folder) {
      const reactRouter = `${tools}/@react-router/dev/bin.cjs`
      await tool(folder, reactRouter, 'typegen')
      await tool(folder, `${tools}/typescript/bin/tsc`)
      await tool(folder, reactRouter, 'build')
    },
    start: [`${tools}/@react-router/serve/bin.cjs`, 'build/server/index.js'],
    isReady: /react-router-serve/,
  },
  'tanstack-start': {
    guide: 'tanstack-start',
    async build(folder) {
      await tool(folder, `${tools}/vite/bin/vite.js`, 'build')
      await tool(folder, `${tools}/typescript/bin/tsc`)
    },
    start: [`${tools}/srvx/bin/srvx.mjs`, '--prod', '-s', '../client', 'dist/server/server.js'],
    isReady: /Listening on/,
  },
  nuxt: {
    guide: 'nuxt',
    async build(folder) {
      await tool(folder, `${tools}/nuxt/bin/nuxt.mjs`, 'build')
      await tool(folder, `${tools}/typescript/bin/tsc`, '-p', '.nuxt/tsconfig.server.json')
    },
    start: ['.output/server/index.mjs'],
    isReady: /Listening on/,
  },
}

export const names = Object.keys(FRAMEWORKS)

const builds = new Map()

/** Builds an app, unless it is already built. Resolves with its folder. */
const built = (name, tarball) => {
  if (!builds.has(name)) builds.set(name, buildApp(name, tarball))
  return builds.get(name)
}

async function buildApp(name, tarball) {
  const folder = `${workplace}/${name}`
  await rm(folder, { recursive: true, force: true })
  await cp(fixtures + name, folder, { recursive: true })
  await writeGuide(folder, FRAMEWORKS[name].guide)
  await unpack(folder, tarball)
  await FRAMEWORKS[name].build(folder)
  return folder
}

/** Returns a framework as a platform of `startEdgeSite()`. */
export const framework = (name, tarball) => ({
  async start({ env, port }) {
    const folder = await built(name, tarball)
    const { start, isReady } = FRAMEWORKS[name]
    port ??= await freePort()
    const own = { PORT: `${port}`, ORIGIN: `http://localhost:${port}` }
    return serveNode(folder, start, { ...env, ...own }, isReady, node24)
  },
})
