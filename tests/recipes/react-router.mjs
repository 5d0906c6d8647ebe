/**
 * The app of docs/react-router.md: with a world in Playwright, as docs/testing-your-app.md shows, and, without its
 * callback page, with a real vault. `cargo xtask examples --check` runs the app as it is.
 */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { deny, giveConsent } from '../support/app.mjs'
import { ARGS, findProgram, launchBrowser } from '../support/browser.mjs'
import { start } from '../support/edge/child.mjs'
import { freePort } from '../support/listen.mjs'
import { startServers } from '../support/servers.mjs'
import { readGuide } from './guide.mjs'
import { checkTypes, createProject, runScript, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/react-router.md')
const testing = await readGuide('docs/testing-your-app.md')

const ROUTER = 'src/router.tsx'
const CONFIG = 'src/auth.config.ts'
const PINNED = 'src/auth.metadata.ts'

/** The files of the app that both of its variants have. */
const SHARED = [
  CONFIG,
  PINNED,
  'src/auth.worker.ts',
  'src/workers.ts',
  'src/queries.ts',
  ROUTER,
  'src/guarded.tsx',
  'src/orders.tsx',
  'src/main.tsx',
]

/** The files that a new app has. */
const TEMPLATE = {
  'index.html':
    '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/src/main.tsx"></script>',
  'src/env.d.ts': '/// <reference types="vite/client" />',
}

const replace = (text, part, by) => {
  if (!text.includes(part)) throw new Error(`no ${part}`)
  return text.replaceAll(part, by)
}

const app = () => ({
  ...TEMPLATE,
  ...Object.fromEntries(SHARED.map((path) => [path, guide.block(`// ${path}\n`)])),
})

/** The app in which docs/testing-your-app.md replaces `auth.ts` and `vite.config.ts`. */
const withWorld = () => ({
  ...app(),
  ...Object.fromEntries(
    ['src/auth.ts', 'src/auth.e2e.ts', 'e2e/session.spec.ts', 'playwright.config.ts', 'vite.config.ts'].map(
      (path) => [path, testing.block(`// ${path}\n`)],
    ),
  ),
})

/** Replaces text in one of the files. */
const edit = (files, path, part, by) => ({ ...files, [path]: replace(files[path], part, by) })

/** The change for React Router 7, which this page describes. */
function forOldRouter(files) {
  const option = /, (\{ future: .*?\}\s*\})\)/.exec(guide.inline('v8_middleware'))[1]
  const changed = edit(files, ROUTER, '\n])\n', `\n], ${option})\n`)
  const imports = Object.entries(changed).map(([path, text]) => [
    path,
    text.replaceAll("from 'react-router'", "from 'react-router-7'"),
  ])
  return Object.fromEntries(imports)
}

/** Runs the guide's tests with the guide's configuration, but with the browser and a free port of this machine. */
async function runWorld({ tarball }, change = (files) => files) {
  const project = await createProject('react-router', tarball)
  const launchOptions = JSON.stringify({ executablePath: findProgram('chromium'), args: ARGS })
  let files = change(withWorld())
  files = edit(files, 'playwright.config.ts', '4173', await freePort())
  files = edit(files, 'playwright.config.ts', 'use: {', `use: { launchOptions: ${launchOptions},`)
  await write(project, files)
  await runScript(project, 'node_modules/@playwright/test/cli.js', ['test', '--workers=1', '--reporter=line'])
  return versionOf(project, '@playwright/test')
}

/** Checks that only the build for tests contains the test double. */
async function checkProduction({ tarball }) {
  const project = await createProject('react-router', tarball)
  await write(project, withWorld())
  const contains = async (mode) => {
    await build(project, [`--mode=${mode}`, `--outDir=dist-${mode}`])
    const assets = `${project}/dist-${mode}/assets`
    const scripts = await Promise.all(
      (await readdir(assets)).map((name) => readFile(`${assets}/${name}`, 'latin1')),
    )
    return scripts.some((script) => script.includes('this is a test double'))
  }
  assert.deepEqual([await contains('production'), await contains('e2e')], [false, true])
  return versionOf(project, 'vite')
}

async function checkWorldTypes({ tarball }) {
  const project = await createProject('react-router', tarball)
  const files = withWorld()
  await write(project, files)
  return checkTypes(
    project,
    Object.keys(files).filter((path) => /\.tsx?$/.test(path)),
  )
}

/** Vite sets NODE_ENV, so it needs a process of its own. */
const build = (project, args = []) =>
  runScript(project, 'node_modules/vite/bin/vite.js', ['build', '--logLevel=error', ...args])

const CALLBACK_ROUTE = "path: 'callback'"

/** The variant of the guide in which the app itself is at `/callback`. */
function withoutCallbackPage({ provider, api }) {
  const route = guide.block(CALLBACK_ROUTE)
  const auth = guide.block('onReturn:', 'Without a callback page of its own')
  let files = edit(app(), ROUTER, '    children: [\n      { index', `    children: [\n${route}      { index`)
  files = edit(files, CONFIG, '  callbackPage: true, // callback.html\n', '')
  for (const path of [CONFIG, PINNED]) files = edit(files, path, 'https://id.example.com', provider.issuer)
  files = edit(files, CONFIG, "'spa'", "'my-app'")
  files = edit(files, CONFIG, "offline_access'", "offline_access orders', consent: 'always'")
  for (const path of [CONFIG, 'src/queries.ts']) {
    files = edit(files, path, 'https://api.example.com', api.origin)
  }
  return {
    ...files,
    'src/auth.ts': guide.block('// src/auth.ts\n').replace(/^export const auth = .*$/m, auth),
    'vite.config.ts': replace(
      guide.block('// vite.config.ts\n'),
      "['index.html', 'callback.html']",
      "'index.html'",
    ),
  }
}

/** Denies a login, signs in, opens the callback again, and signs out in a second tab. No page may print anything. */
async function signInAndOut(context, origin) {
  const printed = []
  const open = async (path) => {
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    page.on('console', (message) => printed.push(message.text()))
    await page.goto(origin + path)
    return page
  }
  const page = await open('/')
  await deny(page)
  await page.waitForSelector('p:has-text("You were not signed in")')
  assert.equal(new URL(page.url()).pathname, '/orders')
  await page.click('button:has-text("Sign in")')
  await giveConsent(page)
  await page.waitForSelector('li')
  assert.equal(new URL(page.url()).pathname, '/orders')
  await (await open('/nowhere')).waitForSelector('p:has-text("This page does not exist")')
  const second = await open('/callback')
  await second.waitForSelector('li')
  await second.click('button:has-text("Sign out")')
  for (const tab of [second, page]) await tab.waitForSelector('button:has-text("Sign in")')
  assert.deepEqual(printed, [])
}

/** Runs the variant under the headers of `vite preview`. */
async function runVault({ tarball }, change = (files) => files) {
  const project = await createProject('react-router', tarball)
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const servers = await startServers({ apps: [origin] })
  const browser = await launchBrowser()
  let preview
  try {
    await write(project, change(withoutCallbackPage(servers)))
    await build(project)
    const args = [
      'node_modules/vite/bin/vite.js',
      'preview',
      '--strictPort',
      '--host=127.0.0.1',
      `--port=${port}`,
    ]
    const env = { ...process.env, NO_COLOR: '1' }
    preview = start(process.execPath, args, { cwd: project, env, isReady: (line) => line.includes('Local') })
    await preview.firstLine
    await signInAndOut(await browser.newContext(), origin)
  } finally {
    await preview?.stop()
    await browser.close()
    await servers.close()
  }
  return versionOf(project, 'react-router')
}

export const RECIPES = [
  { name: 'Playwright with a world', run: (tools) => runWorld(tools) },
  { name: 'Playwright with a world, React Router 7', run: (tools) => runWorld(tools, forOldRouter) },
  {
    name: 'Playwright with a world, production mode',
    fails: /Orders of Alice/,
    run: (tools) => runWorld(tools, (files) => edit(files, 'playwright.config.ts', '--mode e2e ', '')),
  },
  {
    name: 'Playwright with a world, without testing: true',
    fails: /Orders of Alice/,
    run: (tools) =>
      runWorld(tools, (files) => edit(files, 'vite.config.ts', ", testing: mode === 'e2e'", '')),
  },
  { name: 'Playwright: only the test build has the test double', run: checkProduction },
  { name: 'Playwright with a world, types', run: checkWorldTypes },
  { name: 'React Router without a callback page', run: (tools) => runVault(tools) },
  {
    name: 'React Router without a callback page, a guarded route without a loader',
    run: (tools) =>
      runVault(tools, (files) =>
        edit(files, ROUTER, 'loader: () => queryClient.ensureQueryData(ordersQuery), ', ''),
      ),
  },
  {
    name: 'React Router without a callback page, and without its route',
    fails: /Timeout/,
    run: (tools) => runVault(tools, (files) => edit(files, ROUTER, guide.block(CALLBACK_ROUTE), '')),
  },
]
