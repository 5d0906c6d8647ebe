import { readFile } from 'node:fs/promises'
import { booted, giveConsent, htmlWith, PACKAGE, pageScript, tools } from '../app.mjs'
import { shareBrowser, together } from '../browser.mjs'
import { startEdgeSite } from './site.mjs'

const dist = new URL('../../../pkg/dist/', import.meta.url)

/**
 * Starts a page that uses the built package over a token handler, and a Chromium.
 *
 * @param {Parameters<typeof startEdgeSite>[0]} platform
 * @param {Parameters<typeof startEdgeSite>[1] & { launch?: object, timeout?: number }} [options]
 */
export async function startPage(platform, { launch, timeout = 10, ...options } = {}) {
  const [app, use] = await together(startEdgeSite(platform, options), shareBrowser(launch))
  const { browser } = use
  const { site } = app
  site.routes['/empty'] = '/empty.html'
  site.routes['/orders'] = '/index.html'
  Object.assign(site.files, {
    '/index.html': htmlWith('/page.js'),
    '/empty.html': htmlWith('/tools.js'),
    '/page.js': pageScript({ handler: '/auth', timeout }),
    '/tools.js': tools(false),
  })
  for (const name of PACKAGE) site.files[`/strongroom/${name}`] = await readFile(new URL(name, dist))

  return {
    ...app,
    browser,
    /** Opens a page of the app, in a new browser context or as another tab of `context`. */
    async open(path = '/', context) {
      // A site with https has a self-signed certificate.
      const own = () => browser.newContext({ ignoreHTTPSErrors: true })
      const page = await (context ?? (await own())).newPage()
      page.setDefaultTimeout(20_000)
      await page.goto(site.origin + path)
      return page
    },
    /** Signs in by redirect. Resolves when the app's page has started after the redirect back. */
    async signIn(page, options = {}, account) {
      await booted(page)
      await page.evaluate((given) => void auth.login(given).catch(() => {}), options)
      await page.waitForSelector('form')
      await giveConsent(page, account)
      await page.waitForFunction((origin) => location.origin === origin && globalThis.boot, site.origin)
      return booted(page)
    },
    async close() {
      await use.close()
      await app.close()
    },
  }
}

/** Waits until the link of a page of the handler works: the mouse must have been on the page for a second. */
export const isUsable = (link) =>
  link.evaluate(async (element) => {
    while (getComputedStyle(element).pointerEvents === 'none') {
      await new Promise((resolve) => requestAnimationFrame(resolve))
    }
  })

/** Clicks on the link of a page of the handler, as a user does who has read the page. */
export async function clickLate(link) {
  await link.page().hover('main')
  await isUsable(link)
  await link.click()
}
