/** An app with the token handler in Playwright, without a provider, as docs/testing-your-app.md shows. */
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { ARGS, findProgram } from '../support/browser.mjs'
import { freePort } from '../support/listen.mjs'
import { readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/testing-your-app.md')

/** The guide's files. */
const FILES = {
  'handler.config.ts': guide.block('// handler.config.ts'),
  'playwright.config.ts': guide.block('// playwright.config.ts, with a token handler'),
  'e2e/signed-in.spec.ts': guide.block('// e2e/signed-in.spec.ts'),
}

/** An app whose page greets the user. */
const SERVER = `
import { createServer } from 'node:http'
import { createTokenHandler } from 'strongroom/edge'
import { toNodeListener } from 'strongroom/edge/node'
import { config } from './handler.config'

const handler = createTokenHandler(config)
const home = async (request) => {
  const session = await handler.session(request, process.env)
  const headers = { 'content-type': 'text/html' }
  return new Response('<p>Hello, ' + (session?.claims.name ?? 'stranger'), { headers })
}
const serve = async (request) => (await handler.handle(request, process.env)) ?? home(request)
createServer(toNodeListener(serve)).listen(3000)
`

/** Writes the app into a project. */
async function create(tarball, change) {
  const project = await createProject('react-router', tarball)
  const launchOptions = JSON.stringify({ executablePath: findProgram('chromium'), args: ARGS })
  const port = await freePort()
  const adapt = ([path, text]) => [
    path,
    change(text).replaceAll('3000', port).replace('use: {', `use: { launchOptions: ${launchOptions},`),
  ]
  await write(project, Object.fromEntries(Object.entries({ ...FILES, 'server.js': SERVER }).map(adapt)))
  const manifest = JSON.parse(await readFile(`${project}/package.json`, 'utf8'))
  const scripts = { start: 'node built.mjs' }
  await write(project, { 'package.json': JSON.stringify({ ...manifest, scripts }) })
  const common = { absWorkingDir: project, bundle: true, format: 'esm', platform: 'node' }
  await build({ ...common, entryPoints: ['server.js'], outfile: 'built.mjs' })
  return project
}

/** Runs the guide's test with the guide's configuration, but with the browser and a free port of this machine. */
async function runTest({ tarball }, change = (text) => text) {
  const project = await create(tarball, change)
  await runScript(project, 'node_modules/@playwright/test/cli.js', ['test', '--workers=1', '--reporter=line'])
  return versionOf(project, '@playwright/test')
}

const NODE_TYPES = 'declare const process: { env: Record<string, string | undefined> }'

async function checkFiles({ tarball }) {
  const project = await createProject('react-router', tarball)
  const files = { ...FILES, 'node.d.ts': NODE_TYPES }
  await write(project, files)
  return checkTypes(project, Object.keys(files))
}

export const RECIPES = [
  { name: 'Playwright with a token handler', run: (tools) => runTest(tools) },
  {
    name: 'Playwright with a token handler that has other keys',
    fails: /element\(s\) not found/,
    run: (tools) =>
      runTest(tools, (text) => text.replace('COOKIE_KEYS: process.env.TEST_KEYS', 'COOKIE_KEYS: testKeys()')),
  },
  { name: 'Playwright with a token handler, types', run: checkFiles },
]
