/**
 * Measures how well the package's documents guide a coding assistant. You start the assistant yourself.
 *
 *   node tests/assistants/run.mjs create <task> <folder> [--port N]   writes the app and TASK.md, and installs the package
 *   node tests/assistants/run.mjs serve <task> [--port N]             starts provider and APIs, for the assistant
 *   node tests/assistants/run.mjs check <task> <folder> [--port N]    builds and serves the app, and signs in to it
 *
 * The app is at port N (default 5601), and the servers are at the next three. `check` starts them itself, so end `serve`
 * first.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { bundleConfig } from './config.mjs'
import { npm, pack, root } from '../packaging/tarball.mjs'
import { startApi } from '../support/api.mjs'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { collect, record, search } from '../support/leak.mjs'
import { listen } from '../support/listen.mjs'
import { sendJson } from '../support/responses.mjs'
import { startServers } from '../support/servers.mjs'
import { SECOND_AUDIENCE, TASKS } from './tasks.mjs'

const run = promisify(execFile)

/** The milliseconds that a page may take until it shows something. */
const PATIENCE = 20_000

const { values, positionals } = parseArgs({
  options: { port: { type: 'string', default: '5601' } },
  allowPositionals: true,
})
const [command, name, given] = positionals
const task = TASKS[name]
if (!task) throw new Error(`there is no task ${name}, only ${Object.keys(TASKS).join(', ')}`)
const port = Number(values.port)
const addresses = {
  port,
  app: `http://localhost:${port}`,
  issuer: `http://127.0.0.1:${port + 1}`,
  api: `http://127.0.0.1:${port + 2}`,
  second: `http://127.0.0.1:${port + 3}`,
}

const COMMANDS = { create, serve, check }
if (!COMMANDS[command]) throw new Error(`there is no command ${command}, only create, serve and check`)
await COMMANDS[command](given && resolve(given))

async function create(folder) {
  await mkdir(join(folder, '..'), { recursive: true })
  await task.create(folder, addresses)
  const { path } = await pack(`${root}target/assistants`)
  await npm(folder, 'install', '--ignore-scripts')
  await npm(folder, 'install', '--ignore-scripts', path)
  const about =
    'The package is installed, and its documents are in node_modules/strongroom. Its sources are nowhere else.'
  await writeFile(`${folder}/TASK.md`, `${task.prompt(addresses)}\n\n${about}\n`)
  console.log(`  ${folder}: TASK.md says what to do`)
}

async function startWorld() {
  const servers = await startServers({
    ...task.servers(addresses),
    ports: { provider: port + 1, api: port + 2 },
    provider: { accessTokenSeconds: 600, ...task.servers(addresses).provider },
  })
  const second = await startSecond(servers)
  const apis = [servers.api.requests, ...(second ? [second.requests] : [])]
  return {
    ledger: servers.ledger,
    /** Returns the calls with a valid token that an API has received. */
    callsOf: (index) => apis[index].filter(({ claims }) => claims),
    close: async () => void (await Promise.all([servers.close(), second?.close()])),
  }
}

/** Starts the second server of the task. */
async function startSecond({ provider, api }) {
  const { app, issuer } = addresses
  if (task.second === 'profile') {
    const allowedOrigins = [app, app.replace('localhost', '127.0.0.1')]
    return startApi({ port: port + 3, issuer, provider: issuer, audience: SECOND_AUDIENCE, allowedOrigins })
  }
  if (task.second !== 'public') return undefined
  const paths = {
    '/auth-well-known-config': `${provider.issuer}/.well-known/openid-configuration`,
    '/payload': `${api.address}/v1/me`,
  }
  const server = await listen({
    port: port + 3,
    async handler({ url, headers: { authorization } }, response) {
      const address = paths[new URL(url, 'http://localhost').pathname]
      if (!address) return sendJson(response, 404, { error: 'not_found' })
      const got = await fetch(address, { headers: authorization ? { authorization } : {} })
      sendJson(response, got.status, await got.json().catch(() => ({})))
    },
  })
  return { ...server, requests: [] }
}

async function serve() {
  const world = await startWorld()
  console.log(
    `  provider ${addresses.issuer}, API ${addresses.api}, second ${addresses.second}\n  Ctrl-C ends them.`,
  )
  process.once('SIGTERM', async () => {
    await world.close()
    process.exit(0)
  })
}

async function check(folder) {
  const world = await startWorld()
  const browser = await launchBrowser()
  let server
  try {
    await run('npm', ['run', 'build'], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, CI: '1', NEXT_TELEMETRY_DISABLED: '1' },
    })
    // npm starts the server as a process of its own, so the whole group must end.
    server = spawn('npm', ['start'], { cwd: folder, stdio: 'ignore', detached: true })
    await waitUntilUp(addresses.app)
    const faults = [
      ...(await faultsOfSources(folder)),
      ...(await faultsOfDoctor(folder)),
      ...(await faultsOfLogin(browser, world)),
    ]
    for (const fault of faults) console.log(`  ✗ ${fault}`)
    if (!faults.length)
      console.log(`  ✓ ${name}: signed in, called the API, no token in the page, no ✗ of the doctor`)
    process.exitCode = faults.length ? 1 : 0
  } finally {
    if (server) process.kill(-server.pid)
    await browser.close()
    await world.close()
  }
  process.exit()
}

/** Resolves when a server responds. */
async function waitUntilUp(address) {
  const end = Date.now() + PATIENCE
  while (!(await fetch(address).catch(() => undefined))) {
    if (Date.now() > end) throw new Error(`${address} does not respond`)
    await new Promise((resume) => setTimeout(resume, 200))
  }
}

async function faultsOfSources(folder) {
  if (!task.forbidden) return []
  const paths = (await readdir(`${folder}/src`, { recursive: true })).filter((path) =>
    /\.[jt]sx?$/.test(path),
  )
  const texts = await Promise.all(
    ['package.json', ...paths.map((path) => `src/${path}`)].map(async (path) => [
      path,
      await readFile(`${folder}/${path}`, 'utf8'),
    ]),
  )
  return texts
    .filter(([, text]) => task.forbidden.test(text))
    .map(([path, text]) => `${path} still has ${task.forbidden.exec(text)[0]}`)
}

/** Returns the lines with ✗ of the package's doctor. */
async function faultsOfDoctor(folder) {
  const program = `${folder}/node_modules/strongroom/dist/doctor/index.js`
  const config = await bundleConfig(folder)
  const options = [...(config ? ['--config', config] : []), '--probe-token']
  const outcome = await run(process.execPath, [program, 'doctor', addresses.app, ...options]).catch(
    (error) => error,
  )
  const lines = outcome.stdout.split('\n').filter((line) => line.startsWith('  ✗ '))
  if (!/ ✓ /.test(outcome.stdout)) return [`the doctor has not run: ${outcome.stderr || outcome.stdout}`]
  return lines.map((line) => `doctor: ${line.slice(4)}`)
}

/** Signs in, and searches the page for each secret that the provider has issued. Returns what is wrong. */
async function faultsOfLogin(browser, world) {
  const context = await browser.newContext()
  const log = await record(context)
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  try {
    await page.goto(addresses.app)
    const button = page.getByRole('button', { name: /sign in|log in/i })
    const atProvider = page.locator('#username')
    await button.or(atProvider).first().waitFor()
    if (!(await atProvider.count())) await button.first().click()
    await giveConsent(page)
    await expectTexts(page)
    const faults = []
    for (const index of task.called ?? [0]) {
      if (!world.callsOf(index).length) faults.push(`API ${index} received no call with a valid token`)
    }
    const findings = search(await collect(page, log), world.ledger.secrets().filter(isSecret))
    faults.push(...findings.map(({ kind, place }) => `a ${kind} is in the page: ${place}`))
    await page.reload()
    await expectTexts(page)
    return faults
  } catch (error) {
    const text = await page
      .locator('body')
      .innerText()
      .catch(() => '')
    return [
      `${error.message.split('\n')[0]} at ${page.url().slice(0, 80)}; the page says: ${text.slice(0, 400)}`,
    ]
  } finally {
    await context.close()
  }
}

/** The used code is in the address of the callback, which the page's history of requests keeps. It is useless. */
function isSecret({ kind }) {
  return /token/.test(kind)
}

async function expectTexts(page) {
  if (task.click) await page.getByText(task.click, { exact: true }).first().click()
  for (const text of task.expected) await page.getByText(text).first().waitFor()
}
