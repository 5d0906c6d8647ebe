import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']

/** Chromium's own services talk to the network; a test's browser talks to loopback only. */
export const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The browser's executable: `CHROME_PATH`, or the first of the usual names on `PATH`. */
export function findBrowser() {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const candidates = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)))
  const found = process.env.CHROME_PATH ?? candidates.find((candidate) => existsSync(candidate))
  if (!found) throw new Error('no Chromium or Chrome on PATH: install one, or set CHROME_PATH')
  return found
}

/**
 * Starts a Chromium.
 *
 * @param {import('playwright-core').LaunchOptions} [options]
 */
export function launchBrowser({ args = [], ...options } = {}) {
  return chromium.launch({ executablePath: findBrowser(), args: [...ARGS, ...args], ...options })
}
