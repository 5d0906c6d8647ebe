/** Uses the demo page as a person would, for check.mjs and screenshot.mjs. */
import { giveConsent } from '../tests/support/app.mjs'

/** Opens the demo in a tab and waits until it has connected. */
export async function openDemo(context, demo) {
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(demo.site.origin)
  await connected(page)
  return page
}

/** Resolves when the page has connected to the vault. Rejects with the error that the page shows. */
export async function connected(page) {
  await page.waitForSelector('body:not([data-state=starting])')
  const trouble = page.locator('#trouble:visible')
  if (await trouble.count()) throw new Error(`the page says: ${await trouble.textContent()}`)
}

/** Signs in through the provider's real forms, by redirect. */
export async function signIn(page) {
  await page.click('#login')
  await giveConsent(page)
  await page.waitForSelector('body[data-state=signed-in]')
}

/** Clicks the button of a call. Resolves with the status line when the response is complete. */
export async function clickCall(page, name) {
  await page.click(`[data-call=${name}]`)
  await page.waitForSelector('#cancel', { state: 'hidden' })
  return page.textContent('#result-status')
}

/**
 * Signs in at the comparison. If the user is signed in at the provider, its popup closes by itself. Resolves with the
 * comparison's frame.
 */
export async function signInAtComparison(page) {
  const frame = await (await page.$('#comparison')).contentFrame()
  await frame.click('#login')
  await frame.waitForSelector('#logout:visible')
  return frame
}

/**
 * Searches the page, or tests the search with planted tokens. Resolves with the verdict, the number of searched objects as
 * the page shows it, and the rows of the places where tokens were found.
 */
export async function search(page, { planted }) {
  if (planted) {
    await page.click('strongroom-inspector .test')
    await page.click('strongroom-inspector .plant')
  } else await page.click('strongroom-inspector .search')
  // The verdict belongs to this search, because its table has another heading.
  const title = planted ? 'Where it planted' : 'Where it searched'
  await page.locator('strongroom-inspector summary', { hasText: title }).waitFor()
  await page.locator('strongroom-inspector button[aria-disabled]').waitFor({ state: 'detached' })
  const verdict = await page.textContent('strongroom-inspector .verdict')
  const objects = await page.textContent('strongroom-inspector .report tbody tr:first-child td')
  const found = await page.locator('strongroom-inspector .report tr:has(.pill.bad)').allTextContents()
  return { verdict, objects, found }
}
