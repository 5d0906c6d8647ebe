// The same small app, built from the packed tarball by each bundler and framework. In a real browser, a user signs in
// and the app calls an API. `cargo xtask test packaging --all` builds all of them and prints a table.
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
import { buildApp, OTHERS, QUICK, reasonToSkip, startDevelopment } from './matrix.mjs'
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

const table = []

for (const row of [...QUICK, ...(ALL ? OTHERS : [])]) {
  test(`${row.name}: app signs in and calls its API`, time, async (t) => {
    const line = { name: row.name, version: '', built: 'no', signedIn: 'no', page: '', worker: '', file: '' }
    table.push(line)
    const reason = await reasonToSkip(row)
    if (reason) {
      Object.assign(line, { built: `skipped, because ${reason}`, signedIn: '' })
      return t.skip(reason)
    }
    const addresses = { issuer: servers.provider.issuer, api: servers.api.url }
    if (row.built) {
      const { built, version } = await buildApp(row, tarball, addresses)
      Object.assign(line, { version, built: 'yes' })
      const site = await serve(row, built)
      try {
        Object.assign(line, await signIn(site, built))
        assert.ok(line.page <= (row.pageLimit ?? Infinity), `${line.page} KB`)
        await connectDedicated(site, [line.file, ...(row.imports ?? [])])
      } finally {
        await site.close()
      }
    } else {
      const { version, stop } = await startDevelopment(row, tarball, addresses, port)
      Object.assign(line, { version, built: 'in memory' })
      try {
        Object.assign(line, await signIn({ origin }))
      } finally {
        await stop()
      }
    }
  })
}

after(() => {
  const cells = ({ name, version, built, signedIn, page, worker, file }) =>
    `| ${[name, version, built, signedIn, page, worker, file].join(' | ')} |`
  console.log('| tool | version | built | signed in | page KB | worker KB | worker’s file |')
  console.log('|---|---|---|---|---|---|---|')
  for (const line of table) console.log(cells(line))
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

/**
 * Opens the app, signs in and calls two APIs. Without the files in `built`, it is a development server, whose worker has
 * no policy. Resolves with cells of the table.
 */
async function signIn(site, built) {
  const context = await browser.newContext()
  try {
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
    const { pathname, hash } = new URL(file)
    return { signedIn: 'yes', file: pathname + (hash && '#…'), ...sizes }
  } finally {
    await context.close()
  }
}

/** Opens the app without SharedWorker, with a policy that allows only these files as workers. */
async function connectDedicated(site, files) {
  const allowed = files.map((file) => site.origin + new URL(file, site.origin).pathname)
  site.pageCsp = site.policy(allowed.join(' '))
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    scriptsOf(page)
    await page.addInitScript(() => delete globalThis.SharedWorker)
    await page.goto(site.origin)
    const { status, orders } = await result(page)
    assert.deepEqual({ status, orders }, { status: 'connected', orders: 'login_required' })
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
  const modules = site.requests.filter(({ path }) => path.endsWith('.wasm'))
  assert.deepEqual(
    modules.map(({ status }) => status),
    [200],
  )
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
