/**
 * Opens `url` in a fresh profile, and resolves with the page's result. If there is no result, the error contains
 * everything that the page reported.
 */
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
