/** A real browser, and what a fixture's page shows in it. */
import { chromium } from 'playwright-core'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function launch() {
  const executablePath = process.env.CHROME_PATH
  if (!executablePath)
    throw new Error('Set CHROME_PATH, or run `cargo xtask test packaging`, which finds it.')
  return chromium.launch({ executablePath, args: FLAGS })
}

/** Opens `url` in a fresh profile and returns what its page shows; fails with all that the page complained of. */
export async function result(browser, url) {
  const context = await browser.newContext()
  try {
    const page = await context.newPage()
    const complaints = []
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => complaints.push(message.text()))
    await page.goto(url)
    const shown = page.locator('html[data-result]')
    await shown.waitFor({ state: 'attached', timeout: 20_000 }).catch((error) => {
      throw new Error([error.message, ...complaints].join('\n'))
    })
    return JSON.parse(await shown.getAttribute('data-result'))
  } finally {
    await context.close()
  }
}
