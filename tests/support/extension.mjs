/**
 * An unpacked browser extension (Manifest V3) with the built package, in a Chromium of its own. Google Chrome itself
 * ignores `--load-extension`, so these tests need Chromium.
 */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { ARGS, findBrowser } from './browser.mjs'
import { startServers } from './servers.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)

/** The files of the package that the extension contains. */
const PACKAGE = ['extension.js', 'worker.js', 'strongroom_bg.wasm']

/** Returns a new public key for a manifest, and the id that Chromium derives from it. */
function createId() {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = publicKey.export({ type: 'spki', format: 'der' })
  const digits = createHash('sha256').update(key).digest('hex').slice(0, 32)
  const id = digits.replace(/./g, (digit) => String.fromCharCode(97 + parseInt(digit, 16)))
  return { key: key.toString('base64'), id }
}

const page = (script) => `<!doctype html><meta charset="utf-8"><title>${script}</title>
<script type="module" src="${script}"></script>
`

/** Code of the service worker and of all pages of the extension. Tests use its global variables. */
const AUTH = `
import { createExtensionAuth, isOwnSender, StrongroomError } from './extension.js'

const describe = (error) => ({
  name: error?.name,
  code: error?.code,
  message: error?.message,
  isStrongroomError: error instanceof StrongroomError,
})
const settle = (promise) => promise.then((value) => ({ value }), (error) => ({ error: describe(error) }))
const auth = createExtensionAuth({ offscreen: 'offscreen.html' })
const states = []
auth.subscribe(({ session, status }) => states.push(session?.claims.sub ?? status))
Object.assign(globalThis, { auth, describe, isOwnSender, settle, states })
`

/** The service worker. A message starts it, and its answer tells when the script began. */
const BACKGROUND = `
import './auth.js'

const started = performance.timeOrigin
chrome.runtime.onMessage.addListener((message, sender, respond) => {
  if (message === 'wake') respond(started)
})
`

const OFFSCREEN = `
import { serveVault } from './extension.js'
serveVault(() => new Worker(new URL('./auth.worker.js', import.meta.url), { type: 'module' }))
`

/** The manifest of another extension. */
const OTHER = JSON.stringify({
  manifest_version: 3,
  name: 'Another extension',
  version: '1.0',
  background: { service_worker: 'background.js' },
})

/**
 * Starts a Chromium with an extension that blocks requests to this path, as blockers of trackers do. Resolves with its
 * browser context.
 *
 * @param {string} path
 */
export async function openBlocking(path) {
  const rule = { id: 1, action: { type: 'block' }, condition: { urlFilter: path } }
  const folder = await write({
    'manifest.json': JSON.stringify({
      manifest_version: 3,
      name: 'A blocker',
      version: '1.0',
      permissions: ['declarativeNetRequest'],
      host_permissions: ['<all_urls>'],
      declarative_net_request: { rule_resources: [{ id: 'rules', enabled: true, path: 'rules.json' }] },
    }),
    'rules.json': JSON.stringify([rule]),
  })
  const context = await launchWith([folder])
  context.on('close', () => rm(folder, { recursive: true, force: true }))
  return context
}

const launchWith = (folders) =>
  chromium.launchPersistentContext('', {
    executablePath: findBrowser(),
    args: [...ARGS, `--load-extension=${folders}`, `--disable-extensions-except=${folders}`],
    ignoreDefaultArgs: ['--disable-extensions'],
  })

/** Writes files, and copies files of the package. Resolves with the path of their folder. */
async function write(content, copied = []) {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-extension-'))
  await Promise.all([
    ...Object.entries(content).map(([name, text]) => writeFile(join(folder, name), text)),
    ...copied.map((name) => copyFile(new URL(name, dist), join(folder, name))),
  ])
  return folder
}

/**
 * Starts the servers, and a Chromium with the extension.
 *
 * @param {object} [options]
 * @param {object} [options.config] Additional or changed options of the vault.
 * @param {object} [options.manifest] Additional or changed members of the manifest.
 * @param {Record<string, string>} [options.files] More or changed files of the extension.
 * @param {(text: string, servers: object) => string} [options.adapt] Changes the text of each file. The second argument
 *   contains the servers and the extension's id.
 * @param {Record<string, string>} [options.others] Files of another extension, which is loaded too.
 * @param {object} [options.servers] More options of `startServers()`.
 */
export async function startExtension({
  config = {},
  manifest = {},
  files = {},
  adapt = (text) => text,
  others,
  servers: options = {},
} = {}) {
  const { id, key } = createId()
  const origin = `chrome-extension://${id}`
  const redirectUri = `https://${id}.chromiumapp.org/callback`
  const servers = await startServers({
    client: { redirect_uris: [redirectUri] },
    apps: [origin],
    ...options,
  })
  const { provider, api } = servers
  const usual = {
    issuer: provider.issuer,
    clientId: servers.clientId,
    redirectUri,
    customLogin: true,
    scope: 'openid profile email offline_access orders',
    consent: 'always',
    apis: [{ url: api.url, methods: ['GET', 'POST'] }],
    ...config,
  }
  const content = {
    'manifest.json': JSON.stringify({
      manifest_version: 3,
      name: "A test's extension",
      version: '1.0',
      key,
      permissions: ['identity', 'offscreen'],
      background: { service_worker: 'background.js', type: 'module' },
      content_security_policy: {
        extension_pages: `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ${provider.issuer} ${api.origin}`,
      },
      ...manifest,
    }),
    'auth.js': AUTH,
    'background.js': BACKGROUND,
    'popup.js': "import './auth.js'",
    'popup.html': page('popup.js'),
    'offscreen.js': OFFSCREEN,
    'offscreen.html': page('offscreen.js'),
    'auth.worker.js': `import { vault } from './worker.js'\nvault(${JSON.stringify(usual)})\n`,
    ...files,
  }
  const adapted = Object.entries(content).map(([name, text]) => [name, adapt(text, { ...servers, id })])
  const folder = await write(Object.fromEntries(adapted), PACKAGE)
  const other = others && (await write({ 'manifest.json': OTHER, ...others }))
  const folders = [folder, other].filter(Boolean)
  const context = await launchWith(folders)
  context.setDefaultTimeout(15_000)

  return {
    ...servers,
    id,
    origin,
    redirectUri,
    context,
    /** Resolves with the extension's service worker, which starts if necessary. */
    async background() {
      const isOwn = (worker) => worker.url().startsWith(origin)
      return context.serviceWorkers().find(isOwn) ?? context.waitForEvent('serviceworker', isOwn)
    },
    /**
     * Ends the service worker, as Chromium does when it is idle. `page` is a page of the extension. The worker that
     * `background()` resolves with also stands for the next one.
     */
    async stopBackground(page) {
      const session = await context.newCDPSession(page)
      const stopped = new Promise((resolve) =>
        session.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
          if (versions.some(({ runningStatus }) => runningStatus === 'stopped')) resolve()
        }),
      )
      await session.send('ServiceWorker.enable')
      await session.send('ServiceWorker.stopAllWorkers')
      await stopped
      await session.detach()
    },
    /** Starts the service worker by a message of this page. Resolves with the time at which it began. */
    wakeBackground: (page) => page.evaluate(() => chrome.runtime.sendMessage('wake')),
    /** Opens a page of the extension in a tab. */
    async open(name = 'popup.html') {
      const opened = await context.newPage()
      await opened.goto(`${origin}/${name}`)
      return opened
    },
    async close() {
      await context.close()
      await servers.close()
      await Promise.all(folders.map((written) => rm(written, { recursive: true })))
    },
  }
}
