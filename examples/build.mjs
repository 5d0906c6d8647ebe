/**
 * Builds the examples with the packed npm package, in copies below target/examples.
 *
 *   node examples/build.mjs [--check] [--lock] [<name> …]
 *
 * With `--check`, a browser signs in to each built example at the demo's provider, calls the API and signs out. No error
 * may be unhandled, even if a sign-in fails. `strongroom doctor` of the packed package must find no fault in what is
 * served. With `--lock`, the lockfiles are written again instead.
 */
import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { extname, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { build as bundle } from 'esbuild'
import { npm, pack, root, unpack } from '../tests/packaging/tarball.mjs'
import { giveConsent } from '../tests/support/app.mjs'
import { launchBrowser } from '../tests/support/browser.mjs'
import { start as startProgram } from '../tests/support/edge/child.mjs'
import { freePort, listen } from '../tests/support/listen.mjs'
import { startServers } from '../tests/support/servers.mjs'
import { TYPES } from '../tests/support/site.mjs'
import { PORTS } from '../www/build.mjs'

const run = promisify(execFile)
const source = fileURLToPath(new URL('.', import.meta.url))
const work = `${root}target/examples`

const NAMES = ['react-vite', 'react-router', 'vue-vite', 'sveltekit', 'angular', 'next']

/** The servers of examples, and the line that each prints when it is ready. The preview has the headers of `viteHeaders()`. */
const PREVIEW = { script: 'vite/bin/vite.js', args: ['preview', '--strictPort', '--host'], ready: 'Local' }
const SERVERS = {
  'react-vite': PREVIEW,
  'react-router': PREVIEW,
  'vue-vite': PREVIEW,
  sveltekit: PREVIEW,
  next: { script: 'next/dist/bin/next', args: ['start', '-H'], ready: 'Ready' },
}

/** The configuration of each example, which the doctor compares with what is served. */
const CONFIG = {
  'react-vite': 'src/auth.config.ts',
  'react-router': 'src/auth.config.ts',
  'vue-vite': 'src/auth.config.ts',
  sveltekit: 'src/lib/auth.config.ts',
  next: 'auth.config.ts',
}

/** The worker's file of examples whose headers name only its folder: the built files, their path, and the file's name. */
const WORKERS = {
  sveltekit: { output: '.svelte-kit/output/client', base: '/', name: /auth\.worker-.*\.js$/ },
  next: { output: '.next/static', base: '/_next/static/', name: /turbopack-worker-.*\.js$/ },
}

/** The addresses to which the root of an example redirects. */
const HOME = { 'react-router': '/orders', angular: '/orders' }

/** An address of Angular's router that is not in the root, where relative URLs need `<base href>`. */
const NESTED = { angular: '/orders/' }

const options = { check: { type: 'boolean' }, lock: { type: 'boolean' } }
const { values, positionals } = parseArgs({ options, allowPositionals: true })
const unknown = positionals.find((name) => !NAMES.includes(name))
if (unknown) throw new Error(`there is no example ${unknown}, only ${NAMES.join(', ')}`)
const names = positionals.length ? positionals : NAMES

/**
 * Copies an example. The copy's package.json does not name strongroom, because the lockfile cannot contain the digest
 * of a package that is built from these sources.
 */
async function copy(name) {
  const folder = `${work}/${name}`
  await rm(folder, { recursive: true, force: true })
  await cp(`${source}${name}`, folder, { recursive: true })
  const { dependencies, ...manifest } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
  delete dependencies.strongroom
  await writeFile(`${folder}/package.json`, JSON.stringify({ ...manifest, dependencies }, null, 2))
  return folder
}

async function lock(name) {
  const folder = await copy(name)
  await rm(`${folder}/package-lock.json`, { force: true })
  await npm(folder, 'install', '--package-lock-only', '--ignore-scripts')
  await copyFile(`${folder}/package-lock.json`, `${source}${name}/package-lock.json`)
}

/**
 * Installs the locked packages and the packed strongroom, and builds the example for these servers, with these variables
 * of the environment.
 */
async function build(name, tarball, replaced = {}, own = {}) {
  const folder = await copy(name)
  await npm(folder, 'ci', '--ignore-scripts')
  await unpack(folder, tarball)
  for (const path of await readdir(folder, { recursive: true })) {
    if (path.startsWith('node_modules') || !/\.(tsx?|vue|json)$/.test(path)) continue
    let text = await readFile(`${folder}/${path}`, 'utf8')
    for (const [from, to] of Object.entries(replaced)) text = text.replaceAll(from, to)
    await writeFile(`${folder}/${path}`, text)
  }
  const env = { ...process.env, ...own, CI: '1', NEXT_TELEMETRY_DISABLED: '1', NG_CLI_ANALYTICS: 'false' }
  await run('npm', ['run', 'build'], { cwd: folder, env, shell: process.platform === 'win32' })
  return folder
}

/**
 * Returns the headers of a path in the Angular example: those that its own copy of strongroom/headers generates, with the
 * options of docs/frameworks.md.
 */
async function angularHeaders(folder, origin) {
  const { securityHeaders } = await import(`${folder}/node_modules/strongroom/dist/headers.js`)
  const config = JSON.parse(await readFile(`${folder}/public/strongroom/strongroom.json`, 'utf8'))
  const path = '/strongroom/standalone.js'
  const { page, worker } = securityHeaders(config, {
    origin,
    worker: path,
    base: true,
    page: { 'style-src': ["'unsafe-inline'"] },
  })
  return (pathname) => ({
    ...(pathname === path ? worker : page),
    ...(pathname === path || pathname.endsWith('.json') ? { 'Cache-Control': 'no-cache' } : {}),
  })
}

/** Serves a folder, and index.html for addresses without a file. */
function serve(folder, port, headers) {
  return listen({
    port,
    async handler({ url }, response) {
      const { pathname } = new URL(url, 'http://localhost')
      const path = extname(pathname) ? pathname : '/index.html'
      // `normalize` removes the `..` of a decoded path, so that the path stays in the folder.
      const file = folder + normalize(decodeURIComponent(path))
      const bytes = await readFile(file).catch(() => undefined)
      response.writeHead(bytes ? 200 : 404, {
        ...headers(pathname),
        'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      })
      response.end(bytes)
    },
  })
}

/** Starts an example's server on a port. Resolves with a function that stops the server. */
async function start(name, folder, port) {
  if (name === 'angular') {
    const headers = await angularHeaders(folder, `http://127.0.0.1:${port}`)
    return (await serve(`${folder}/dist`, port, headers)).close
  }
  const { script, args, ready } = SERVERS[name]
  const all = [`${folder}/node_modules/${script}`, ...args, '127.0.0.1', '--port', `${port}`]
  const { firstLine, stop } = startProgram(process.execPath, all, {
    env: { ...process.env, NO_COLOR: '1' },
    cwd: folder,
    isReady: (line) => line.includes(ready),
  })
  await firstLine
  return stop
}

/**
 * Runs `use` with a page in a new browser context. Throws if a page of the context leaves an error unhandled. Prints such
 * errors at once, because they are often the reason why `use` fails.
 */
async function withPage(browser, use) {
  const context = await browser.newContext()
  const uncaught = []
  context.on('weberror', (event) => {
    const { message } = event.error()
    uncaught.push(message)
    if (message !== 'control') console.error(`    unhandled: ${message}`)
  })
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(60_000)
    page.on('console', (message) => message.type() === 'error' && console.error(`    ${message.text()}`))
    await use(page, context)
    // Control experiment: an unhandled rejection is noticed, so earlier ones would have been noticed, too. If `evaluate`
    // fails, its error is reported, and not that of the event that then never comes.
    await Promise.all([
      context.waitForEvent('weberror', (event) => event.error().message === 'control'),
      page.evaluate(() => void Promise.reject(new Error('control'))),
    ])
    if (uncaught.length !== 1) throw new Error(`unhandled errors: ${uncaught.join(', ')}`)
  } finally {
    await context.close()
  }
}

/**
 * Signs in, waits for the API's orders, reloads the page, opens a second tab at a path, and signs out and in again in it.
 * The vault and the callback page must have nothing to warn about.
 */
const check = (browser, origin, { home = '/', path = '/' }) =>
  withPage(browser, async (page, context) => {
    const warnings = []
    page.on('console', (message) => message.text().startsWith('strongroom:') && warnings.push(message.text()))
    await page.goto(origin)
    await giveConsent(page)
    await page.waitForSelector('li')
    if (new URL(page.url()).pathname !== home) throw new Error(`the login came back to ${page.url()}`)
    if (warnings.length) throw new Error(warnings.join('\n'))
    await page.waitForSelector('h1:has-text("Orders of Alice")')
    await searchForTokens(page)
    await page.reload()
    await page.waitForSelector('li')
    const second = await context.newPage()
    second.setDefaultTimeout(60_000)
    await second.goto(origin + path)
    await second.waitForSelector('li')
    await second.click('button:has-text("Sign out")')
    for (const tab of [second, page]) {
      await tab.waitForSelector('button:has-text("Sign in")')
      if (await tab.$('li')) throw new Error('the orders are still shown after the session has ended')
    }
    // The user signs in again. The other tab notices without a navigation.
    await second.click('button:has-text("Sign in")')
    await giveConsent(second)
    for (const tab of [second, page]) await tab.waitForSelector('li')
  })

/** Searches the page for tokens, as its developer would with the inspector. */
async function searchForTokens(page) {
  const entry = `${root}pkg/dist/inspector.js`
  const { outputFiles } = await bundle({
    entryPoints: [entry],
    bundle: true,
    format: 'iife',
    write: false,
  })
  await page.evaluate(outputFiles[0].text)
  const { tokens, places } = await page.evaluate(() =>
    document.createElement('strongroom-inspector').search(),
  )
  if (tokens.length) throw new Error(`the inspector's search finds ${JSON.stringify(tokens)}`)
  const looked = places.reduce((sum, place) => sum + place.looked, 0)
  if (looked < 1000) throw new Error(`the inspector's search looked at ${looked} values only`)
}

/** Opens the app of a user who is signed in while the API cannot be reached. The page shows the failure of the call. */
const checkApiFailure = (browser, origin, { api }) =>
  withPage(browser, async (page) => {
    await page.goto(origin)
    await giveConsent(page)
    await page.waitForSelector('li')
    await api.close()
    await page.reload()
    // SvelteKit shows its own page if a `load` function fails.
    await page.waitForSelector('[role=alert]:not(:empty), h1:has-text("500")')
  })

/** Returns the options with which the doctor finds the worker's file and the configuration of a built example. */
async function optionsOf(name, folder) {
  if (!CONFIG[name]) return []
  // Not every Node reads TypeScript. This is the command that the doctor itself names then.
  const config = `${folder}/auth.config.mjs`
  await bundle({ entryPoints: [`${folder}/${CONFIG[name]}`], bundle: true, format: 'esm', outfile: config })
  return ['--config', config, ...(WORKERS[name] ? ['--worker', await workerOf(folder, WORKERS[name])] : [])]
}

async function workerOf(folder, { output, base, name }) {
  const found = (await readdir(`${folder}/${output}`, { recursive: true })).find((path) => name.test(path))
  if (found === undefined) throw new Error(`${output} has no worker's file, such as ${name}`)
  return base + found
}

/** Runs the packed doctor. Throws with its report if it finds a fault, or if it has not found the worker or the client. */
async function checkWithDoctor(name, folder, origin) {
  const program = `${folder}/node_modules/strongroom/dist/doctor/index.js`
  const options = [...(await optionsOf(name, folder)), '--probe-token']
  const { stdout } = await run(process.execPath, [program, 'doctor', origin, ...options])
  const seen = ['the worker may run WebAssembly', 'the provider knows the client', 'the pinned metadata of']
  for (const text of seen) {
    if (!stdout.includes(text)) throw new Error(`the doctor has not seen that ${text}\n${stdout}`)
  }
  const unseen = stdout.split('\n').filter((line) => line.startsWith('  ? '))
  if (unseen.length) console.log(unseen.map((line) => `    doctor: ${line.trim()}`).join('\n'))
}

/** Signs in while the provider responds with errors. Its metadata are pinned, so a login begins with a pushed request. */
async function checkLoginFailure(browser, origin, { faults }) {
  faults.add('push', { answer: { status: 503, body: 'Busy' }, times: 100 })
  await withPage(browser, async (page) => {
    await page.goto(origin)
    // A click has failed when the next one causes a request of its own.
    for (let click = 0; click < 3; click++) {
      const taken = faults.taken()
      await page.click('button:has-text("Sign in")')
      await taken
    }
  })
  // The last click may still repeat its request, so the provider stays busy until the page is closed.
  faults.clear()
}

async function buildAndCheck(name, tarball, browser) {
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const servers = await startServers({ apps: [origin], provider: { accessTokenSeconds: 600 } })
  let stop
  try {
    const replaced = {
      [`http://127.0.0.1:${PORTS.provider}`]: servers.provider.issuer,
      [`http://127.0.0.1:${PORTS.api}`]: servers.api.origin,
    }
    // The configuration of Next's server names the origin.
    const folder = await build(name, tarball, replaced, { ORIGIN: origin })
    stop = await start(name, folder, port)
    await checkWithDoctor(name, folder, origin)
    await check(browser, origin, { home: HOME[name], path: NESTED[name] })
    await checkLoginFailure(browser, origin, servers.provider)
    await checkApiFailure(browser, origin, servers)
  } finally {
    await stop?.()
    await servers.close()
  }
}

if (values.lock) for (const name of names) await lock(name)
else {
  await mkdir(work, { recursive: true })
  const { path } = await pack(work)
  const browser = values.check ? await launchBrowser() : undefined
  try {
    for (const name of names) {
      const start = performance.now()
      try {
        if (browser) await buildAndCheck(name, path, browser)
        else await build(name, path)
      } catch (error) {
        process.exitCode = 1
        console.error(`  ✗ ${name}\n${`${error.stdout ?? ''}${error.stderr ?? error.stack}`.slice(-3000)}`)
        continue
      }
      const did = browser
        ? 'built; no fault found by the doctor; signed in, called the API, reloaded, signed out and in again in a second tab; failed to sign in and to call the API'
        : 'built'
      console.log(`  ✓ ${name}  ${did}  ${Math.round((performance.now() - start) / 1000)} s`)
    }
  } finally {
    await browser?.close()
  }
}
