/** One app with its provider, its API and a browser: the world in which a failure happens to a library. */
import { fileURLToPath } from 'node:url'
import { ACCOUNTS } from '../../tests/support/accounts.mjs'
import { WITH_CACHE } from '../../tests/support/bfcache.mjs'
import { launchBrowser } from '../../tests/support/browser.mjs'
import { start } from '../../tests/support/edge/child.mjs'
import { ENDPOINTS } from '../../tests/support/provider.mjs'
import { startProxy } from '../../tests/support/proxy.mjs'
import { startSite } from '../../tests/support/site.mjs'
import { until } from '../../tests/support/until.mjs'
import { AUTH0_PATHS } from '../peers.mjs'
import { CLIENT_ID, startBackends } from './servers.mjs'

/**
 * The hosts of the app and of its provider. They belong to one site, so that libraries that look for a session at the
 * provider in a hidden frame find its cookie.
 */
const HOSTS = { app: 'app.field.localhost', provider: 'id.field.localhost' }

/** The provider's own path for each path of Auth0. */
const PATHS = { ...AUTH0_PATHS, '/v2/logout': '/session/end' }

/** The limit in milliseconds for what a machine may take. */
const MACHINE = 60_000

/** The time in milliseconds that a user gives a page to work again, and to show that another tab has signed in or out. */
const PATIENCE = 20_000
const GLANCE = 7_000

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * @typedef {object} Failure
 * @property {string} name The name for `--only`.
 * @property {string} title
 * @property {object} [world] Options of the world: see `startWorld()`.
 * @property {(world: World) => Promise<import('playwright-core').Page | undefined>} run Resolves with the page whose
 *   session may have ended, unless the row is about something else.
 */

/**
 * @param {import('./contenders.mjs').CONTENDERS[string]} contender
 * @param {Record<string, string | Uint8Array>} files The files of its site.
 * @param {import('./turn.mjs').Turn} turn
 * @param {object} [options]
 * @param {number} [options.lifetime] Seconds, instead of the contender's own lifetime of access tokens.
 * @param {number} [options.refreshLifetimes] The lifetime of refresh tokens, as a multiple of that of access tokens.
 * @param {number} [options.leewaySeconds]
 * @param {string} [options.clock] The clock of provider and API, such as `+1h`.
 * @param {boolean} [options.hasCache] True if the browser has its back-forward cache.
 */
export async function startWorld(contender, files, turn, options = {}) {
  const { lifetime = contender.lifetime, refreshLifetimes, leewaySeconds, clock, hasCache } = options
  const proxy = await startProxy((path) => ENDPOINTS[PATHS[path] ?? path] ?? 'other', PATHS, {
    keepsBodies: true,
    host: HOSTS.provider,
  })
  const site = await startSite({ host: HOSTS.app, workers: [] })
  const issuer = contender.hasSlash ? `${proxy.origin}/` : proxy.origin
  const backendOptions = {
    issuer,
    app: site.origin,
    accessTokenSeconds: lifetime,
    refreshTokenSeconds: refreshLifetimes && refreshLifetimes * lifetime,
    leewaySeconds,
  }
  const backends = await (clock ? startElsewhere(backendOptions, clock) : startBackends(backendOptions))
  proxy.forwardTo(backends.provider)
  serve(site, { ...files, ...settings({ issuer, lifetime, backends, proxy }) }, [proxy.origin, backends.api])
  const browser = await launchBrowser(hasCache ? WITH_CACHE : {})
  return new World({ proxy, site, backends, browser, turn, lifetime })
}

/** Starts provider and API in a process with another clock. */
async function startElsewhere(options, clock) {
  const script = fileURLToPath(new URL('servers.mjs', import.meta.url))
  const env = {
    ...process.env,
    LD_PRELOAD: process.env.FAKETIME_LIBRARY,
    FAKETIME: clock,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  }
  const child = start(process.execPath, [script, JSON.stringify(options)], { env, cwd: process.cwd() })
  return { ...JSON.parse(await child.firstLine), close: child.stop }
}

const settings = ({ issuer, lifetime, backends, proxy }) => ({
  '/config.js': `globalThis.CONFIG = ${JSON.stringify({ issuer, api: backends.api, clientId: CLIENT_ID, lifetime })}`,
  '/OidcTrustedDomains.js': `const trustedDomains = ${JSON.stringify({
    default: { oidcDomains: [proxy.origin], accessTokenDomains: [backends.api] },
  })}`,
})

function serve(site, files, others) {
  Object.assign(site.files, files)
  site.routes['/silent-callback'] = '/index.html'
  site.serviceWorkers.push('/OidcServiceWorker.js')
  const all = `'self' ${others.join(' ')}`
  // This policy allows the scripts, workers and frames of all libraries.
  site.pageCsp = `default-src 'self'; connect-src ${all}; frame-src ${all}; worker-src 'self' blob:; script-src 'self' 'wasm-unsafe-eval' blob:; img-src data:`
}

export class World {
  /** The number of calls of the API, and of those that succeeded. */
  calls = { of: 0, ok: 0 }
  /** Phrases for what the user saw, besides the last page. */
  seen = []
  /** Why calls failed, for those who look for the reason. */
  reasons = []
  #parts
  #context
  #processes
  #firstRequest = 0
  #ownNavigations = new WeakSet()

  constructor(parts) {
    this.#parts = parts
  }

  get version() {
    return this.#parts.browser.version()
  }

  get faults() {
    return this.#parts.proxy.faults
  }

  /** Opens the app in another tab. Resolves when the page shows something. */
  async open() {
    this.#context ??= await this.#parts.browser.newContext()
    const page = await this.#context.newPage()
    page.setDefaultTimeout(MACHINE)
    page.on('domcontentloaded', () => {
      if (!this.#ownNavigations.has(page)) this.note('the page reloaded by itself')
    })
    await this.#navigate(page, () => page.goto(this.#parts.site.origin))
    return page
  }

  /** Resolves with a page in which the user has signed in. What happens from then on is counted. */
  async signedIn() {
    const page = await this.open()
    await this.signIn(page)
    this.count()
    return page
  }

  /** Counts requests from now on. */
  count() {
    this.#firstRequest = this.#parts.proxy.requests.length
  }

  /** Signs in by the page's button, with the provider's form if it appears. */
  async signIn(page, { username, password } = ACCOUNTS[0]) {
    await this.#navigate(page, async () => {
      await page.evaluate(() => field.signIn())
      const form = page.locator('#username')
      await Promise.race([form.waitFor({ timeout: PATIENCE }), this.#isSignedIn(page)])
      if (await form.count()) {
        await page.fill('#username', username)
        await page.fill('#password', password)
        await page.click('button[value=login]')
      }
      await this.#isSignedIn(page)
    })
    const { user, error } = await this.look(page)
    if (user !== username) throw new Error(`not signed in: ${error ?? `the page shows ${user}`}`)
  }

  /** Presses the button "Sign in", and waits for the provider's form. */
  async leaveToSignIn(page) {
    await this.#navigate(page, async () => {
      await page.evaluate(() => field.signIn())
      await page.locator('#username').waitFor()
    })
  }

  /** Signs out by the page's button, here and at the provider. */
  async signOut(page) {
    await this.#navigate(page, async () => {
      await page.evaluate(() => field.logout())
      const confirm = page.locator('button[value=yes]')
      await confirm.waitFor()
      await confirm.click()
      await page.waitForURL((url) => !url.pathname.endsWith('/session/end'))
    })
  }

  /** Opens the app in a tab that has shown something else. */
  openApp(page) {
    return this.#navigate(page, () => page.goto(this.#parts.site.origin))
  }

  /** Calls the API this many times at once when the page shows something. A call that fails is an outcome, too. */
  async call(page, count) {
    await this.#shows(page)
    const outcomes = await page
      .evaluate((count) => Promise.all(Array.from({ length: count }, () => field.call())), count)
      .catch((error) => Array(count).fill({ isOk: false, why: String(error.message).split('\n')[0] }))
    for (const { isOk, why } of outcomes) {
      this.calls.of++
      if (isOk) this.calls.ok++
      else this.fails(why)
    }
    return outcomes
  }

  /** Keeps the reason of a failure for those who look for it. */
  fails(reason) {
    this.reasons.push(reason)
  }

  /** Resolves with what a page shows: the user's name, `''` for the button "Sign in", or an error. */
  async look(page) {
    if (!page.url().startsWith(this.#parts.site.origin)) return {}
    const dataset = await page.evaluate(() => ({ ...document.documentElement.dataset })).catch(() => ({}))
    return { user: dataset.user, error: dataset.error }
  }

  /** Waits until a page shows something else than this user, as long as a user might look at it. */
  async watch(page, user) {
    for (const end = Date.now() + GLANCE; Date.now() < end; await pause(100)) {
      const shown = await this.look(page)
      if (shown.user !== undefined && shown.user !== user) return shown
    }
    return this.look(page)
  }

  /**
   * Stops the browser until the newest access token has expired, and at least for this many lifetimes. The turn is given
   * away meanwhile.
   */
  async sleep({ lifetimes = 0 } = {}) {
    const { turn, lifetime } = this.#parts
    const end = Math.max(this.#expiry(), Date.now() + lifetimes * lifetime * 1000) + 1000
    await this.#signal('SIGSTOP')
    turn.give()
    await pause(end - Date.now())
    await turn.take()
    await this.#signal('SIGCONT')
  }

  /** Reloads a page, as the user does. `meanwhile` is called when the new page has begun to load. */
  reload(page, { meanwhile } = {}) {
    return this.#navigate(page, async () => {
      await page.reload({ waitUntil: 'commit' })
      meanwhile?.()
    })
  }

  /**
   * Goes back in the history of the tab, at most to its first page, until the page that was marked. Resolves with true
   * if that page was in the back-forward cache.
   */
  async goBack(page) {
    const isMarked = () => until(() => page.evaluate(() => [globalThis.mark]).catch(() => undefined))
    for (let steps = 0; steps < 4; steps++) {
      if ((await isMarked())[0]) return true
      await this.#navigate(page, () => page.goBack({ waitUntil: 'commit' }))
    }
    return (await isMarked())[0] === true
  }

  /** Marks a page, so that `goBack()` recognizes it. */
  mark(page) {
    return page.evaluate(() => void (globalThis.mark = true))
  }

  /** Lets the API refuse the newest access token. */
  refuseToken() {
    const [newest] = this.#tokenResponses().slice(-1)
    this.#parts.backends.refuse(newest.access_token)
  }

  /** Adds a phrase to what the user saw. */
  note(phrase) {
    if (!this.seen.includes(phrase)) this.seen.push(phrase)
  }

  /** The number of refreshes that have reached the provider. */
  refreshes() {
    const requests = this.#parts.proxy.requests.slice(this.#firstRequest)
    const isRefresh = ({ endpoint, sent }) =>
      endpoint === 'token' && sent.includes('grant_type=refresh_token')
    return requests.filter(isRefresh).length
  }

  /**
   * Resolves with what became of the session: what it takes until a call succeeds again. A session whose refresh token is
   * revoked ends when its access token has expired.
   */
  async verdict(page) {
    const now = await this.#session(page)
    const { isRevoked } = this.#parts.backends
    if (now === 'lost' || now === 'stuck' || isRevoked?.() === false) return now
    await this.sleep({ lifetimes: 1 })
    const later = await this.#session(page)
    return later === 'kept' ? now : later
  }

  async #session(page) {
    const works = async () => (await page.evaluate(() => field.call()).catch(() => ({}))).isOk === true
    const keeps = async () => {
      for (const end = Date.now() + PATIENCE; Date.now() < end; await pause(1000)) {
        await this.#shows(page)
        if (await works()) return true
        if ((await this.look(page)).user === '') return false
      }
      return false
    }
    if (await keeps()) return 'kept'
    await this.reload(page)
    if (await keeps()) return 'kept after a reload'
    return (await this.look(page)).user ? 'stuck' : 'lost'
  }

  async close() {
    const { browser, proxy, site, backends } = this.#parts
    await browser.close()
    await Promise.all([proxy.close(), site.close(), backends.close()])
  }

  async #navigate(page, action) {
    this.#ownNavigations.add(page)
    try {
      await action()
      await this.#shows(page)
    } finally {
      this.#ownNavigations.delete(page)
    }
  }

  /** Waits until the app or another site shows something. */
  #shows(page) {
    const { origin } = this.#parts.site
    return page
      .waitForFunction(
        (origin) => {
          const { dataset } = document.documentElement
          return (
            location.origin !== origin || dataset.error || (dataset.user !== undefined && globalThis.field)
          )
        },
        origin,
        { timeout: PATIENCE },
      )
      .catch(() => {})
  }

  /** Waits until the app shows a user or an error. */
  #isSignedIn(page) {
    const { origin } = this.#parts.site
    const shows = (origin) => {
      const { user, error } = document.documentElement.dataset
      return location.origin === origin && (error || (user && globalThis.field))
    }
    return page.waitForFunction(shows, origin, { timeout: PATIENCE }).catch(() => {})
  }

  #tokenResponses() {
    const isToken = ({ endpoint, status }) => endpoint === 'token' && status === 200
    return this.#parts.proxy.requests
      .filter(isToken)
      .map(({ at, received }) => ({ at, ...JSON.parse(received || '{}') }))
      .filter(({ access_token }) => access_token)
  }

  #expiry() {
    return Math.max(0, ...this.#tokenResponses().map(({ at, expires_in }) => at + expires_in * 1000))
  }

  async #signal(signal) {
    if (signal === 'SIGSTOP') this.#processes = await this.#find()
    for (const { id } of this.#processes) {
      try {
        process.kill(id, signal)
      } catch {
        // The process has ended.
      }
    }
  }

  async #find() {
    const devtools = await this.#parts.browser.newBrowserCDPSession()
    const { processInfo } = await devtools.send('SystemInfo.getProcessInfo')
    await devtools.detach()
    return processInfo
  }
}
