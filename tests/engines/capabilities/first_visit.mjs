/**
 * Hints with which a browser requests the WebAssembly module before the worker does: a link in the page, the header
 * `Link`, and the option `wasm` of `createAuth()`. The pages have the headers that `strongroom/headers` generates.
 */
import assert from 'node:assert/strict'
import { securityHeaders, vaultOriginHeaders } from '../../../pkg/dist/headers.js'
import { htmlWith } from '../../support/app.mjs'
import { waitFor } from '../../support/engines/driver.mjs'

const MODULE = '/assets/strongroom_bg-BqTr3x9P.wasm'
const WORKER = '/auth.worker.js'
/** A file that a worker imports, so that it is requested when the worker runs. A hint may request the worker's own file. */
const IMPORTED = '/strongroom/worker.js'
const REPORTS = '/reports'

/** A page's script, which connects and has the option `wasm` if its address says so. */
const SCRIPT = `
import '/tools.js'
const wasm = location.search === '?wasm' ? '${MODULE}' : undefined
globalThis.boot = settle(createAuth({ ...create, wasm }).connect().then(() => 'connected'))
`

const LINK = `<link rel="prefetch" as="fetch" crossorigin href="${MODULE}">`

/** Serves the module under the name with a hash, and a worker that requests this name. */
function addModule(app, home) {
  home.files[MODULE] = home.files['/strongroom/strongroom_bg.wasm']
  app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)}, { wasm: new URL('${MODULE}', location.origin) })
`)
}

function prepare(app) {
  const { site, config } = app
  // The worker's file is not bundled, and imports other files of this origin.
  const options = { origin: site.origin, worker: WORKER, page: { 'worker-src': ["'self'"] } }
  const headers = (module) => securityHeaders(config, { ...options, ...(module && { module }) })
  const { page, worker, module } = headers(MODULE)
  const bare = headers().page['Content-Security-Policy']
  const covering = page['Content-Security-Policy']
  const document = htmlWith('/first.js')
  const withLink = document.replace('<head>', `<head>${LINK}`)
  const pages = {
    plain: [document, covering],
    link: [withLink, covering],
    header: [document, covering, page.Link],
    wasm: [document, covering],
    all: [withLink, covering, page.Link],
    uncovered: [withLink, bare],
  }
  for (const [name, [text, policy, link]] of Object.entries(pages)) {
    site.files[`/${name}.html`] = text
    site.headers[`/${name}.html`] = {
      'Content-Security-Policy': `${policy}; report-uri ${REPORTS}`,
      ...(link && { Link: link }),
    }
  }
  site.files['/first.js'] = SCRIPT
  site.headers[WORKER] = worker
  site.headers[MODULE] = module
  addModule(app, site)
}

function prepareVault(app) {
  const { site, vault, config } = app
  const { frame, module } = vaultOriginHeaders(config, {
    origin: vault.origin,
    apps: [site.origin],
    worker: WORKER,
    module: MODULE,
  })
  // The worker's file is not bundled, and imports other files of this origin. The page's icon is a data URL.
  const policy = frame['Content-Security-Policy'].replace(
    /worker-src [^;]+/,
    "worker-src 'self'; img-src data:",
  )
  vault.headers['/frame.html'] = { ...frame, 'Content-Security-Policy': `${policy}; report-uri ${REPORTS}` }
  vault.headers[MODULE] = module
  addModule(app, vault)
}

/**
 * Opens a page for the first time, and waits until it is connected. `order`: whether the worker ran before the first
 * request for the module. `messages`: what the console or the policy says about the hint; not known of WebKit's console.
 */
async function visitFirst({ app, visit }, address) {
  const home = app.vault ?? app.site
  const since = home.requests.length
  const { tab } = await visit(address)
  await waitFor(tab, () => typeof boot === 'object')
  assert.equal((await tab.evaluate(() => boot)).error, undefined)
  const requests = home.requests.slice(since).map(({ path }) => path)
  const reports = requests.filter((path) => path === REPORTS)
  const lines = (tab.console ?? []).filter((line) => /prefetch|preload|policy/i.test(line))
  return {
    downloads: requests.filter((path) => path === MODULE).length,
    order: requests.indexOf(MODULE) < requests.indexOf(IMPORTED) ? 'before the worker' : 'by the worker only',
    messages: [...reports, ...lines],
  }
}

/** Returns a capability: the module is downloaded once and without a message; the cell says when. */
const hint = (what, address) => ({
  name: `first visit, ${what}: the module is requested`,
  async see(scene) {
    const { downloads, order, messages } = await visitFirst(scene, address)
    assert.equal(downloads, 1)
    assert.deepEqual(messages, [])
    return order
  },
})

const control = {
  name: 'control: a link to the module, which the policy does not name',
  async see(scene) {
    const { downloads, messages } = await visitFirst(scene, '/uncovered.html')
    assert.equal(downloads, 1)
    return messages.length ? 'blocked, and reported' : 'no report'
  },
}

const severalFiles = {
  name: 'a worker of several files starts under the generated headers',
  async see(scene) {
    await visitFirst(scene, '/plain.html')
    const names = scene.app.site.requests.map(({ path }) => path)
    assert.ok(names.includes(IMPORTED), names.join())
  },
}

const second = {
  name: 'second visit: the module comes from the cache',
  async see({ app, visit }) {
    const { another } = await visit('/all.html')
    const since = app.site.requests.length
    const tab = await another('/all.html')
    await waitFor(tab, () => typeof boot === 'object')
    assert.deepEqual(await tab.evaluate(() => boot), { value: 'connected' })
    const again = app.site.requests.slice(since).filter(({ path }) => path === MODULE)
    return again.length ? 'no: requested again' : 'yes'
  },
}

export const firstVisit = [
  {
    name: 'the first visit',
    prepare,
    capabilities: [
      hint('no hint', '/plain.html'),
      hint('a link in the page', '/link.html'),
      hint('the header `Link`', '/header.html'),
      hint('the option `wasm` of `createAuth()`', '/wasm.html?wasm'),
      hint('link, header and option together', '/all.html?wasm'),
      control,
      second,
      severalFiles,
    ],
  },
  {
    name: 'the first visit of a vault on its own origin',
    app: { vaultOrigin: true },
    prepare: prepareVault,
    capabilities: [hint('the header `Link` of the vault’s frame', '/')],
  },
]
