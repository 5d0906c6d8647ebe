import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'

/**
 * Returns Playwright's Chromium. Playwright is one file of 7 MB: it is loaded when a test first needs it, and by
 * `require`, because `import` reads the file once more for the names of its exports. That takes half a second.
 */
export const playwrightChromium = () => createRequire(import.meta.url)('playwright-core').chromium

/** Programs that tests start. Each has an environment variable that can set the path, and its usual file names. */
const PROGRAMS = {
  chromium: {
    variable: 'CHROME_PATH',
    names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'],
  },
  firefox: { variable: 'FIREFOX_PATH', names: ['firefox-esr', 'firefox'] },
  webkit: { variable: 'WEBKIT_DRIVER_PATH', names: ['WebKitWebDriver'] },
  screen: { variable: 'XVFB_PATH', names: ['Xvfb'] },
  bus: { variable: 'DBUS_RUN_SESSION_PATH', names: ['dbus-run-session'] },
}

/**
 * Features that tests disable. The address bar has two popups, which are pages with their own process in every window.
 * Starting these processes takes longer than most tests.
 */
const POPUPS = ['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup']

/** A feature that tests disable: it starts a spare process for each browser context, which most tests never use. */
const SPARE = 'SpareRendererForSitePerProcess'

/**
 * Features that Playwright disables. They are repeated here, because Chromium reads only the last `--disable-features`.
 * `ThirdPartyStoragePartitioning` is not repeated, so it stays enabled as in users' browsers.
 */
const AS_PLAYWRIGHT = [
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
]

/**
 * Arguments for Chromium. They stop Chromium's own services from using the network, because a test's browser may use
 * loopback only.
 */
export const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  disabling(POPUPS),
]

function disabling(features) {
  return `--disable-features=${features}`
}

/**
 * Returns the path of an executable: the value of its environment variable, or the first of its usual names that is on
 * `PATH`.
 *
 * @param {keyof typeof PROGRAMS} program
 */
export function findProgram(program) {
  const { variable, names } = PROGRAMS[program]
  const folders = (process.env.PATH ?? '').split(delimiter)
  const candidates = folders.flatMap((folder) => names.map((name) => join(folder, name)))
  const found = process.env[variable] ?? candidates.find((candidate) => existsSync(candidate))
  if (!found) throw new Error(`no ${names.join(' or ')} on PATH: install it, or set ${variable}`)
  return found
}

/** Returns the path of Chromium's executable. */
export const findBrowser = () => findProgram('chromium')

const usualArgs = () => [...ARGS, disabling([...POPUPS, SPARE, ...AS_PLAYWRIGHT])]

/**
 * Starts Chromium's headless shell if there is one (`CHROME_SHELL_PATH`), and otherwise a Chromium. The shell is the same
 * engine without windows, and needs half of the time.
 *
 * @param {import('playwright-core').LaunchOptions & { whole?: boolean }} [options] With `whole`, a whole Chromium starts
 *   in any case: the shell has no back-forward cache, no extensions, no settings of sites, and no prerendering.
 */
export function launchBrowser({ args = [], whole = false, ...options } = {}) {
  const executablePath = (!whole && process.env.CHROME_SHELL_PATH) || findBrowser()
  return playwrightChromium().launch({ executablePath, args: [...usualArgs(), ...args], ...options })
}

/**
 * Starts a Chromium with a profile that stays on the disk.
 *
 * @param {string} folder Folder of the profile. Chromium creates it if it is missing.
 * @param {{ args?: string[] }} [options]
 * @returns {Promise<import('playwright-core').BrowserContext>} `close()` also ends the Chromium.
 */
export function launchProfile(folder, { args = [] } = {}) {
  return playwrightChromium().launchPersistentContext(folder, {
    executablePath: findBrowser(),
    args: [...usualArgs(), ...args],
  })
}

/**
 * Milliseconds for which a shared browser stays open after its last use, because starting another one takes longer than
 * most tests.
 */
const IDLE = 200

/** Shared browsers by their options. */
const shared = new Map()

/**
 * Resolves with a Chromium. All callers in this process with equal options share it, and each caller uses its own
 * browser contexts.
 *
 * @param {Parameters<typeof launchBrowser>[0]} [options]
 * @returns {Promise<{ browser: import('playwright-core').Browser, close(): Promise<void> }>} `close()` ends this use.
 */
export async function shareBrowser(options) {
  const key = JSON.stringify(options ?? {})
  if (!shared.has(key)) shared.set(key, { users: 0, launching: launchBrowser(options) })
  const entry = shared.get(key)
  clearTimeout(entry.closing)
  const isUnused = entry.users++ === 0
  const forget = () => shared.get(key) === entry && shared.delete(key)
  const browser = await entry.launching.catch((error) => {
    forget()
    throw error
  })
  if (!browser.isConnected()) {
    forget()
    return shareBrowser(options)
  }
  // These contexts belong to an earlier use that has ended.
  if (isUnused) await Promise.allSettled(browser.contexts().map((context) => context.close()))
  const closeUnused = () => {
    forget()
    return browser.close()
  }
  let isOpen = true
  return {
    browser,
    async close() {
      if (isOpen && --entry.users === 0) entry.closing = setTimeout(closeUnused, IDLE)
      isOpen = false
    },
  }
}

/**
 * Waits for servers and a browser that start at the same time. If the servers or the browser do not start, this
 * function closes the other part, because otherwise the test's process would not end.
 *
 * @template {{ close(): Promise<void> }} S
 * @param {Promise<S>} serving
 * @template {{ close(): Promise<void> }} B
 * @param {Promise<B>} launching
 */
export async function together(serving, launching) {
  const both = await Promise.allSettled([serving, launching])
  const failed = both.find(({ status }) => status === 'rejected')
  if (!failed) return both.map(({ value }) => value)
  for (const { value } of both) await value?.close()
  throw failed.reason
}
