/** Starts a small app that uses the built package in a browser, as real apps do, together with real servers. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { ACCOUNTS } from './accounts.mjs'
import { shareBrowser, together } from './browser.mjs'
import { startServers } from './servers.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)

const WORKER = '/auth.worker.js'

/** The files of the package that the app serves. */
export const PACKAGE = [
  'index.js',
  'messages.js',
  'error-messages.js',
  'worker-failure.js',
  'login.js',
  'guard.js',
  'resume.js',
  'reconnect.js',
  'streaming.js',
  'connect-frame.js',
  'token-handler-client.js',
  'vault-frame.js',
  'callback.js',
  'form.js',
  'escrow.js',
  'media.js',
  'page-media.js',
  'inspector.js',
  'inspector/record.js',
  'worker.js',
  'standalone.js',
  'strongroom_bg.wasm',
]

/**
 * Returns the app's Content-Security-Policy. Its `connect-src` is empty, except in tests that compare the vault with
 * the page's own `fetch`.
 */
const csp = (connectSrc) =>
  `default-src 'none'; script-src 'self'; worker-src 'self'; img-src data:; base-uri 'none'; connect-src ${connectSrc.join(' ') || "'none'"}`

export const htmlWith = (script) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>A test's app</title>
    <link rel="icon" href="data:,">
    <script type="module" src="${script}"></script>
  </head>
  <body></body>
</html>
`

/**
 * Returns code that every page of the app runs. The code imports the package, and defines functions that describe
 * results to a test.
 */
export const tools = (extendedLifetime) => `
import { connect, connectFrame, createAuth, StrongroomError } from '/strongroom/index.js'

const create = {
  shared: () => new SharedWorker('${WORKER}', { type: 'module', extendedLifetime: ${extendedLifetime} }),
  dedicated: () => new Worker('${WORKER}', { type: 'module' }),
}

/** Errors themselves do not survive the way to the test. */
const describe = (error) => ({
  name: error?.name,
  code: error?.code,
  message: error?.message,
  isStrongroomError: error instanceof StrongroomError,
  isTypeError: error instanceof TypeError,
  ...(error?.returnTo !== undefined && { returnTo: error.returnTo }),
  ...(error?.cause && { cause: error.cause.message }),
})

const settle = (promise) =>
  Promise.resolve(promise).then((value) => ({ value }), (error) => ({ error: describe(error) }))

Object.assign(globalThis, { connect, connectFrame, createAuth, create, describe, settle })
`

/**
 * Returns the script of the app's pages. Tests use its global variables: `boot` resolves with the result of
 * `handleCallback()` or with its error, `auth` is the client, and `changes` and `failures` list the events so far.
 */
export const pageScript = ({ kind, timeout, resume, frame, handler }) => `
import '/tools.js'

const start = async () => {
  const auth = await ${frame ? `connectFrame('${frame}'` : handler ? `connect('${handler}'` : `connect(create.${kind}`}, ${JSON.stringify({ timeout, resume })})
  auth.on('change', (change) => changes.push(change))
  auth.on('failed', (error) => failures.push(describe(error)))
  globalThis.auth = auth
  return auth.handleCallback()
}

globalThis.changes = []
globalThis.failures = []
globalThis.boot = settle(start())
`

/**
 * Adds `consent: 'always'` if a configuration asks for `offline_access`, because oidc-provider issues refresh tokens
 * only if the user has just consented.
 */
const withConsent = (config) => ({
  consent: /offline_access/.test(config.scope) ? 'always' : undefined,
  ...config,
})

/**
 * Returns a `state` that no login has, in the form of those that the app's vault issues: with a hash of issuer and client.
 * A page takes a response with any other `state` for the app's own.
 */
export const forgedState = ({ issuer, clientId }, name = 'abc') => {
  const digest = createHash('sha256').update(`strongroom hints 1 ${issuer} ${clientId}`).digest()
  return `${name}.${digest.readUInt32BE()}`
}

export const workerScript = (config) => `
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(withConsent(config))})
`

/** Returns the script of the vault's frame, as in docs/vault-origin.md. */
const frameScript = ({ kind, apps, extendedLifetime }) => `
import { vaultFrame } from '/strongroom/vault-frame.js'
${tools(extendedLifetime).match(/const create[^]*?\n}\n/)[0]}
vaultFrame({ apps: ${JSON.stringify(apps)}, worker: create.${kind} })
`
const callbackScript = (app) => `
import { vaultCallback } from '/strongroom/vault-frame.js'
vaultCallback({ app: ${JSON.stringify(app)} })
`

/**
 * Starts the servers and the app. Any browser can then open the app.
 *
 * @param {object} [options]
 * @param {'shared' | 'dedicated'} [options.kind] The worker's kind.
 * @param {object} [options.config] Additional or changed options of the vault.
 * @param {string} [options.script] The content of the worker file, in place of the usual content.
 * @param {number} [options.timeout] Time limit in seconds for the handshake with the vault.
 * @param {'redirect' | 'iframe' | 'none'} [options.resume] The way in which pages resume a session.
 * @param {boolean} [options.plainFetch] True if the page's policy allows requests of the page's own `fetch` to the API.
 * @param {boolean} [options.extendedLifetime] True if a shared worker outlives its last page for a while.
 * @param {object} [options.provider] More options of `startProvider()`.
 * @param {object} [options.api] More options of `startApi()`.
 * @param {object} [options.client] More metadata of the client.
 * @param {object[]} [options.clients] See `startServers()`.
 * @param {boolean} [options.proxied] See `startServers()`.
 * @param {boolean} [options.hasHandler] See `startServers()`.
 * @param {object} [options.site] More options of `startSite()`.
 * @param {boolean} [options.vaultOrigin] The vault has an origin of its own: see `startServers()`.
 */
export async function serveApp({
  kind = 'shared',
  config = {},
  script,
  timeout = 10,
  resume,
  plainFetch = false,
  extendedLifetime = true,
  provider,
  api: apiOptions,
  client,
  clients,
  proxied,
  hasHandler,
  site: siteOptions,
  vaultOrigin,
} = {}) {
  const servers = await startServers({
    provider,
    api: apiOptions,
    proxied,
    hasHandler,
    client,
    clients,
    site: siteOptions,
    vaultOrigin,
  })
  const { site, api, vault } = servers
  /** The origin of the worker file. */
  const home = vault ?? site
  const frame = vault && `${vault.origin}/frame.html`
  const usual = {
    issuer: servers.provider.issuer,
    clientId: servers.clientId,
    redirectUri: '/callback',
    scope: 'openid profile email offline_access orders',
    apis: [{ url: api.url, methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] }],
    ...config,
  }
  site.routes['/empty'] = '/empty.html'
  site.pageCsp = csp(plainFetch ? ["'self'", api.origin] : [])
  if (vault) site.pageCsp += `; frame-src ${vault.origin}`
  Object.assign(site.files, {
    '/index.html': htmlWith('/page.js'),
    '/empty.html': htmlWith('/tools.js'),
    '/page.js': pageScript({ kind, timeout, resume, frame }),
    '/tools.js': `${tools(extendedLifetime)}\nglobalThis.ownState = ${JSON.stringify(forgedState(usual))}\n`,
  })
  home.files[WORKER] = script ?? workerScript(usual)
  if (vault) {
    Object.assign(vault.files, {
      '/frame.html': htmlWith('/frame.js'),
      '/frame.js': frameScript({ kind, apps: [site.origin], extendedLifetime }),
      '/callback.html': htmlWith('/callback.js'),
      '/callback.js': callbackScript(`${site.origin}/callback`),
    })
    // A worker that is not bundled consists of several files, and each file needs this header (docs/vault-origin.md).
    vault.headers['/strongroom/worker.js'] = { 'Cross-Origin-Embedder-Policy': 'require-corp' }
  }
  for (const name of PACKAGE) {
    const file = await readFile(new URL(name, dist))
    for (const { files } of [site, home]) files[`/strongroom/${name}`] = file
  }

  return {
    ...servers,
    config: withConsent(usual),
    /** Replaces the worker file. Workers that are already running do not change. */
    setWorker(text) {
      home.files[WORKER] = text
    },
    setConfig(changed) {
      home.files[WORKER] = workerScript({ ...usual, ...changed })
    },
  }
}

/**
 * Starts the servers, the app and a Chromium. Apps that one test file starts with equal launch options share the
 * Chromium.
 *
 * @param {Parameters<typeof serveApp>[0] & { launch?: Parameters<typeof shareBrowser>[0] }} [options]
 */
export async function startApp({ launch, ...options } = {}) {
  const [app, use] = await together(serveApp(options), shareBrowser(launch))
  const { browser } = use
  return {
    ...app,
    browser,
    /** Opens a page of the app, in a new browser context or as another tab of `context`. */
    async open(path = '/', context) {
      const page = await (context ?? (await browser.newContext())).newPage()
      page.setDefaultTimeout(15_000)
      await page.goto(app.site.origin + path)
      return page
    },
    async close() {
      await use.close()
      await app.close()
    },
  }
}

/** Waits until the page has started. Resolves with the result of `handleCallback()`. */
export function booted(page) {
  return page.evaluate(() => boot)
}

/**
 * Fills in the provider's forms on `page`, which may be a popup. If the user has a session at the provider, the sign-in
 * form does not appear.
 */
export async function giveConsent(page, { username, password } = ACCOUNTS[0]) {
  await page.waitForSelector('#username, button[value=allow]')
  if (await page.locator('#username').count()) {
    await page.fill('#username', username)
    await page.fill('#password', password)
    await page.click('button[value=login]')
    await page.waitForSelector('button[value=allow]')
  }
  // A click may be lost while the page still loads.
  await page.waitForLoadState()
  await page.click('button[value=allow]')
}

/** Denies a login at the provider, by its button. */
export async function deny(page) {
  await page.waitForSelector('button[value=deny]')
  // A click may be lost while the page still loads.
  await page.waitForLoadState()
  await page.click('button[value=deny]')
}

/** Matches the addresses of the provider's forms. */
const FORM = /\/interaction\//

/**
 * Fills in the provider's forms on `page` by script. This takes a quarter less of a sign-in's processor time than
 * `giveConsent()`, which waits for frames and runs code of Playwright in each page, but it is not a click of the user.
 */
async function submitForms(page, { username, password } = ACCOUNTS[0]) {
  const values = { username, password }
  await page.waitForURL(FORM, { waitUntil: 'domcontentloaded' })
  const first = page.url()
  const hasSignedIn = await page.evaluate((values) => {
    for (const [name, value] of Object.entries(values)) {
      const input = document.getElementById(name)
      if (!input) return false
      input.value = value
    }
    document.querySelector('button[value=login]').click()
    return true
  }, values)
  const isNext = ({ href }) => FORM.test(href) && href !== first
  if (hasSignedIn) await page.waitForURL(isNext, { waitUntil: 'domcontentloaded' })
  await page.evaluate(() => document.querySelector('button[value=allow]').click())
}

/** Signs in by redirect. Resolves with the result of `handleCallback()`. */
export async function signIn(page, options = {}, account) {
  await booted(page)
  await page.evaluate((given) => void auth.login(given).catch(() => {}), options)
  await submitForms(page, account)
  // The path is not enough, because the vault's origin also has a page `/callback`.
  await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
  return booted(page)
}

/** Starts a login by redirect. Resolves when the page is at the provider. */
export async function startLogin(page, options = {}) {
  await booted(page)
  await page.evaluate((given) => void auth.login(given).catch(() => {}), options)
  await page.waitForSelector('form')
}

/** Signs in by popup. Resolves with the result of `login()`. */
export async function signInByPopup(page, options = {}, account) {
  await booted(page)
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page, options)])
  const closed = once(popup, 'close')
  await giveConsent(popup, account)
  const outcome = await page.evaluate(() => login)
  await closed
  return outcome
}

/** Clicks on a button that starts a login by popup. The page's variable `login` gets the login's promise. */
export async function clickLogin(page, options = {}) {
  await page.evaluate((given) => {
    const button = document.createElement('button')
    button.textContent = 'Sign in'
    button.onclick = () => {
      globalThis.login = settle(auth.login({ mode: 'popup', ...given }))
    }
    document.body.replaceChildren(button)
  }, options)
  await page.click('button')
}

/**
 * Waits until a function in the page returns true or a promise of true. Playwright's `waitForFunction()` would treat
 * any promise as true.
 */
export async function waitUntil(page, isSo, argument, { timeout = 15_000, polling = 20 } = {}) {
  const deadline = Date.now() + timeout
  while (!(await page.evaluate(isSo, argument))) {
    if (Date.now() > deadline) throw new Error(`not so within ${timeout} ms: ${isSo}`)
    await new Promise((resolve) => setTimeout(resolve, polling))
  }
}

/**
 * Calls the API through the vault. Resolves with the response as `{ value: { status, text } }`, or with
 * `{ error }`.
 */
export function call(page, url, init) {
  return page.evaluate(
    ([address, options]) =>
      settle(
        auth.fetch(address, options).then(async (response) => ({
          status: response.status,
          text: await response.text(),
        })),
      ),
    [String(url), init],
  )
}
