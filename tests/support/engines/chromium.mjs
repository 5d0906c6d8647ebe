/** Drives Chromium with the DevTools protocol, through playwright-core. */
import { WITH_CACHE } from '../bfcache.mjs'
import { launchBrowser } from '../browser.mjs'
import { PATIENCE, expression } from './driver.mjs'

/** @returns {Promise<import('./driver.mjs').Engine>} */
export async function startChromium() {
  const browser = await launchBrowser(WITH_CACHE)
  return {
    name: 'chromium',
    version: browser.version(),
    newSession: async () => newSession(await browser.newContext()),
    close: () => browser.close(),
  }
}

function newSession(context) {
  context.setDefaultTimeout(PATIENCE)
  return {
    async open(url) {
      const tab = tabOf(await context.newPage())
      await tab.goto(url)
      return tab
    },
    async openedBy(begin) {
      const [page] = await Promise.all([context.waitForEvent('page'), begin()])
      return tabOf(page)
    },
    close: () => context.close(),
  }
}

function tabOf(page) {
  const log = []
  page.on('console', (message) => log.push(message.text()))
  page.on('pageerror', (error) => log.push(String(error.stack)))
  return {
    page,
    console: log,
    closed: new Promise((resolve) => page.once('close', () => resolve())),
    evaluate: async (script, ...parameters) => page.evaluate(expression(script, parameters)),
    goto: async (url) => void (await page.goto(url)),
    reload: async () => void (await page.reload()),
    back: async () => void (await page.goBack({ waitUntil: 'commit' })),
    url: async () => page.url(),
    hover: (selector) => page.hover(selector),
    click: (selector) => page.click(selector),
    cookies: () => page.context().cookies(page.url()),
    close: () => page.close(),
  }
}
