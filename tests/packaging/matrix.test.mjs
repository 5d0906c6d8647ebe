// The same small app, built from the packed tarball by each bundler and framework. In a real browser, a user signs in,
// and the app calls an API. The session survives its worker. A second account has a worker and a session of its own. An app
// with a mistake in its configuration shows the mistake. `cargo xtask test packaging --all` builds all apps and prints a table.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { brotliCompress } from 'node:zlib'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL } from '../support/combinations.mjs'
import { freePort } from '../support/listen.mjs'
import { startServers } from '../support/servers.mjs'
import { startSite } from '../support/site.mjs'
import { buildApp, editConfig, OTHERS, QUICK, reasonToSkip, startDevelopment } from './matrix.mjs'
import { pack } from './tarball.mjs'

const time = { timeout: 600_000 }

const IS_SCRIPT = /\.m?js$/

let browser, tarball, servers, port, origin

before(async () => {
  tarball = (await pack()).path
  browser = await launchBrowser()
  port = await freePort()
  origin = `http://localhost:${port}`
  // All apps have this origin, one after the other. It belongs to the client `my-app`.
  servers = await startServers({ apps: [origin], provider: { accessTokenSeconds: 60 } })
})
after(async () => {
  await browser?.close()
  await servers?.close()
})

/** The columns of the table. */
const COLUMNS = {
  name: 'tool',
  version: 'version',
  built: 'built',
  signedIn: 'signed in',
  sealed: 'sealed',
  mistake: 'mistake',
  page: 'page KB',
  worker: 'worker KB',
  file: 'worker’s file',
}

const table = []

const addresses = () => ({ issuer: servers.provider.issuer, api: servers.api.url })

for (const row of [...QUICK, ...(ALL ? OTHERS : [])]) {
  test(`${row.name}: app signs in and calls its API`, time, async (t) => {
    const line = { name: row.name, built: 'no', signedIn: 'no', sealed: 'no', mistake: 'no' }
    table.push(line)
    const reason = await reasonToSkip(row)
    if (reason) {
      Object.assign(line, { built: `skipped, because ${reason}`, signedIn: '', sealed: '', mistake: '' })
      return t.skip(reason)
    }
    if (row.built) {
      const { built, version } = await buildApp(row, tarball, addresses())
      Object.assign(line, { version, built: 'yes' })
      const site = await serve(row, built)
      try {
        await use(line, row, site, built)
        await misspell(built)
        site.requests.length = 0
        assert.match((await open(site)).message, MISTAKE)
        assert.deepEqual(modules(site), [200])
      } finally {
        await site.close()
      }
    } else {
      const { version, sources, stop } = await startDevelopment(row, tarball, addresses(), port)
      Object.assign(line, { version, built: 'in memory' })
      try {
        await use(line, row, { origin })
        await misspell(sources)
        // The server compiles the changed file after some time.
        let shown
        do shown = await open({ origin })
        while (!shown.message)
        assert.match(shown.message, MISTAKE)
      } finally {
        await stop()
      }
    }
    line.mistake = 'yes'
  })
}

after(() => {
  const show = (cells) => console.log(`| ${cells.join(' | ')} |`)
  show(Object.values(COLUMNS))
  console.log('|---'.repeat(Object.keys(COLUMNS).length) + '|')
  for (const line of table) show(Object.keys(COLUMNS).map((column) => line[column] ?? ''))
})

test('a control: a session in memory ends with its worker', time, async () => {
  const [row] = QUICK
  const { built } = await buildApp(row, tarball, addresses())
  await editConfig(built, /(persist["']?:\s*["'`])sealed/g, '$1memory')
  const site = await serve(row, built)
  const context = await browser.newContext()
  try {
    await signIn(context, site, built)
    assert.equal((await inDedicatedWorker(context, site)).user, null)
  } finally {
    await context.close()
    await site.close()
  }
})

test('docs/bundlers.md contains the tested lines and versions', async () => {
  const guide = await readFile(new URL('../../docs/bundlers.md', import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/```\w+\n(?:\/\/|<!--) (\S+\.\w+).*\n([^]*?)```/g)]
  assert.ok(blocks.length > 8)
  // The layout of the fixtures may differ.
  const joined = (text) => text.replace(/\s+/g, '')
  for (const [, path, code] of blocks) {
    const fixture = await readFile(new URL(`apps/${path}`, import.meta.url), 'utf8')
    assert.ok(joined(fixture).includes(joined(code)), `${path}: ${code}`)
  }
  const rows = guide.matchAll(/^\| ([^|*]+?)(?: \*)? \| ([\d.]+) \| yes \|/gm)
  const versions = new Map([...rows].map(([, name, version]) => [name, version]))
  for (const { name } of [...QUICK, ...OTHERS]) assert.ok(versions.has(name), name)
  for (const { name, version, signedIn } of table) {
    if (signedIn === 'yes') assert.equal(versions.get(name), version, name)
  }
})

/** Serves a built app. All scripts have the worker's policy, which browsers ignore for scripts of pages. */
async function serve({ inline, callback = '/index.html' }, built) {
  const site = await startSite({
    port,
    roots: [built],
    routes: { '/': '/index.html', '/callback': callback },
    connectSrc: [servers.provider.issuer, servers.api.origin],
  })
  site.workers = { includes: (path) => IS_SCRIPT.test(path) }
  const scripts = inline ? "'self' 'unsafe-inline'" : "'self'"
  site.policy = (workers) =>
    `default-src 'none'; script-src ${scripts}; worker-src ${workers}; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:`
  site.pageCsp = site.policy("'self'")
  return site
}

/** Signs in, first in a shared worker, and then uses the same session in a dedicated worker. Fills cells of `line`. */
async function use(line, row, site, built) {
  const context = await browser.newContext()
  try {
    Object.assign(line, await signIn(context, site, built))
    assert.ok(!built || line.page <= (row.pageLimit ?? Infinity), `${line.page} KB`)
    // The page's policy allows only the worker's own files.
    if (built) site.pageCsp = site.policy(workerFiles(site, [line.file, ...(row.imports ?? [])]))
    assert.deepEqual(await inDedicatedWorker(context, site), { user: 'Alice Liddell', orders: 200 })
    line.sealed = 'yes'
  } finally {
    await context.close()
  }
}

const workerFiles = (site, files) =>
  files.map((file) => site.origin + new URL(file, site.origin).pathname).join(' ')

/**
 * Opens the app, signs in and calls two APIs. Without the files in `built`, it is a development server, whose worker has
 * no policy. Resolves with cells of the table.
 */
async function signIn(context, site, built) {
  const page = await context.newPage()
  const requested = scriptsOf(page)
  await page.addInitScript(recordWorkers)
  await page.goto(site.origin)
  const { scripts, ...first } = await result(page)
  const required = 'login_required'
  assert.deepEqual(first, { status: 'connected', user: null, orders: required, unlisted: required })
  const [file] = await page.evaluate(() => globalThis.workerFiles)
  const sizes = built ? await measure(site, built, requested, scripts) : {}
  await page.click('html')
  await giveConsent(page)
  await page.waitForURL(({ origin, pathname }) => origin === site.origin && pathname === '/')
  const { user, orders, unlisted } = await result(page)
  assert.deepEqual({ user, orders }, { user: 'Alice Liddell', orders: 200 })
  // Without a policy of the worker, the same request succeeds.
  assert.equal(unlisted, built ? 'TypeError' : 200)
  await connectSecond(page)
  const { pathname, hash } = new URL(file)
  return { signedIn: 'yes', file: pathname + (hash && '#…'), ...sizes }
}

/**
 * Opens the app without SharedWorker, and then reloads it. Both pages have a worker of their own, which has no session in
 * memory. Resolves with what the second page shows.
 */
async function inDedicatedWorker(context, site) {
  const page = await context.newPage()
  scriptsOf(page)
  await page.addInitScript(() => delete globalThis.SharedWorker)
  await page.goto(site.origin)
  assert.equal((await result(page)).status, 'connected')
  await page.reload()
  const { user, orders } = await result(page)
  await connectSecond(page)
  return { user, orders }
}

/** Connects the second account. If a tool drops the option `name`, this account gets the worker of the first one, and fails. */
const connectSecond = async (page) =>
  assert.equal(await page.evaluate(() => second.connect().then(({ session }) => session)), null)

/** Writes `clientID` in the configuration instead of `clientId`. */
const misspell = (folder) => editConfig(folder, /clientId(["']?:\s*["'`]my-app)/g, 'clientID$1')

/** The error message about this mistake. */
const MISTAKE = /^`clientID`: there is no such option \(did you mean `clientId`\?\)/

/** Opens the app in a new browser context. Resolves with what it shows. */
async function open(site) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    scriptsOf(page)
    await page.goto(site.origin)
    const shown = await result(page)
    if (shown.message) assert.equal(shown.code, 'config_invalid')
    return shown
  } finally {
    await context.close()
  }
}

/** Resolves with what the page shows. If it shows nothing, the error contains what the page reported. */
async function result(page) {
  const shown = page.locator('html[data-result]')
  await shown.waitFor({ state: 'attached', timeout: 20_000 }).catch(async (error) => {
    throw new Error([error.message, ...(page.complaints ?? [])].join('\n'))
  })
  return JSON.parse(await shown.getAttribute('data-result'))
}

/** Runs in the page before its scripts. */
function recordWorkers() {
  globalThis.workerFiles = []
  const { SharedWorker } = globalThis
  globalThis.SharedWorker = class extends SharedWorker {
    constructor(url, options) {
      super(url, options)
      globalThis.workerFiles.push(String(new URL(url, location.href)))
    }
  }
}

/** Returns the paths of the scripts that the page itself requests, as a list that grows. */
function scriptsOf(page) {
  const paths = []
  page.complaints = []
  page.on('pageerror', (error) => page.complaints.push(error.message))
  page.on('console', (message) => page.complaints.push(message.text()))
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (IS_SCRIPT.test(pathname)) paths.push(pathname)
  })
  return paths
}

/**
 * Resolves with the compressed sizes of scripts in KB: those that the page has loaded when it is connected, and those
 * of the worker.
 *
 * @param {string[]} requested The paths of all scripts that the page has requested.
 * @param {string[]} connected The URLs of everything that the page had requested when it was connected.
 */
async function measure(site, built, requested, connected) {
  const served = site.requests.filter(({ path, status }) => IS_SCRIPT.test(path) && status === 200)
  const byWorker = served.map(({ path }) => path)
  for (const path of requested) {
    const at = byWorker.indexOf(path)
    if (at >= 0) byWorker.splice(at, 1)
  }
  assert.deepEqual(modules(site), [200])
  const sum = async (paths) => {
    let bytes = 0
    for (const path of new Set(paths)) {
      bytes += (await promisify(brotliCompress)(await readFile(`${built}${path}`))).length
    }
    return (bytes / 1024).toFixed(1)
  }
  const paths = connected.map((url) => new URL(url).pathname)
  return { page: await sum(requested.filter((path) => paths.includes(path))), worker: await sum(byWorker) }
}

/** Returns the statuses of the responses to requests for WebAssembly modules. */
const modules = (site) =>
  site.requests.filter(({ path }) => path.endsWith('.wasm')).map(({ status }) => status)
